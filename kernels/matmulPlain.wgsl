// matmulPlain: one thread per 4 rows × 4 columns of c, any sizes, no subgroups: right everywhere, fast nowhere.
//   c[z,m,n] = Σ_k A[z,m,k] · B[z,k,n]
//
// A and B are addressed by the distance to the next row and to the next column, so that one file serves
// every layout: NN has aRow = K, aColumn = 1; TN (a stored (K, M)) has aRow = 1, aColumn = M.
// Past the edge a thread repeats the last row or column, and keeps the result to itself.

alias Weight = f32;

struct Params {
  M: u32,
  N: u32,
  K: u32,
  aStride: u32, // scalars from one batch to the next; 0 broadcasts the operand
  bStride: u32,
  cStride: u32,
  aRow: u32, // scalars from A[m,k] to A[m+1,k]
  aColumn: u32, // … to A[m,k+1]
  bRow: u32, // scalars from B[k,n] to B[k+1,n]
  bColumn: u32, // … to B[k,n+1]
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (B, M, K) or (B, K, M)
@group(0) @binding(2) var<storage, read> b: array<Weight>; // (B, K, N) or (B, N, K)
@group(0) @binding(3) var<storage, read_write> c: array<f32>; // (B, M, N)

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * 4u;
  let column = id.x * 4u;
  if (row >= params.M || column >= params.N) {
    return;
  }
  let rows = min(row + vec4u(0, 1, 2, 3), vec4u(params.M - 1u)) * params.aRow;
  let columns = min(column + vec4u(0, 1, 2, 3), vec4u(params.N - 1u)) * params.bColumn;
  var aAt = id.z * params.aStride + rows;
  var bAt = id.z * params.bStride + columns;
  var sum0: vec4f; // one vector per row
  var sum1: vec4f;
  var sum2: vec4f;
  var sum3: vec4f;
  for (var k = 0u; k < params.K; k++) {
    let x = vec4f(a[aAt.x], a[aAt.y], a[aAt.z], a[aAt.w]);
    let w = vec4f(f32(b[bAt.x]), f32(b[bAt.y]), f32(b[bAt.z]), f32(b[bAt.w]));
    sum0 += x.x * w;
    sum1 += x.y * w;
    sum2 += x.z * w;
    sum3 += x.w * w;
    aAt += params.aColumn;
    bAt += params.bRow;
  }
  let at = id.z * params.cStride + row * params.N + column;
  store(row, column, at, sum0);
  store(row + 1u, column, at + params.N, sum1);
  store(row + 2u, column, at + 2u * params.N, sum2);
  store(row + 3u, column, at + 3u * params.N, sum3);
}

fn store(row: u32, column: u32, at: u32, sum: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    if (row < params.M && column + i < params.N) {
      c[at + i] = sum[i];
    }
  }
}
