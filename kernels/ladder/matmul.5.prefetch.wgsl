// matmul.5.prefetch: one workgroup of 16 × 16 threads per 64 rows × 64 columns of c, as matmul.4.workgroup, with two sets of tiles.
//   c[m,n] = Σ_k a[m,k] · b[k,n]
//
// New: the next tiles are asked for before the present ones are multiplied, and put away after. The wait for memory and the
// arithmetic overlap, and because the new tiles go to the other set, one barrier a step is enough. A GPU hides some hundred
// cycles so; a software adapter has nothing to overlap, and only gains from the barrier that went.
// Assumes: K and N divisible by 4. Outside of the matrices the tiles hold zeros, which add nothing.

const TILE = 64u; // rows and columns of c
const DEPTH = 4u; // vec4 of k in a tile

struct Params { M: u32, N: u32, K: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (M, K)
@group(0) @binding(2) var<storage, read> b: array<vec4f>; // (K, N)
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (M, N)

var<workgroup> aTile: array<array<array<vec4f, DEPTH>, TILE>, 2>; // aTile[side][m][k]: four neighbours along k
var<workgroup> bTile: array<array<array<vec4f, TILE / 4u>, 4u * DEPTH>, 2>; // bTile[side][k][n]: four neighbours along n

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
  let aRow = group.y * TILE + index / DEPTH;
  let aColumn = index % DEPTH;

  aTile[0][index / DEPTH][aColumn] = readA(aRow, aColumn);
  bTile[0][thread.y][thread.x] = readB(thread.y, column);
  workgroupBarrier();

  var sum = mat4x4f(); // sum[i] is row i
  var side = 0u;
  for (var k = 0u; k < K4; k += DEPTH) {
    let nextA = readA(aRow, k + DEPTH + aColumn); // zeros after the last step
    let nextB = readB(4u * (k + DEPTH) + thread.y, column);
    for (var step = 0u; step < DEPTH; step++) {
      let x = mat4x4f(
        aTile[side][4u * thread.y][step], aTile[side][4u * thread.y + 1u][step],
        aTile[side][4u * thread.y + 2u][step], aTile[side][4u * thread.y + 3u][step]);
      let w = mat4x4f(
        bTile[side][4u * step][thread.x], bTile[side][4u * step + 1u][thread.x],
        bTile[side][4u * step + 2u][thread.x], bTile[side][4u * step + 3u][thread.x]);
      sum += w * x;
    }
    side = 1u - side;
    aTile[side][index / DEPTH][aColumn] = nextA;
    bTile[side][thread.y][thread.x] = nextB;
    workgroupBarrier(); // the other side is full, and this one is no longer read
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
