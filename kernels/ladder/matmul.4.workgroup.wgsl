// matmul.4.workgroup: one workgroup of 16 × 16 threads per 64 rows × 64 columns of c; a thread owns 4 × 4 of them.
//   c[m,n] = Σ_k a[m,k] · b[k,n]
//
// New: the threads of a workgroup share what they load. Together they fetch a tile of a (64 × 16) and one of b (16 × 64) into
// workgroup memory, wait for each other, and multiply from there: each value comes from memory once for 64 rows or columns
// instead of once for 4. This is the classic kernel for a GPU, whose workgroup memory is as near as its first cache.
// On a software adapter workgroup memory is ordinary memory, and a barrier means that all 256 threads are laid aside and
// taken up again: slower there than matmul.3.vec4. Read it for the GPU.
// Assumes: K and N divisible by 4. Outside of the matrices the tiles hold zeros, which add nothing.

const TILE = 64u; // rows and columns of c
const DEPTH = 4u; // vec4 of k in a tile

struct Params { M: u32, N: u32, K: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (M, K)
@group(0) @binding(2) var<storage, read> b: array<vec4f>; // (K, N)
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (M, N)

var<workgroup> aTile: array<array<vec4f, DEPTH>, TILE>; // aTile[m][k]: four neighbours along k
var<workgroup> bTile: array<array<vec4f, TILE / 4u>, 4u * DEPTH>; // bTile[k][n]: four neighbours along n

@compute @workgroup_size(16, 16)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let K4 = params.K / 4u;
  let N4 = params.N / 4u;
  let column = group.x * TILE / 4u + thread.x; // counts vec4, as do K4 and N4
  let row = group.y * TILE + 4u * thread.y;
  // 256 threads fetch 256 vec4 of either tile: one each.
  let aRow = group.y * TILE + index / DEPTH;
  let aColumn = index % DEPTH;

  var sum = mat4x4f(); // sum[i] is row i
  for (var k = 0u; k < K4; k += DEPTH) {
    aTile[index / DEPTH][aColumn] = readA(aRow, k + aColumn);
    bTile[thread.y][thread.x] = readB(4u * k + thread.y, column);
    workgroupBarrier(); // the tiles are full
    for (var step = 0u; step < DEPTH; step++) {
      let x = mat4x4f(
        aTile[4u * thread.y][step], aTile[4u * thread.y + 1u][step], aTile[4u * thread.y + 2u][step], aTile[4u * thread.y + 3u][step]);
      let w = mat4x4f(
        bTile[4u * step][thread.x], bTile[4u * step + 1u][thread.x], bTile[4u * step + 2u][thread.x], bTile[4u * step + 3u][thread.x]);
      sum += w * x;
    }
    workgroupBarrier(); // nobody needs them any more
  }

  for (var i = 0u; i < 4u; i++) {
    if (row + i < params.M && column < N4) { c[(row + i) * N4 + column] = sum[i]; }
  }
}

fn readA(m: u32, k4: u32) -> vec4f {
  if (m < params.M && k4 < params.K / 4u) { return a[m * (params.K / 4u) + k4]; }
  return vec4f();
}

fn readB(k: u32, n4: u32) -> vec4f {
  if (k < params.K && n4 < params.N / 4u) { return b[k * (params.N / 4u) + n4]; }
  return vec4f();
}
