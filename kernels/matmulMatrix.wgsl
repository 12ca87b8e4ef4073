// matmulMatrix: one workgroup per tile of c, by the matrix units that adapters offer as subgroup matrices.
//   c[z,m,n] = Σ_k A[z,m,k] · B[z,k,n]      A is a, or its transpose with TURN_A; B is b, or its transpose with TURN_B
//
// A subgroup holds 2 × 2 matrices of c. In a step the workgroup puts STEP columns of A and as many rows of B into workgroup
// memory, in the order in which they are stored, as Component; what is stored the other way round is loaded by columns.
// With Component f16 the operands are rounded to 11 bits and must stay below 65,520; sums are f32 in any case.
//
// The sizes of the matrices are the adapter's and part of types, so the host replaces the aliases and MATRIX_* together.

enable subgroups;
enable chromium_experimental_subgroup_matrix;

alias Component = f32;
alias MatrixA = subgroup_matrix_left<f32, 8, 8>; // columns (k), rows (m)
alias MatrixB = subgroup_matrix_right<f32, 8, 8>; // columns (n), rows (k)
alias MatrixC = subgroup_matrix_result<f32, 8, 8>; // columns (n), rows (m)

override MATRIX_M: u32 = 8;
override MATRIX_N: u32 = 8;
override MATRIX_K: u32 = 8;
override SUBGROUP: u32 = 8; // lanes
override SUBGROUPS_M: u32 = 2;
override SUBGROUPS_N: u32 = 2;
override TURN_A: bool = false;
override TURN_B: bool = false;

override TILE_M: u32 = 2 * SUBGROUPS_M * MATRIX_M;
override TILE_N: u32 = 2 * SUBGROUPS_N * MATRIX_N;
override STEP: u32 = 32; // a multiple of MATRIX_K
override THREADS: u32 = SUBGROUP * SUBGROUPS_M * SUBGROUPS_N;
// Of the tiles as they are stored: rows, columns, and scalars from a row to the next. Rows lie a little apart, or their columns
// would share a bank of workgroup memory.
override ROWS_A: u32 = select(TILE_M, STEP, TURN_A);
override ROWS_B: u32 = select(STEP, TILE_N, TURN_B);
override COLUMNS_A: u32 = select(STEP, TILE_M, TURN_A);
override COLUMNS_B: u32 = select(TILE_N, STEP, TURN_B);
override ROW_A: u32 = COLUMNS_A + 8;
override ROW_B: u32 = COLUMNS_B + 8;

// Types and loads for matrices whose rows are no whole vectors. The host makes them vec4f and one load where they are.
alias Left = f32;
alias Weight = f32;

struct Params {
  M: u32,
  N: u32,
  K: u32,
  aStride: u32, // scalars from one batch to the next; 0 broadcasts the operand
  bStride: u32,
  cStride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Left>; // (B, M, K) or (B, K, M)
@group(0) @binding(2) var<storage, read> b: array<Weight>; // (B, K, N) or (B, N, K)
@group(0) @binding(3) var<storage, read_write> c: array<f32>; // (B, M, N)

var<workgroup> tileA: array<Component, ROWS_A * ROW_A>;
var<workgroup> tileB: array<Component, ROWS_B * ROW_B>;
// One matrix of each subgroup, on its way to the edge of c.
var<workgroup> border: array<f32, SUBGROUPS_M * SUBGROUPS_N * MATRIX_M * MATRIX_N>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) own: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let corner = vec2u(group.y * TILE_M, group.x * TILE_N);
  // Where the matrices of this subgroup begin in the tile.
  let m = own / SUBGROUPS_N * 2u * MATRIX_M;
  let n = own % SUBGROUPS_N * 2u * MATRIX_N;
  var sum00: MatrixC;
  var sum01: MatrixC;
  var sum10: MatrixC;
  var sum11: MatrixC;
  for (var k = 0u; k < params.K; k += STEP) {
    workgroupBarrier(); // all have read the step before
    putA(thread, corner.x, k, group.z);
    putB(thread, corner.y, k, group.z);
    workgroupBarrier();
    for (var i = 0u; i < STEP; i += MATRIX_K) {
      let a0 = matrixA(m, i);
      let a1 = matrixA(m + MATRIX_M, i);
      let b0 = matrixB(i, n);
      let b1 = matrixB(i, n + MATRIX_N);
      sum00 = subgroupMatrixMultiplyAccumulate(a0, b0, sum00);
      sum01 = subgroupMatrixMultiplyAccumulate(a0, b1, sum01);
      sum10 = subgroupMatrixMultiplyAccumulate(a1, b0, sum10);
      sum11 = subgroupMatrixMultiplyAccumulate(a1, b1, sum11);
    }
  }

  let at = corner + vec2u(m, n);
  // A whole tile of rows that begin at vectors goes where it belongs at once.
  if (corner.x + TILE_M <= params.M && corner.y + TILE_N <= params.N && params.N % 4u == 0u) {
    let start = group.z * params.cStride + at.x * params.N + at.y;
    let down = MATRIX_M * params.N;
    subgroupMatrixStore<row_major>(&c, start, sum00, params.N);
    subgroupMatrixStore<row_major>(&c, start + MATRIX_N, sum01, params.N);
    subgroupMatrixStore<row_major>(&c, start + down, sum10, params.N);
    subgroupMatrixStore<row_major>(&c, start + down + MATRIX_N, sum11, params.N);
  } else {
    storeEdge(sum00, own, lane, at, group.z);
    storeEdge(sum01, own, lane, at + vec2u(0u, MATRIX_N), group.z);
    storeEdge(sum10, own, lane, at + vec2u(MATRIX_M, 0u), group.z);
    storeEdge(sum11, own, lane, at + vec2u(MATRIX_M, MATRIX_N), group.z);
  }
}

