// attentionBackwardKeyLanes32: one subgroup of 8 lanes per 32 keys of one head (b, h); lane n has keys n, n + 8, n + 16,
// n + 24. Writes dk and dv. Runs after the query kernel, whose row sums delta it reads.
//
//   p[i,j] = exp(s[i,j] − l[i])     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dk[j,d] = scale Σ_i ds[i,j] q[i,d]     dv[j,d] = Σ_i p[i,j] dy[i,d]
//
// Queries come eight at a time: each lane loads one and shuffles pass it round.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> l: array<f32>; // (B, H, Tq)
@group(0) @binding(5) var<storage, read> delta: array<f32>; // (B, H, Tq)
@group(0) @binding(6) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(7) var<storage, read_write> dk: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(8) var<storage, read_write> dv: array<vec4f>; // (B, Tk, H, D)

const QUERIES = 8u;
const CHUNKS = 8u; // a row is 8 chunks of four channels: D is 32
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: loops up to it stay loops, and the file compiles fast
  let rows = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let at = ((batch * params.Tk + min(rows, vec4u(params.Tk - 1))) * params.H + head) * chunks;

  var key: array<mat4x4f, CHUNKS>;
  var value: array<mat4x4f, CHUNKS>;
  var sum_k: array<mat4x4f, CHUNKS>; // Σ_i ds q
  var sum_v: array<mat4x4f, CHUNKS>; // Σ_i p dy
  for (var c = 0u; c < chunks; c++) {
    key[c] = transpose(mat4x4f(k[at.x + c], k[at.y + c], k[at.z + c], k[at.w + c])) * (params.scale * LOG2_E);
    value[c] = transpose(mat4x4f(v[at.x + c], v[at.y + c], v[at.z + c], v[at.w + c]));
    sum_k[c] = mat4x4f();
    sum_v[c] = mat4x4f();
  }

  for (var start = 0u; start < params.Tq; start += QUERIES) {
    let i_lane = min(start + lane, params.Tq - 1);
    let row = ((batch * params.Tq + i_lane) * params.H + head) * chunks;
    let lse = l[(batch * params.H + head) * params.Tq + i_lane] * LOG2_E;
    let inner = delta[(batch * params.H + head) * params.Tq + i_lane];

    var p: array<vec4f, QUERIES>; // first s
    var queries: array<vec4f, CHUNKS>;
    for (var c = 0u; c < CHUNKS; c++) { queries[c] = q[row + c]; }
    for (var i = 0u; i < QUERIES; i++) {
      var score = vec4f();
      for (var c = 0u; c < CHUNKS; c++) {
        let x = subgroupShuffle(queries[c], i);
        score += key[c][0] * x.x;
        score += key[c][1] * x.y;
        score += key[c][2] * x.z;
        score += key[c][3] * x.w;
      }
      p[i] = score;
    }
    var ds: array<vec4f, QUERIES>; // first dp
    var grads: array<vec4f, CHUNKS>;
    for (var c = 0u; c < CHUNKS; c++) { grads[c] = dy[row + c]; }
    for (var i = 0u; i < QUERIES; i++) {
      var score = vec4f();
      for (var c = 0u; c < CHUNKS; c++) {
        let x = subgroupShuffle(grads[c], i);
        score += value[c][0] * x.x;
        score += value[c][1] * x.y;
        score += value[c][2] * x.z;
        score += value[c][3] * x.w;
      }
      ds[i] = score;
    }

    for (var i = 0u; i < QUERIES; i++) {
      p[i] = select(vec4f(), exp2(p[i] - subgroupShuffle(lse, i)), start + i < params.Tq);
      ds[i] = p[i] * (ds[i] - subgroupShuffle(inner, i));
    }

    for (var c = 0u; c < CHUNKS; c++) {
      for (var e = 0u; e < 4; e++) {
        var one = sum_k[c][e];
        for (var i = 0u; i < QUERIES; i++) { one += ds[i] * subgroupShuffle(queries[c][e], i); }
        sum_k[c][e] = one;
      }
    }
    for (var c = 0u; c < CHUNKS; c++) {
      for (var e = 0u; e < 4; e++) {
        var one = sum_v[c][e];
        for (var i = 0u; i < QUERIES; i++) { one += p[i] * subgroupShuffle(grads[c][e], i); }
        sum_v[c][e] = one;
      }
    }
  }

  for (var c = 0u; c < chunks; c++) {
    let four_k = transpose(sum_k[c]);
    let four_v = transpose(sum_v[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tk) {
        dk[at[r] + c] = four_k[r] * params.scale;
        dv[at[r] + c] = four_v[r];
      }
    }
  }
}
