// matmulTiled: one workgroup per tile of c, through workgroup memory. The kernel for GPUs: any sizes, any layout, no subgroups.
//   c[z,m,n] = Σ_k A[z,m,k] · B[z,k,n]      A is a, or its transpose with TURN_A; B is b, or its transpose with TURN_B
//
// In a step the workgroup takes STEP columns of A and as many rows of B, in blocks of 4 × 4 whose vectors lie along the
// stored rows. A block that is stored the other way round is turned in registers, so every layout has the same loop.
// The blocks of the next step are fetched before the products of this one, and arrive while those are computed.
//
// A thread computes ROWS × COLUMNS of c, each 4 or 8: rows THREADS_M apart and vectors of columns THREADS_N apart, so
// that neighbouring threads read and write neighbouring vectors. Outside of the matrices everything is zero.

override THREADS_M: u32 = 8;
override THREADS_N: u32 = 8;
override ROWS: u32 = 4;
override COLUMNS: u32 = 4;
override STEP: u32 = 16; // a multiple of 4; the blocks of a step are at most two for each thread
override BUFFERS: u32 = 1; // 2: twice the workgroup memory, half the barriers
override TURN_A: bool = false;
override TURN_B: bool = false;

override TILE_M: u32 = THREADS_M * ROWS;
override TILE_N: u32 = THREADS_N * COLUMNS;
override THREADS: u32 = THREADS_M * THREADS_N;
override BLOCKS_A: u32 = TILE_M * STEP / 16u;
override BLOCKS_B: u32 = TILE_N * STEP / 16u;
override TILE: u32 = (TILE_M + TILE_N) * STEP / 4u; // vectors

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

// Of A vectors along k, [k / 4][m]; behind them of B vectors along n, [k][n / 4].
var<workgroup> tile: array<vec4f, BUFFERS * TILE>;

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let corner = vec3u(group.y * TILE_M, group.x * TILE_N, group.z);
  // Four rows and four columns each; [i] is row i of its four.
  var sum00 = mat4x4f();
  var sum01 = mat4x4f();
  var sum10 = mat4x4f();
  var sum11 = mat4x4f();
  var first = fetch(thread, 0u, corner);
  var second = fetch(thread + THREADS, 0u, corner);
  for (var k = 0u; k < params.K; k += STEP) {
    let start = k / STEP % BUFFERS * TILE;
    if (BUFFERS == 1u) {
      workgroupBarrier(); // all have read the step before
    }
    put(thread, start, first);
    put(thread + THREADS, start, second);
    workgroupBarrier();
    first = fetch(thread, k + STEP, corner);
    second = fetch(thread + THREADS, k + STEP, corner);

    var rowAt = start + local.y;
    var columnAt = start + TILE_M * STEP / 4u + local.x;
    for (var i = 0u; i < STEP; i += 4u) {
      // What is not used, because a thread has four rows or columns only, is not loaded either.
      let rows0 = rowsOf(rowAt);
      let rows1 = rowsOf(rowAt + 4u * THREADS_M);
      let w0 = columnsOf(columnAt);
      let w1 = columnsOf(columnAt + THREADS_N);
      sum00 += w0 * rows0;
      if (ROWS == 8u) {
        sum10 += w0 * rows1;
      }
      if (COLUMNS == 8u) {
        sum01 += w1 * rows0;
      }
      if (ROWS == 8u && COLUMNS == 8u) {
        sum11 += w1 * rows1;
      }
      rowAt += TILE_M;
      columnAt += TILE_N;
    }
  }

  let at = corner.xy + vec2u(local.y, 4u * local.x);
  store(at, corner.z, sum00);
  if (ROWS == 8u) {
    store(at + vec2u(4u * THREADS_M, 0u), corner.z, sum10);
  }
  if (COLUMNS == 8u) {
    store(at + vec2u(0u, 4u * THREADS_N), corner.z, sum01);
  }
  if (ROWS == 8u && COLUMNS == 8u) {
    store(at + vec2u(4u * THREADS_M, 4u * THREADS_N), corner.z, sum11);
  }
}

// Four rows of A, THREADS_M apart, at four neighbouring k.
fn rowsOf(at: u32) -> mat4x4f {
  return mat4x4f(tile[at], tile[at + THREADS_M], tile[at + 2u * THREADS_M], tile[at + 3u * THREADS_M]);
}

// Four columns of B at four neighbouring k.
fn columnsOf(at: u32) -> mat4x4f {
  let stride = TILE_N / 4u;
  return mat4x4f(tile[at], tile[at + stride], tile[at + 2u * stride], tile[at + 3u * stride]);
}