fn matrixA(m: u32, k: u32) -> MatrixA {
  if (TURN_A) {
    return subgroupMatrixLoad<MatrixA, col_major>(&tileA, k * ROW_A + m, ROW_A);
  }
  return subgroupMatrixLoad<MatrixA, row_major>(&tileA, m * ROW_A + k, ROW_A);
}

fn matrixB(k: u32, n: u32) -> MatrixB {
  if (TURN_B) {
    return subgroupMatrixLoad<MatrixB, col_major>(&tileB, n * ROW_B + k, ROW_B);
  }
  return subgroupMatrixLoad<MatrixB, row_major>(&tileB, k * ROW_B + n, ROW_B);
}

// Of A the rows from m and the columns from k on; zeros outside of it.
fn putA(thread: u32, m: u32, k: u32, z: u32) {
  let size = select(vec2u(params.M, params.K), vec2u(params.K, params.M), TURN_A);
  let first = select(vec2u(m, k), vec2u(k, m), TURN_A);
  let across = COLUMNS_A / 4u;
  for (var i = thread; i < ROWS_A * across; i += THREADS) {
    let place = vec2u(i / across, 4u * (i % across));
    let at = first + place;
    let values = select(vec4f(), loadA(z * params.aStride + at.x * size.y + at.y), isInside(at, size));
    let start = place.x * ROW_A + place.y;
    tileA[start] = Component(values.x);
    tileA[start + 1u] = Component(values.y);
    tileA[start + 2u] = Component(values.z);
    tileA[start + 3u] = Component(values.w);
  }
}

// Of B the rows from k and the columns from n on; zeros outside of it.
fn putB(thread: u32, n: u32, k: u32, z: u32) {
  let size = select(vec2u(params.K, params.N), vec2u(params.N, params.K), TURN_B);
  let first = select(vec2u(k, n), vec2u(n, k), TURN_B);
  let across = COLUMNS_B / 4u;
  for (var i = thread; i < ROWS_B * across; i += THREADS) {
    let place = vec2u(i / across, 4u * (i % across));
    let at = first + place;
    let values = select(vec4f(), loadB(z * params.bStride + at.x * size.y + at.y), isInside(at, size));
    let start = place.x * ROW_B + place.y;
    tileB[start] = Component(values.x);
    tileB[start + 1u] = Component(values.y);
    tileB[start + 2u] = Component(values.z);
    tileB[start + 3u] = Component(values.w);
  }
}

fn loadA(at: u32) -> vec4f { return vec4f(a[at], a[at + 1u], a[at + 2u], a[at + 3u]); }
fn loadB(at: u32) -> vec4f { return vec4f(f32(b[at]), f32(b[at + 1u]), f32(b[at + 2u]), f32(b[at + 3u])); }

// Which of four neighbours in a stored row lie in the matrix.
fn isInside(at: vec2u, size: vec2u) -> vec4<bool> {
  return vec4<bool>(at.x < size.x) & (vec4u(at.y) + vec4u(0u, 1u, 2u, 3u) < vec4u(size.y));
}

// What of a matrix lies in c.
fn storeEdge(sum: MatrixC, own: u32, lane: u32, at: vec2u, z: u32) {
  let start = own * MATRIX_M * MATRIX_N;
  workgroupBarrier(); // the matrix before is stored
  subgroupMatrixStore<row_major>(&border, start, sum, MATRIX_N);
  workgroupBarrier();
  for (var i = lane; i < MATRIX_M * MATRIX_N; i += SUBGROUP) {
    let place = at + vec2u(i / MATRIX_N, i % MATRIX_N);
    if (all(place < vec2u(params.M, params.N))) {
      c[z * params.cStride + place.x * params.N + place.y] = border[start + i];
    }
  }
}
