// matmulNTWindows: one subgroup of 8 lanes per 32 rows × 32 columns of c; a lane owns one column of each quarter.
//   c[m,n] = Σ_k a[m,k] · b[n,k]        for the N columns of c whose rows of b the windows show
//
// As matmulNT, but b is four uniforms: on lavapipe a storage load is a branch for each lane and each component, and a
// uniform load is none. Each shows 64 KiB, so four show four quarters of the rows of b, and a product with more is one
// dispatch for each N columns. A lane's columns lie a quarter apart, so its sums are stored one by one.
//
// Assumes: subgroups of exactly 8 lanes; K and N divisible by 4. The rest may be ragged.

enable subgroups;

struct Params {
  M: u32,
  N: u32, // columns of c in this dispatch
  K: u32,
  cRow: u32, // scalars in a row of c
  cColumn: u32, // the first of the N columns
  shift0: u32, // vec4 from the start of each window to its first row
  shift1: u32,
  shift2: u32,
  shift3: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (M, K)
@group(0) @binding(2) var<uniform> b0: array<vec4f, 4096>; // (N / 4, K), behind its shift
@group(0) @binding(3) var<uniform> b1: array<vec4f, 4096>; // likewise
@group(0) @binding(4) var<uniform> b2: array<vec4f, 4096>; // likewise
@group(0) @binding(5) var<uniform> b3: array<vec4f, 4096>; // likewise
@group(0) @binding(6) var<storage, read_write> c: array<f32>; // (M, cRow)

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * 32u;
  let quarter = params.N / 4u;
  let column = min(group.y * 8u + lane, quarter - 1u); // in each quarter
  let K4 = params.K / 4u;
  let aAt0 = min(row + lane, params.M - 1u) * K4;
  let aAt1 = min(row + lane + 8u, params.M - 1u) * K4;
  let aAt2 = min(row + lane + 16u, params.M - 1u) * K4;
  let aAt3 = min(row + lane + 24u, params.M - 1u) * K4;
  let bAt = vec4u(params.shift0, params.shift1, params.shift2, params.shift3) + column * K4;

  var sum0: array<vec4f, 8>;
  var sum1: array<vec4f, 8>;
  var sum2: array<vec4f, 8>;
  var sum3: array<vec4f, 8>;
  for (var k = 0u; k < K4; k++) {
    let a0 = a[aAt0 + k];
    let a1 = a[aAt1 + k];
    let a2 = a[aAt2 + k];
    let a3 = a[aAt3 + k];
    let w = mat4x4f(b0[bAt.x + k], b1[bAt.y + k], b2[bAt.z + k], b3[bAt.w + k]);
    addRows(&sum0, a0, w);
    addRows(&sum1, a1, w);
    addRows(&sum2, a2, w);
    addRows(&sum3, a3, w);
  }

  let rows = params.M - row;
  let cAt = row * params.cRow + params.cColumn + column;
  storeRows(&sum0, min(rows, 8u), cAt);
  storeRows(&sum1, min(max(rows, 8u) - 8u, 8u), cAt + 8u * params.cRow);
  storeRows(&sum2, min(max(rows, 16u) - 16u, 8u), cAt + 16u * params.cRow);
  storeRows(&sum3, min(max(rows, 24u) - 24u, 8u), cAt + 24u * params.cRow);
}

// sum[l] += the product of row l, which lane l holds, with w. Written out: a loop here is not unrolled, and
// then the sums live in indexed memory and everything is three times slower. On lavapipe a shuffle is one instruction, a
// broadcast three.
fn addRows(sum: ptr<function, array<vec4f, 8>>, rows: vec4f, w: mat4x4f) {
  (*sum)[0] += subgroupShuffle(rows, 0u) * w;
  (*sum)[1] += subgroupShuffle(rows, 1u) * w;
  (*sum)[2] += subgroupShuffle(rows, 2u) * w;
  (*sum)[3] += subgroupShuffle(rows, 3u) * w;
  (*sum)[4] += subgroupShuffle(rows, 4u) * w;
  (*sum)[5] += subgroupShuffle(rows, 5u) * w;
  (*sum)[6] += subgroupShuffle(rows, 6u) * w;
  (*sum)[7] += subgroupShuffle(rows, 7u) * w;
}

// The bound is only known at run time, which keeps this a loop: stores compile slowly.
fn storeRows(sum: ptr<function, array<vec4f, 8>>, count: u32, start: u32) {
  let quarter = params.N / 4u;
  for (var i = 0u; i < count; i++) {
    let at = start + i * params.cRow;
    c[at] = (*sum)[i].x;
    c[at + quarter] = (*sum)[i].y;
    c[at + 2u * quarter] = (*sum)[i].z;
    c[at + 3u * quarter] = (*sum)[i].w;
  }
}