// A block of the step that begins at k: of A as four rows, of B as four k. Lanes that follow each other go along the stored row.
fn fetch(block: u32, k: u32, corner: vec3u) -> mat4x4f {
  if (block < BLOCKS_A) {
    if (TURN_A) {
      return transpose(blockOfA(vec2u(k, corner.x) + placeOf(block, TILE_M / 4u), corner.z));
    }
    return blockOfA(vec2u(corner.x, k) + placeOf(block, STEP / 4u), corner.z);
  }
  if (block < BLOCKS_A + BLOCKS_B) {
    if (TURN_B) {
      return transpose(blockOfB(vec2u(corner.y, k) + placeOf(block - BLOCKS_A, STEP / 4u), corner.z));
    }
    return blockOfB(vec2u(k, corner.y) + placeOf(block - BLOCKS_A, TILE_N / 4u), corner.z);
  }
  return mat4x4f();
}

// Puts a block where `fetch` took it from, into the tile that begins at `start`.
fn put(block: u32, start: u32, values: mat4x4f) {
  var at = start;
  var stride = 1u;
  if (block < BLOCKS_A) {
    let place = placeOf(block, select(STEP, TILE_M, TURN_A) / 4u);
    let mk = select(place, place.yx, TURN_A);
    at += mk.y / 4u * TILE_M + mk.x;
  } else {
    let place = placeOf(block - BLOCKS_A, select(TILE_N, STEP, TURN_B) / 4u);
    let kn = select(place, place.yx, TURN_B);
    stride = TILE_N / 4u;
    at += TILE_M * STEP / 4u + kn.x * stride + kn.y / 4u;
  }
  if (block < BLOCKS_A + BLOCKS_B) {
    tile[at] = values[0];
    tile[at + stride] = values[1];
    tile[at + 2u * stride] = values[2];
    tile[at + 3u * stride] = values[3];
  }
}

// Stored row and column at which a block begins, with `across` blocks in a row of them.
fn placeOf(block: u32, across: u32) -> vec2u {
  return 4u * vec2u(block / across, block % across);
}

fn blockOfA(at: vec2u, z: u32) -> mat4x4f {
  let size = select(vec2u(params.M, params.K), vec2u(params.K, params.M), TURN_A);
  let start = z * params.aStride + at.x * size.y + at.y;
  return mat4x4f(
    select(vec4f(), loadA(start), isInside(at, size)),
    select(vec4f(), loadA(start + size.y), isInside(at + vec2u(1u, 0u), size)),
    select(vec4f(), loadA(start + 2u * size.y), isInside(at + vec2u(2u, 0u), size)),
    select(vec4f(), loadA(start + 3u * size.y), isInside(at + vec2u(3u, 0u), size)),
  );
}

fn blockOfB(at: vec2u, z: u32) -> mat4x4f {
  let size = select(vec2u(params.K, params.N), vec2u(params.N, params.K), TURN_B);
  let start = z * params.bStride + at.x * size.y + at.y;
  return mat4x4f(
    select(vec4f(), loadB(start), isInside(at, size)),
    select(vec4f(), loadB(start + size.y), isInside(at + vec2u(1u, 0u), size)),
    select(vec4f(), loadB(start + 2u * size.y), isInside(at + vec2u(2u, 0u), size)),
    select(vec4f(), loadB(start + 3u * size.y), isInside(at + vec2u(3u, 0u), size)),
  );
}

fn loadA(at: u32) -> vec4f { return vec4f(a[at], a[at + 1u], a[at + 2u], a[at + 3u]); }
fn loadB(at: u32) -> vec4f { return vec4f(f32(b[at]), f32(b[at + 1u]), f32(b[at + 2u]), f32(b[at + 3u])); }

// Which of four neighbours in a stored row lie in the matrix.
fn isInside(at: vec2u, size: vec2u) -> vec4<bool> {
  return vec4<bool>(at.x < size.x) & (vec4u(at.y) + vec4u(0u, 1u, 2u, 3u) < vec4u(size.y));
}

// Four rows, THREADS_M apart, of four columns.
fn store(at: vec2u, z: u32, sum: mat4x4f) {
  storeRow(at, z, sum[0]);
  storeRow(at + vec2u(THREADS_M, 0u), z, sum[1]);
  storeRow(at + vec2u(2u * THREADS_M, 0u), z, sum[2]);
  storeRow(at + vec2u(3u * THREADS_M, 0u), z, sum[3]);
}

fn storeRow(at: vec2u, z: u32, values: vec4f) {
  let start = z * params.cStride + at.x * params.N + at.y;
  for (var i = 0u; i < 4u; i++) {
    if (at.x < params.M && at.y + i < params.N) {
      c[start + i] = values[i];
    }
  }
}
