// matmulNTWindow: one subgroup of 8 lanes per 32 rows × 32 columns of c; a lane owns 4 neighbouring columns.
//   c[m,n] = Σ_k a[m,k] · b[n,k]        for the N columns of c whose rows of b the window shows
//
// As matmulNT, but b is a uniform: on lavapipe a storage load is a branch for each lane and each component, and a
// uniform load is none. A uniform shows 64 KiB, so a product is one dispatch for each window.
//
// Assumes: subgroups of exactly 8 lanes; K, N and cRow divisible by 4. The rest may be ragged.

enable subgroups;

struct Params {
  M: u32,
  N: u32, // columns of c in this dispatch
  K: u32,
  cRow: u32, // scalars in a row of c
  cColumn: u32, // the first of the N columns
  shift: u32, // vec4 from the start of the window to the first row of b
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (M, K)
@group(0) @binding(2) var<uniform> b: array<vec4f, 4096>; // (N, K), behind `shift`
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (M, cRow)

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * 32u;
  let column = min(group.y * 8u + lane, params.N / 4u - 1u); // counts vec4
  let K4 = params.K / 4u;
  let aAt0 = min(row + lane, params.M - 1u) * K4;
  let aAt1 = min(row + lane + 8u, params.M - 1u) * K4;
  let aAt2 = min(row + lane + 16u, params.M - 1u) * K4;
  let aAt3 = min(row + lane + 24u, params.M - 1u) * K4;
  let bAt = params.shift + column * params.K;

  var sum0: array<vec4f, 8>;
  var sum1: array<vec4f, 8>;
  var sum2: array<vec4f, 8>;
  var sum3: array<vec4f, 8>;
  for (var k = 0u; k < K4; k++) {
    let a0 = a[aAt0 + k];
    let a1 = a[aAt1 + k];
    let a2 = a[aAt2 + k];
    let a3 = a[aAt3 + k];
    let w = mat4x4f(b[bAt + k], b[bAt + K4 + k], b[bAt + 2u * K4 + k], b[bAt + 3u * K4 + k]);
    addRows(&sum0, a0, w);
    addRows(&sum1, a1, w);
    addRows(&sum2, a2, w);
    addRows(&sum3, a3, w);
  }

  let cRow4 = params.cRow / 4u;
  let rows = params.M - row;
  let cAt = row * cRow4 + params.cColumn / 4u + column;
  storeRows(&sum0, min(rows, 8u), cAt, cRow4);
  storeRows(&sum1, min(max(rows, 8u) - 8u, 8u), cAt + 8u * cRow4, cRow4);
  storeRows(&sum2, min(max(rows, 16u) - 16u, 8u), cAt + 16u * cRow4, cRow4);
  storeRows(&sum3, min(max(rows, 24u) - 24u, 8u), cAt + 24u * cRow4, cRow4);
}

// sum[l] += the product of row l, which lane l holds, with w. Written out: a loop here is not unrolled, and
// then the sums live in indexed memory and everything is three times slower.
fn addRows(sum: ptr<function, array<vec4f, 8>>, rows: vec4f, w: mat4x4f) {
  (*sum)[0] += subgroupBroadcast(rows, 0u) * w;
  (*sum)[1] += subgroupBroadcast(rows, 1u) * w;
  (*sum)[2] += subgroupBroadcast(rows, 2u) * w;
  (*sum)[3] += subgroupBroadcast(rows, 3u) * w;
  (*sum)[4] += subgroupBroadcast(rows, 4u) * w;
  (*sum)[5] += subgroupBroadcast(rows, 5u) * w;
  (*sum)[6] += subgroupBroadcast(rows, 6u) * w;
  (*sum)[7] += subgroupBroadcast(rows, 7u) * w;
}

// The bound is only known at run time, which keeps this a loop: stores compile slowly.
fn storeRows(sum: ptr<function, array<vec4f, 8>>, count: u32, at: u32, stride: u32) {
  for (var i = 0u; i < count; i++) {
    c[at + i * stride] = (*sum)[i];
  }
}
