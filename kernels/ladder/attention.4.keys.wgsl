// attention.4.keys: one thread per query i of one head (b, h), as attention.3.vec4, taking four keys at once.
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     o[i,d] = Σ_j exp(s[i,j] − m[i]) v[j,d] / Σ_j exp(s[i,j] − m[i])     m[i] = max_j s[i,j]
//
// New: what is the thread's own is touched once for four keys. An array that a loop indexes lies in memory, even though it is
// private: with one key at a time, query and sum were read, scaled down and written back for every key. So the same lesson as
// matmul.2.registers: more products for each load. Four scores fit one vec4f, and their exps are taken together.
// Assumes: D divisible by 4, at most 128. Past the last key it is repeated, with a score whose exp is zero.

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
  for (var first = 0u; first < params.Tk; first += 4u) {
    let j = first + vec4u(0, 1, 2, 3);
    let at = ((batch * params.Tk + min(j, vec4u(params.Tk - 1u))) * params.H + head) * chunks;
    var s = vec4f();
    for (var c = 0u; c < chunks; c++) {
      s += query[c] * mat4x4f(k[at.x + c], k[at.y + c], k[at.z + c], k[at.w + c]); // one dot product a column
    }
    s = select(vec4f(-1e30), s, j < vec4u(params.Tk));
    let larger = max(m, max(max(s.x, s.y), max(s.z, s.w)));
    let shrink = exp(m - larger);
    let p = exp(s - larger);
    m = larger;
    total = total * shrink + dot(p, vec4f(1.0));
    for (var c = 0u; c < chunks; c++) {
      sum[c] = sum[c] * shrink + mat4x4f(v[at.x + c], v[at.y + c], v[at.z + c], v[at.w + c]) * p;
    }
  }
  for (var c = 0u; c < chunks; c++) { o[row + c] = sum[c] / total; }
}
