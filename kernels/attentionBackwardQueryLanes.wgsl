// attentionBackwardQueryLanes: one subgroup of 8 lanes per 32 queries of one head (b, h), four to a lane as in
// attentionLanes; writes dq and the row sums delta that the key kernel needs. Probabilities are computed anew from l.
//
//   p[i,j] = exp(s[i,j] − l[i])     delta[i] = Σ_d dy[i,d] o[i,d]     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dq[i,d] = scale Σ_j ds[i,j] k[j,d]
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(5) var<storage, read> l: array<f32>; // (B, H, Tq)
@group(0) @binding(6) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(7) var<storage, read_write> dq: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(8) var<storage, read_write> delta: array<f32>; // (B, H, Tq)

const KEYS = 8u;
const MOST = 32u; // chunks of four channels: D is at most 128
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4; // at run time, so that loops over chunks stay loops
  let rows = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let safe = min(rows, vec4u(params.Tq - 1));
  let at = ((batch * params.Tq + safe) * params.H + head) * chunks;
  let at_l = (batch * params.H + head) * params.Tq + safe;

  var query: array<mat4x4f, MOST>;
  var grad: array<mat4x4f, MOST>;
  var sum: array<mat4x4f, MOST>; // Σ_j ds k
  var inner = vec4f();
  for (var c = 0u; c < chunks; c++) {
    query[c] = transpose(mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c])) * (params.scale * LOG2_E);
    let four = mat4x4f(dy[at.x + c], dy[at.y + c], dy[at.z + c], dy[at.w + c]);
    for (var r = 0u; r < 4; r++) { inner[r] += dot(four[r], o[at[r] + c]); }
    grad[c] = transpose(four);
    sum[c] = mat4x4f();
  }

  let lse = vec4f(l[at_l.x], l[at_l.y], l[at_l.z], l[at_l.w]) * LOG2_E;
  for (var start = 0u; start < params.Tk; start += KEYS) {
    let row = ((batch * params.Tk + min(start + lane, params.Tk - 1)) * params.H + head) * chunks;

    var s = array<vec4f, KEYS>();
    for (var c = 0u; c < chunks; c++) {
      let mine = k[row + c];
      let four = query[c];
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine, j);
        s[j] += four[0] * x.x + four[1] * x.y + four[2] * x.z + four[3] * x.w;
      }
    }
    var ds = array<vec4f, KEYS>(); // first dp
    for (var c = 0u; c < chunks; c++) {
      let mine = v[row + c];
      let four = grad[c];
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine, j);
        ds[j] += four[0] * x.x + four[1] * x.y + four[2] * x.z + four[3] * x.w;
      }
    }

    for (var j = 0u; j < KEYS; j++) {
      ds[j] = select(vec4f(), exp2(s[j] - lse) * (ds[j] - inner), start + j < params.Tk);
    }

    for (var c = 0u; c < chunks; c++) {
      let mine = k[row + c];
      var four = sum[c];
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine, j);
        four[0] += ds[j] * x.x;
        four[1] += ds[j] * x.y;
        four[2] += ds[j] * x.z;
        four[3] += ds[j] * x.w;
      }
      sum[c] = four;
    }
  }

  for (var c = 0u; c < chunks; c++) {
    let four = transpose(sum[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tq) { dq[at[r] + c] = four[r] * params.scale; }
    }
  }
  for (var r = 0u; r < 4; r++) {
    if (rows[r] < params.Tq) { delta[at_l[r]] = inner[r]; }
  }
}
