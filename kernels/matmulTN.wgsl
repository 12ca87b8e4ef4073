// matmulTN: one subgroup of 8 lanes per 32 rows × 32 columns of c; a lane owns 4 neighbouring columns.
//   c[z,m,n] = Σ_k a[z,k,m] · b[z,k,n]        (a stored transposed: dW = xᵀ·dy)
//
// Assumes: subgroups of exactly 8 lanes; M and N divisible by 4, and so the strides. The rest may be ragged.
// Made for lavapipe, where a load costs as much as some ten products: every value is loaded once, by one
// lane, and broadcast (lane l reads the rows 4l … 4l+3 at 4 neighbouring k, and turns them). All loads of
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
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (B, K, M)
@group(0) @binding(2) var<storage, read> b: array<vec4<Weight>>; // (B, K, N)
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (B, M, N)

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * 32u;
  let column = min(group.y * 8u + lane, params.N / 4u - 1u); // counts vec4
  let M4 = params.M / 4u;
  let N4 = params.N / 4u;
  let aAt = group.z * params.aStride / 4u + min(row / 4u + lane, M4 - 1u);
  let bAt = group.z * params.bStride / 4u + column;

  var sum0: array<vec4f, 8>;
  var sum1: array<vec4f, 8>;
  var sum2: array<vec4f, 8>;
  var sum3: array<vec4f, 8>;
  for (var k = 0u; k < params.K; k += 4u) {
    // Beyond K the last step is repeated, with zeros for a.
    let step = min(k + vec4u(0, 1, 2, 3), vec4u(params.K - 1u));
    let inside = vec4f(k + vec4u(0, 1, 2, 3) < vec4u(params.K));
    let x = transpose(mat4x4f(
      a[aAt + step.x * M4] * inside.x, a[aAt + step.y * M4] * inside.y,
      a[aAt + step.z * M4] * inside.z, a[aAt + step.w * M4] * inside.w));
    let w = mat4x4f(
      vec4f(b[bAt + step.x * N4]), vec4f(b[bAt + step.y * N4]),
      vec4f(b[bAt + step.z * N4]), vec4f(b[bAt + step.w * N4]));
    addRows(&sum0, x[0], w);
    addRows(&sum1, x[1], w);
    addRows(&sum2, x[2], w);
    addRows(&sum3, x[3], w);
  }

  // sum_x[l] is row 4l + x.
  // M is divisible by 4, so the four sums of a lane's rows end together.
  let cAt = group.z * params.cStride / 4u + row * N4 + column;
  let count = min(8u, (params.M - row) / 4u);
  storeRows(&sum0, count, cAt, 4u * N4);
  storeRows(&sum1, count, cAt + N4, 4u * N4);
  storeRows(&sum2, count, cAt + 2u * N4, 4u * N4);
  storeRows(&sum3, count, cAt + 3u * N4, 4u * N4);
}

// sum[l] += the product of row l, which lane l holds, with w. Written out: a loop here is not unrolled, and
// then the sums live in indexed memory and everything is three times slower. On lavapipe a shuffle is one instruction, a
// broadcast three.
fn addRows(sum: ptr<function, array<vec4f, 8>>, rows: vec4f, w: mat4x4f) {
  (*sum)[0] += w * subgroupShuffle(rows, 0u);
  (*sum)[1] += w * subgroupShuffle(rows, 1u);
  (*sum)[2] += w * subgroupShuffle(rows, 2u);
  (*sum)[3] += w * subgroupShuffle(rows, 3u);
  (*sum)[4] += w * subgroupShuffle(rows, 4u);
  (*sum)[5] += w * subgroupShuffle(rows, 5u);
  (*sum)[6] += w * subgroupShuffle(rows, 6u);
  (*sum)[7] += w * subgroupShuffle(rows, 7u);
}

// The bound is only known at run time, which keeps this a loop: stores compile slowly.
fn storeRows(sum: ptr<function, array<vec4f, 8>>, count: u32, at: u32, stride: u32) {
  for (var i = 0u; i < count; i++) {
    c[at + i * stride] = (*sum)[i];
  }
}
