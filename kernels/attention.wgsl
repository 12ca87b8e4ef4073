// attention: one thread per query i of one head (b, h); the softmax is taken online, so no score is ever stored.
//
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     l[i] = log Σ_j exp(s[i,j])     o[i,d] = Σ_j exp(s[i,j] − l[i]) v[j,d]
//
// Where `continues` is 1, o and l hold the result for earlier keys, and these are added: their sum is o, with weight exp(l).
//
// Asks for nothing but core WebGPU; attentionLanes and attentionLanes32 are the fast ones for subgroups of 8.

override THREADS: u32 = 64;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, ragged: u32, continues: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(5) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(6) var<storage, read_write> l: array<f32>; // (B, H, Tq)

const MOST = 32u; // chunks of four channels: D is at most 128

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  if (i >= params.Tq) { return; }
  let chunks = params.D / 4;
  let count = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);
  let row = ((batch * params.Tq + i) * params.H + head) * chunks;
  let at_l = (batch * params.H + head) * params.Tq + i;

  var query: array<vec4f, MOST>;
  var sum: array<vec4f, MOST>; // Σ_j exp(s − m) v, with m the largest score so far
  for (var c = 0u; c < chunks; c++) {
    query[c] = q[row + c] * params.scale;
    sum[c] = vec4f();
  }

  var m = -1e30;
  var z = 0.0; // Σ_j exp(s − m)
  if (params.continues == 1u) {
    m = l[at_l];
    z = 1.0;
    for (var c = 0u; c < chunks; c++) { sum[c] = o[row + c]; }
  }
  for (var j = 0u; j < count; j++) {
    let at = ((batch * params.Tk + j) * params.H + head) * chunks;
    var s = 0.0;
    for (var c = 0u; c < chunks; c++) { s += dot(query[c], k[at + c]); }
    let top = max(m, s);
    let shrink = exp(m - top);
    let p = exp(s - top);
    m = top;
    z = z * shrink + p;
    for (var c = 0u; c < chunks; c++) { sum[c] = sum[c] * shrink + p * v[at + c]; }
  }

  for (var c = 0u; c < chunks; c++) { o[row + c] = sum[c] / max(z, 1e-30); } // 0 where there is no key at all
  l[at_l] = m + log(max(z, 1e-30));
}
