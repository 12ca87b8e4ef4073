// matmul.3.vec4: one thread per 4 rows × 4 columns of c, as matmul.2.registers, which loads four neighbours at once.
//   c[m,n] = Σ_k a[m,k] · b[k,n]
//
// New: the arrays are vec4f. A wide load costs little more than a narrow one (one address, one check), so four steps of k are
// taken together: 4 loads of a, 4 of b, then 64 products. Eight products a load, each of 16 bytes.
// Assumes: K and N divisible by 4. Rows may be ragged: past the edge the last one is repeated and not stored.

struct Params { M: u32, N: u32, K: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (M, K)
@group(0) @binding(2) var<storage, read> b: array<vec4f>; // (K, N)
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (M, N)

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let K4 = params.K / 4u;
  let N4 = params.N / 4u;
  let row = 4u * id.y;
  if (row >= params.M || id.x >= N4) { return; }
  let aAt = min(row + vec4u(0, 1, 2, 3), vec4u(params.M - 1u)) * K4;
  var sum = mat4x4f(); // sum[i] is row i
  for (var k = 0u; k < K4; k++) {
    let x = mat4x4f(a[aAt.x + k], a[aAt.y + k], a[aAt.z + k], a[aAt.w + k]); // x[i] = a[row + i, 4k…4k+3]
    let at = 4u * k * N4 + id.x;
    let w = mat4x4f(b[at], b[at + N4], b[at + 2u * N4], b[at + 3u * N4]); // w[j] = b[4k + j, column…column+3]
    // A column of w · x is Σ_j w[j] · x[i][j]: what is wanted of row i.
    sum += w * x;
  }
  for (var i = 0u; i < min(4u, params.M - row); i++) {
    c[(row + i) * N4 + id.x] = sum[i];
  }
}
