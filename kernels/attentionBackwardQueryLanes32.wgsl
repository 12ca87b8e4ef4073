// attentionBackwardQueryLanes32: one subgroup of 8 lanes per 32 queries of one head (b, h), four to a lane as in
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
const CHUNKS = 8u; // a row is 8 chunks of four channels: D is 32
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: loops up to it stay loops, and the file compiles fast
  let rows = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let safe = min(rows, vec4u(params.Tq - 1));
  let at = ((batch * params.Tq + safe) * params.H + head) * chunks;
  let at_l = (batch * params.H + head) * params.Tq + safe;

  var query: array<mat4x4f, CHUNKS>;
  var grad: array<mat4x4f, CHUNKS>;
  var sum: array<mat4x4f, CHUNKS>; // Σ_j ds k
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

    var s: array<vec4f, KEYS>;
    var keys: array<vec4f, CHUNKS>;
    for (var c = 0u; c < CHUNKS; c++) { keys[c] = k[row + c]; }
    for (var j = 0u; j < KEYS; j++) {
      var score = vec4f();
      for (var c = 0u; c < CHUNKS; c++) {
        let x = subgroupShuffle(keys[c], j);
        score += query[c][0] * x.x;
        score += query[c][1] * x.y;
        score += query[c][2] * x.z;
        score += query[c][3] * x.w;
      }
      s[j] = score;
    }
    var ds: array<vec4f, KEYS>; // first dp
    var values: array<vec4f, CHUNKS>;
    for (var c = 0u; c < CHUNKS; c++) { values[c] = v[row + c]; }
    for (var j = 0u; j < KEYS; j++) {
      var score = vec4f();
      for (var c = 0u; c < CHUNKS; c++) {
        let x = subgroupShuffle(values[c], j);
        score += grad[c][0] * x.x;
        score += grad[c][1] * x.y;
        score += grad[c][2] * x.z;
        score += grad[c][3] * x.w;
      }
      ds[j] = score;
    }

    for (var j = 0u; j < KEYS; j++) {
      ds[j] = select(vec4f(), exp2(s[j] - lse) * (ds[j] - inner), start + j < params.Tk);
    }

    for (var c = 0u; c < CHUNKS; c++) {
      for (var e = 0u; e < 4; e++) {
        var one = sum[c][e];
        for (var j = 0u; j < KEYS; j++) { one += ds[j] * subgroupShuffle(keys[c][e], j); }
        sum[c][e] = one;
      }
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
