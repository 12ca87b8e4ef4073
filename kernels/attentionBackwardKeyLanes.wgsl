// attentionBackwardKeyLanes: one subgroup of 8 lanes per 32 keys of one head (b, h); lane n has keys n, n + 8, n + 16,
// n + 24. Writes dk, dv, and ds for the query kernel. The launch begins at head number `first` of the B·H heads.
//
//   p[i,j] = exp(s[i,j] − l[i])     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dk[j,d] = scale Σ_i ds[i,j] q[i,d]     dv[j,d] = Σ_i p[i,j] dy[i,d]
//
// Queries come eight at a time: each lane loads one and shuffles pass it round.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> rows: array<vec4f>; // (B, H, Tq): l, delta, number of keys
@group(0) @binding(5) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(6) var<storage, read_write> dk: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(7) var<storage, read_write> dv: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(8) var<storage, read_write> ds: array<vec4f>; // (heads of this launch, Tk, ⌈Tq/4⌉): ds of four queries

const QUERIES = 8u;
const MOST = 32u; // chunks of four channels: D is at most 128
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = (params.first + group.y) % params.H;
  let batch = (params.first + group.y) / params.H;
  let chunks = params.D / 4; // at run time, so that loops over chunks stay loops
  let own = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let quads = (params.Tq + 3) / 4;
  let at_ds = (group.y * params.Tk + own) * quads;
  let at = ((batch * params.Tk + min(own, vec4u(params.Tk - 1))) * params.H + head) * chunks;

  var key: array<mat4x4f, MOST>;
  var value: array<mat4x4f, MOST>;
  var sum_k: array<mat4x4f, MOST>; // Σ_i ds q
  var sum_v: array<mat4x4f, MOST>; // Σ_i p dy
  for (var c = 0u; c < chunks; c++) {
    key[c] = transpose(mat4x4f(k[at.x + c], k[at.y + c], k[at.z + c], k[at.w + c])) * (params.scale * LOG2_E);
    value[c] = transpose(mat4x4f(v[at.x + c], v[at.y + c], v[at.z + c], v[at.w + c]));
    sum_k[c] = mat4x4f();
    sum_v[c] = mat4x4f();
  }

  for (var start = 0u; start < params.Tq; start += QUERIES) {
    let i_lane = min(start + lane, params.Tq - 1);
    let row = ((batch * params.Tq + i_lane) * params.H + head) * chunks;
    let saved = rows[(batch * params.H + head) * params.Tq + i_lane];
    let lse = saved.x * LOG2_E;
    let inner = saved.y;
    let here = vec4f(own) < vec4f(saved.z); // the number of keys is the same for all queries of the batch row

    var p = array<vec4f, QUERIES>(); // first s
    for (var c = 0u; c < chunks; c++) {
      let mine = q[row + c];
      let four = key[c];
      for (var i = 0u; i < QUERIES; i++) {
        let x = subgroupShuffle(mine, i);
        p[i] += four[0] * x.x + four[1] * x.y + four[2] * x.z + four[3] * x.w;
      }
    }
    var dp = array<vec4f, QUERIES>(); // then ds
    for (var c = 0u; c < chunks; c++) {
      let mine = dy[row + c];
      let four = value[c];
      for (var i = 0u; i < QUERIES; i++) {
        let x = subgroupShuffle(mine, i);
        dp[i] += four[0] * x.x + four[1] * x.y + four[2] * x.z + four[3] * x.w;
      }
    }

    for (var i = 0u; i < QUERIES; i++) {
      let inside = here & vec4<bool>(start + i < params.Tq);
      p[i] = select(vec4f(), exp2(p[i] - subgroupShuffle(lse, i)), inside);
      dp[i] = select(vec4f(), p[i] * (dp[i] - subgroupShuffle(inner, i)), inside);
    }

    keep(at_ds + start / 4, own < vec4u(params.Tk), mat4x4f(dp[0], dp[1], dp[2], dp[3]));
    keep(at_ds + start / 4 + 1, own < vec4u(select(0, params.Tk, start + 4 < params.Tq)), mat4x4f(dp[4], dp[5], dp[6], dp[7]));

    for (var c = 0u; c < chunks; c++) {
      let mine = q[row + c];
      var four = sum_k[c];
      for (var i = 0u; i < QUERIES; i++) {
        let x = subgroupShuffle(mine, i);
        four[0] += dp[i] * x.x;
        four[1] += dp[i] * x.y;
        four[2] += dp[i] * x.z;
        four[3] += dp[i] * x.w;
      }
      sum_k[c] = four;
    }
    for (var c = 0u; c < chunks; c++) {
      let mine = dy[row + c];
      var four = sum_v[c];
      for (var i = 0u; i < QUERIES; i++) {
        let x = subgroupShuffle(mine, i);
        four[0] += p[i] * x.x;
        four[1] += p[i] * x.y;
        four[2] += p[i] * x.z;
        four[3] += p[i] * x.w;
      }
      sum_v[c] = four;
    }
  }

  for (var c = 0u; c < chunks; c++) {
    let four_k = transpose(sum_k[c]);
    let four_v = transpose(sum_v[c]);
    for (var r = 0u; r < 4; r++) {
      if (own[r] < params.Tk) {
        dk[at[r] + c] = four_k[r] * params.scale;
        dv[at[r] + c] = four_v[r];
      }
    }
  }
}

// Keeps ds of four queries, one a column, for each of the lane's keys that is inside.
fn keep(at: vec4u, inside: vec4<bool>, four: mat4x4f) {
  let byKey = transpose(four);
  if (inside.x) { ds[at.x] = byKey[0]; }
  if (inside.y) { ds[at.y] = byKey[1]; }
  if (inside.z) { ds[at.z] = byKey[2]; }
  if (inside.w) { ds[at.w] = byKey[3]; }
}
