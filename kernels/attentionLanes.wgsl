// attentionLanes: one subgroup of 8 lanes per 32 queries of one head (b, h); lane n has queries n, n + 8, n + 16, n + 24.
//
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     l[i] = log Σ_j exp(s[i,j])     o[i,d] = Σ_j exp(s[i,j] − l[i]) v[j,d]
//
// Where `continues` is 1, o and l hold the result for earlier keys, and these are added: their sum is o, with weight exp(l).
//
// Keys come eight at a time: each lane loads one and shuffles pass it round. A vec4f holds one number for each of the
// lane's four queries; a mat4x4f holds four channels of them, one channel a column.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, ragged: u32, continues: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(5) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(6) var<storage, read_write> l: array<f32>; // (B, H, Tq)

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
  let count = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);

  var query: array<mat4x4f, MOST>;
  var sum: array<mat4x4f, MOST>; // Σ_j exp(s − m) v, with m the largest score so far
  for (var c = 0u; c < chunks; c++) {
    query[c] = transpose(mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c])) * (params.scale * LOG2_E);
    sum[c] = mat4x4f();
  }

  var m = vec4f(-1e30);
  var z = vec4f(); // Σ_j exp(s − m)
  if (params.continues == 1u) {
    m = vec4f(l[at_l.x], l[at_l.y], l[at_l.z], l[at_l.w]) * LOG2_E;
    z = vec4f(1.0);
    for (var c = 0u; c < chunks; c++) { sum[c] = transpose(mat4x4f(o[at.x + c], o[at.y + c], o[at.z + c], o[at.w + c])); }
  }
  for (var start = 0u; start < count; start += KEYS) {
    let row = ((batch * params.Tk + min(start + lane, count - 1)) * params.H + head) * chunks;

    var s = array<vec4f, KEYS>();
    for (var c = 0u; c < chunks; c++) {
      let mine = k[row + c];
      let four = query[c];
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine, j);
        s[j] += four[0] * x.x + four[1] * x.y + four[2] * x.z + four[3] * x.w;
      }
    }

    var top = m;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = select(vec4f(-1e30), s[j], start + j < count);
      top = max(top, s[j]);
    }
    let shrink = exp2(m - top);
    m = top;
    z *= shrink;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = exp2(s[j] - top);
      z += s[j];
    }

    for (var c = 0u; c < chunks; c++) {
      let mine = v[row + c];
      var four = sum[c];
      for (var e = 0u; e < 4; e++) { four[e] *= shrink; }
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine, j);
        four[0] += s[j] * x.x;
        four[1] += s[j] * x.y;
        four[2] += s[j] * x.z;
        four[3] += s[j] * x.w;
      }
      sum[c] = four;
    }
  }

  z = max(z, vec4f(1e-30)); // where there is no key at all, o is 0
  for (var c = 0u; c < chunks; c++) {
    let four = transpose(sum[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tq) { o[at[r] + c] = four[r] / z[r]; }
    }
  }
  for (var r = 0u; r < 4; r++) {
    if (rows[r] < params.Tq) { l[at_l[r]] = (m[r] + log2(z[r])) / LOG2_E; }
  }
}
