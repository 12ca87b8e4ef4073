// attentionLanes32: one subgroup of 8 lanes per 16 queries of one head (b, h), for a head width of 32; lane n has queries n, n + 8.
//
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     l[i] = log Σ_j exp(s[i,j])     o[i,d] = Σ_j exp(s[i,j] − l[i]) v[j,d]
//
// Where `continues` is 1, o and l hold the result for earlier keys, and these are added: their sum is o, with weight exp(l).
//
// Keys come one at a time: lane c loads the c-th chunk of four channels, and shuffles pass it round. The sums over channels
// are written out, so that they stay in registers; with more queries or keys at once, the loop would outgrow the cache for
// instructions. A vec2f holds one number for each of the lane's two queries.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, ragged: u32, continues: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(5) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(6) var<storage, read_write> l: array<f32>; // (B, H, Tq)

const CHUNKS = 8u; // a row is 8 chunks of four channels
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

alias Rows = array<mat4x2f, CHUNKS>; // a column for each channel of the chunk

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: these loops stay loops, and the file compiles fast
  let rows = vec2u(0, 8) + group.x * 16 + lane;
  let safe = min(rows, vec2u(params.Tq - 1));
  let at = ((batch * params.Tq + safe) * params.H + head) * chunks;
  let at_l = (batch * params.H + head) * params.Tq + safe;
  let count = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);

  var query: Rows;
  var sum: Rows; // Σ_j exp(s − m) v, with m the largest score so far
  for (var c = 0u; c < chunks; c++) {
    query[c] = transpose(mat2x4f(q[at.x + c], q[at.y + c])) * (params.scale * LOG2_E);
    sum[c] = mat4x2f();
  }

  var m = vec2f(-1e30);
  var z = vec2f(); // Σ_j exp(s − m)
  if (params.continues == 1u) {
    m = vec2f(l[at_l.x], l[at_l.y]) * LOG2_E;
    z = vec2f(1.0);
    for (var c = 0u; c < chunks; c++) { sum[c] = transpose(mat2x4f(o[at.x + c], o[at.y + c])); }
  }
  for (var j = 0u; j < count; j++) {
    let row = ((batch * params.Tk + j) * params.H + head) * chunks + lane;
    let key = k[row];
    let value = v[row];
    let s = part(query[0], key, 0) + part(query[1], key, 1) + part(query[2], key, 2) + part(query[3], key, 3)
      + part(query[4], key, 4) + part(query[5], key, 5) + part(query[6], key, 6) + part(query[7], key, 7);
    let top = max(m, s);
    let shrink = exp2(m - top);
    let p = exp2(s - top);
    m = top;
    z = z * shrink + p;
    collect(&sum, 0, shrink, p, value);
    collect(&sum, 1, shrink, p, value);
    collect(&sum, 2, shrink, p, value);
    collect(&sum, 3, shrink, p, value);
    collect(&sum, 4, shrink, p, value);
    collect(&sum, 5, shrink, p, value);
    collect(&sum, 6, shrink, p, value);
    collect(&sum, 7, shrink, p, value);
  }

  z = max(z, vec2f(1e-30)); // where there is no key at all, o is 0
  for (var c = 0u; c < chunks; c++) {
    let two = transpose(sum[c]);
    for (var r = 0u; r < 2; r++) {
      if (rows[r] < params.Tq) { o[at[r] + c] = two[r] / z[r]; }
    }
  }
  for (var r = 0u; r < 2; r++) {
    if (rows[r] < params.Tq) { l[at_l[r]] = (m[r] + log2(z[r])) / LOG2_E; }
  }
}

// The share of chunk c, which lane c holds, in the products of the lane's rows with a row.
fn part(own: mat4x2f, chunk: vec4f, c: u32) -> vec2f {
  let x = subgroupShuffle(chunk, c);
  return own[0] * x.x + own[1] * x.y + own[2] * x.z + own[3] * x.w;
}

// Chunk c of sum becomes sum · shrink + p · (the chunk that lane c holds).
fn collect(sum: ptr<function, Rows>, c: u32, shrink: vec2f, p: vec2f, chunk: vec4f) {
  let x = subgroupShuffle(chunk, c);
  sum[c] = mat4x2f(
    sum[c][0] * shrink + p * x.x, sum[c][1] * shrink + p * x.y, sum[c][2] * shrink + p * x.z, sum[c][3] * shrink + p * x.w);
}
