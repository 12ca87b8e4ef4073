// matmul.2.registers: one thread per 4 rows × 4 columns of c, whose 16 sums stay in registers.
//   c[m,n] = Σ_k a[m,k] · b[k,n]
//
// New: a value that is loaded is used four times. At each k a thread loads 4 values of a and 4 of b and makes all 16
// products of them: two products a load, where naive had half a product. With an r × r tile it is r / 2, until the registers
// run out.
// Past the edge a thread repeats the last row or column, so that the loop has no branch, and does not store the result.

struct Params { M: u32, N: u32, K: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (M, K)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (K, N)
@group(0) @binding(3) var<storage, read_write> c: array<f32>; // (M, N)

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = 4u * id.y;
  let column = 4u * id.x;
  if (row >= params.M || column >= params.N) { return; }
  var aAt = min(row + vec4u(0, 1, 2, 3), vec4u(params.M - 1u)) * params.K;
  var bAt = min(column + vec4u(0, 1, 2, 3), vec4u(params.N - 1u));
  var sum = mat4x4f(); // sum[i] is row i: a matrix and not an array, because what is indexed in a loop lives in memory
  for (var k = 0u; k < params.K; k++) {
    let x = vec4f(a[aAt.x], a[aAt.y], a[aAt.z], a[aAt.w]);
    let w = vec4f(b[bAt.x], b[bAt.y], b[bAt.z], b[bAt.w]);
    sum += mat4x4f(x.x * w, x.y * w, x.z * w, x.w * w);
    aAt += 1u;
    bAt += params.N;
  }
  for (var i = 0u; i < min(4u, params.M - row); i++) {
    for (var j = 0u; j < min(4u, params.N - column); j++) {
      c[(row + i) * params.N + column + j] = sum[i][j];
    }
  }
}
