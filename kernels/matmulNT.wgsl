// matmulNT: one subgroup of 8 lanes per 32 rows × 32 columns of c; a lane owns 4 neighbouring columns.
//   c[z,m,n] = Σ_k a[z,m,k] · b[z,n,k]        (b stored transposed: y = x·Wᵀ, or dx = dy·Wᵀ)
//
// Assumes: subgroups of exactly 8 lanes; K and N divisible by 4, and so the strides. The rest may be ragged.
// Made for lavapipe, where a load costs as much as some ten products: every value is loaded once, by one
// lane, and broadcast (lane l reads 4 neighbouring k of the rows l, l+8, l+16, l+24). All loads of
// a step come before its products. Past the edge a lane repeats the last row or column and so computes
// what the owner computes: no branch is needed, and nothing is read or written outside.

enable subgroups;

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
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (B, M, K)
@group(0) @binding(2) var<storage, read> b: array<vec4<Weight>>; // (B, N, K)
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (B, M, N)

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * 32u;
  let column = min(group.y * 8u + lane, params.N / 4u - 1u); // counts vec4
  let K4 = params.K / 4u;
  let aStart = group.z * params.aStride / 4u;
  let aAt0 = aStart + min(row + lane, params.M - 1u) * K4;
  let aAt1 = aStart + min(row + lane + 8u, params.M - 1u) * K4;
  let aAt2 = aStart + min(row + lane + 16u, params.M - 1u) * K4;
  let aAt3 = aStart + min(row + lane + 24u, params.M - 1u) * K4;
  let bAt = group.z * params.bStride / 4u + column * params.K;

  var sum0: array<vec4f, 8>;
  var sum1: array<vec4f, 8>;
  var sum2: array<vec4f, 8>;
  var sum3: array<vec4f, 8>;
  for (var k = 0u; k < K4; k++) {
    let a0 = a[aAt0 + k];
    let a1 = a[aAt1 + k];
    let a2 = a[aAt2 + k];
    let a3 = a[aAt3 + k];
    let w = mat4x4f(
      vec4f(b[bAt + k]), vec4f(b[bAt + K4 + k]), vec4f(b[bAt + 2u * K4 + k]), vec4f(b[bAt + 3u * K4 + k]));
    addRows(&sum0, a0, w);
    addRows(&sum1, a1, w);
    addRows(&sum2, a2, w);
    addRows(&sum3, a3, w);
  }

  let N4 = params.N / 4u;
  let rows = params.M - row;
  let cAt = group.z * params.cStride / 4u + row * N4 + column;
  storeRows(&sum0, min(rows, 8u), cAt, N4);
  storeRows(&sum1, min(max(rows, 8u) - 8u, 8u), cAt + 8u * N4, N4);
  storeRows(&sum2, min(max(rows, 16u) - 16u, 8u), cAt + 16u * N4, N4);
  storeRows(&sum3, min(max(rows, 24u) - 24u, 8u), cAt + 24u * N4, N4);
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
fn storeRows(sum: ptr<function, array<vec4f, 8>>, count: u32, at: u32, stride: u32) {
  for (var i = 0u; i < count; i++) {
    c[at + i * stride] = (*sum)[i];
  }
}
