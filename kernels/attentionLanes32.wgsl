// attentionLanes32: one subgroup of 8 lanes per 32 queries of one head (b, h); lane n has queries n, n + 8, n + 16, n + 24.
//
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     l[i] = log Σ_j exp(s[i,j])     o[i,d] = Σ_j exp(s[i,j] − l[i]) v[j,d]
//
// Keys come eight at a time: each lane loads one and shuffles pass it round. A vec4f holds one number for each of the
// lane's four queries; a mat4x4f holds four channels of them, one channel a column.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(5) var<storage, read_write> l: array<f32>; // (B, H, Tq)

const KEYS = 8u;
const CHUNKS = 8u; // a row is 8 chunks of four channels: D is 32
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: loops up to it stay loops, and the file compiles fast
  let rows = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let at = ((batch * params.Tq + min(rows, vec4u(params.Tq - 1))) * params.H + head) * chunks;

  var query: array<mat4x4f, CHUNKS>;
  var sum: array<mat4x4f, CHUNKS>; // Σ_j exp(s − m) v, with m the largest score so far
  for (var c = 0u; c < chunks; c++) {
    query[c] = transpose(mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c])) * (params.scale * LOG2_E);
    sum[c] = mat4x4f();
  }

  var m = vec4f(-1e30);
  var z = vec4f(); // Σ_j exp(s − m)
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

    var top = m;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = select(vec4f(-1e30), s[j], start + j < params.Tk);
      top = max(top, s[j]);
    }
    let shrink = exp2(m - top);
    m = top;
    z *= shrink;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = exp2(s[j] - top);
      z += s[j];
    }

    var values: array<vec4f, CHUNKS>;
    for (var c = 0u; c < CHUNKS; c++) { values[c] = v[row + c]; }
    for (var c = 0u; c < CHUNKS; c++) {
      for (var e = 0u; e < 4; e++) {
        var one = sum[c][e] * shrink;
        for (var j = 0u; j < KEYS; j++) { one += s[j] * subgroupShuffle(values[c][e], j); }
        sum[c][e] = one;
      }
    }
  }

  for (var c = 0u; c < chunks; c++) {
    let four = transpose(sum[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tq) { o[at[r] + c] = four[r] / z[r]; }
    }
  }
  for (var r = 0u; r < 4; r++) {
    if (rows[r] < params.Tq) { l[(batch * params.H + head) * params.Tq + rows[r]] = (m[r] + log2(z[r])) / LOG2_E; }
  }
}
