// attention.3.vec4: one thread per query i of one head (b, h), as attention.2.online, reading four channels at once.
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     o[i,d] = Σ_j exp(s[i,j] − m[i]) v[j,d] / Σ_j exp(s[i,j] − m[i])     m[i] = max_j s[i,j]
//
// New: the arrays are vec4f, those in memory and the thread's own. A fourth of the loads, each for 16 bytes.
// Assumes: D divisible by 4, at most 128.

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)

const MOST = 32u; // chunks of four channels

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  if (i >= params.Tq) { return; }
  let chunks = params.D / 4u;
  let row = ((batch * params.Tq + i) * params.H + head) * chunks;

  var query: array<vec4f, MOST>;
  var sum: array<vec4f, MOST>; // Σ_j exp(s − m) v
  for (var c = 0u; c < chunks; c++) {
    query[c] = params.scale * q[row + c];
    sum[c] = vec4f();
  }
  var m = -1e30;
  var total = 0.0; // Σ_j exp(s − m)
  for (var j = 0u; j < params.Tk; j++) {
    let at = ((batch * params.Tk + j) * params.H + head) * chunks;
    var score = 0.0;
    for (var c = 0u; c < chunks; c++) { score += dot(query[c], k[at + c]); }
    let larger = max(m, score);
    let shrink = exp(m - larger);
    let p = exp(score - larger);
    m = larger;
    total = total * shrink + p;
    for (var c = 0u; c < chunks; c++) { sum[c] = sum[c] * shrink + p * v[at + c]; }
  }
  for (var c = 0u; c < chunks; c++) { o[row + c] = sum[c] / total; }
}
