// matmulTNWindows: one subgroup of 8 lanes per 32 rows × 32 columns of c; a lane owns 4 neighbouring columns.
//   c[m,n] (+)= Σ_k a[k,m] · b[k,n]        for the K rows of a and b from `start` on
//
// As matmulTN, but b is four uniforms: on lavapipe a storage load is a branch for each lane and each component, and a
// uniform load is none. Each shows a quarter of the rows, at most 64 KiB, and a step takes one row of each. A product
// with more rows is one dispatch after the other, each adding to c.
//
// Assumes: subgroups of exactly 8 lanes; M and N divisible by 4. The rest may be ragged.

enable subgroups;

struct Params {
  M: u32,
  N: u32,
  K: u32, // rows in this dispatch
  start: u32, // the first of them in a
  shift0: u32, // vec4 from the start of each window to its first row
  shift1: u32,
  shift2: u32,
  shift3: u32,
  accumulate: u32, // 1: add to what c holds
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (all K, M)
@group(0) @binding(2) var<uniform> b0: array<vec4f, 4096>; // (ceil(K / 4), N), behind its shift
@group(0) @binding(3) var<uniform> b1: array<vec4f, 4096>; // likewise
@group(0) @binding(4) var<uniform> b2: array<vec4f, 4096>; // likewise
@group(0) @binding(5) var<uniform> b3: array<vec4f, 4096>; // likewise
@group(0) @binding(6) var<storage, read_write> c: array<vec4f>; // (M, N)

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * 32u;
  let ownColumn = group.y * 8u + lane; // counts vec4
  let column = min(ownColumn, params.N / 4u - 1u);
  let M4 = params.M / 4u;
  let N4 = params.N / 4u;
  let aAt = params.start * M4 + min(row / 4u + lane, M4 - 1u);
  let bAt = vec4u(params.shift0, params.shift1, params.shift2, params.shift3) + column;
  // Quarters begin early enough to be whole; a row that the quarter before has too counts there only.
  let quarter = (params.K + 3u) / 4u;
  let begin = vec4u(0, 1, 2, 3) * quarter;
  let first = min(begin, vec4u(params.K - quarter));

  var sum0: array<vec4f, 8>;
  var sum1: array<vec4f, 8>;
  var sum2: array<vec4f, 8>;
  var sum3: array<vec4f, 8>;
  for (var k = 0u; k < quarter; k++) {
    let step = first + k;
    let counts = vec4f(step >= begin);
    let x = transpose(mat4x4f(
      a[aAt + step.x * M4] * counts.x, a[aAt + step.y * M4] * counts.y,
      a[aAt + step.z * M4] * counts.z, a[aAt + step.w * M4] * counts.w));
    let w = mat4x4f(b0[bAt.x + k * N4], b1[bAt.y + k * N4], b2[bAt.z + k * N4], b3[bAt.w + k * N4]);
    addRows(&sum0, x[0], w);
    addRows(&sum1, x[1], w);
    addRows(&sum2, x[2], w);
    addRows(&sum3, x[3], w);
  }

  // sum_x[l] is row 4l + x.
  // M is divisible by 4, so the four sums of a lane's rows end together. Only the owner of a column adds to it.
  let cAt = row * N4 + column;
  let count = select(0u, min(8u, (params.M - row) / 4u), column == ownColumn);
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
    if params.accumulate == 1u {
      (*sum)[i] += c[at + i * stride];
    }
    c[at + i * stride] = (*sum)[i];
  }
}
