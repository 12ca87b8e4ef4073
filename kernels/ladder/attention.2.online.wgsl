// attention.2.online: one thread per query i of one head (b, h), which never stores a score.
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     o[i,d] = Σ_j exp(s[i,j] − m[i]) v[j,d] / Σ_j exp(s[i,j] − m[i])     m[i] = max_j s[i,j]
//
// New: the softmax is taken online (softmax.3.online), and the weighted sum with it. Key by key the thread keeps the largest
// score, the sum of exponentials and the sum of values relative to it; when a larger score comes, both are scaled down. One
// walk over the keys, and memory for q, k, v and o only. The query and the sum are the thread's own, at most 128 numbers
// each. Source: Dao et al., "FlashAttention", 2022.
// Assumes: D at most 128.

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<f32>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<f32>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<f32>; // (B, Tq, H, D)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  if (i >= params.Tq) { return; }
  let row = ((batch * params.Tq + i) * params.H + head) * params.D;

  var query: array<f32, 128>;
  var sum: array<f32, 128>; // Σ_j exp(s − m) v
  for (var d = 0u; d < params.D; d++) {
    query[d] = params.scale * q[row + d];
    sum[d] = 0.0;
  }
  var m = -1e30;
  var total = 0.0; // Σ_j exp(s − m)
  for (var j = 0u; j < params.Tk; j++) {
    let at = ((batch * params.Tk + j) * params.H + head) * params.D;
    var score = 0.0;
    for (var d = 0u; d < params.D; d++) { score += query[d] * k[at + d]; }
    let larger = max(m, score);
    let shrink = exp(m - larger);
    let p = exp(score - larger);
    m = larger;
    total = total * shrink + p;
    for (var d = 0u; d < params.D; d++) { sum[d] = sum[d] * shrink + p * v[at + d]; }
  }
  for (var d = 0u; d < params.D; d++) { o[row + d] = sum[d] / total; }
}
