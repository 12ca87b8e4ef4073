// matmulInt: one subgroup of 8 lanes per 32 rows × 32 columns of y; a lane owns 4 neighbouring columns.
//   y[m,n] = Σ_g s[n,g] · Σ_{k in g} x[m,k] · q[n,k]        (w quantised by groups of a row: x·wᵀ)
//
// Assumes: subgroups of exactly 8 lanes; K and N divisible by 4. M may be ragged.
// As matmulNT, with integers that are widened and scaled as they are read: a word of w is 8 or 4 values, so it
// loads less than f32 does.

enable subgroups;

override BITS: u32 = 4;

struct Params {
  M: u32,
  N: u32,
  K: u32,
  rowWords: u32,
  rowScales: u32,
  groupSize: u32, // a multiple of 32
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // (M, K)
@group(0) @binding(2) var<storage, read> words: array<u32>; // (N, rowWords)
@group(0) @binding(3) var<storage, read> scales: array<u32>; // (N, rowScales)
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>; // (M, N)

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * 32u;
  let column = min(group.y * 8u + lane, params.N / 4u - 1u); // counts vec4
  let K4 = params.K / 4u;
  let group4 = params.groupSize / 4u;
  let xAt0 = min(row + lane, params.M - 1u) * K4;
  let xAt1 = min(row + lane + 8u, params.M - 1u) * K4;
  let xAt2 = min(row + lane + 16u, params.M - 1u) * K4;
  let xAt3 = min(row + lane + 24u, params.M - 1u) * K4;
  let columns = 4u * column + vec4u(0, 1, 2, 3);
  let wordsAt = columns * params.rowWords;
  let scalesAt = columns * params.rowScales;

  var sum0: array<vec4f, 8>;
  var sum1: array<vec4f, 8>;
  var sum2: array<vec4f, 8>;
  var sum3: array<vec4f, 8>;
  for (var first = 0u; first < K4; first += group4) {
    let scale = scalesOf(scalesAt, first / group4);
    let end = min(first + group4, K4);
    for (var k = first; k < end; k++) {
      let at = wordsAt + k * BITS / 8u;
      let shift = select(0u, 16u, BITS == 4u && k % 2u == 1u);
      let x0 = x[xAt0 + k];
      let x1 = x[xAt1 + k];
      let x2 = x[xAt2 + k];
      let x3 = x[xAt3 + k];
      let w = mat4x4f(
        integers(words[at.x], shift) * scale.x,
        integers(words[at.y], shift) * scale.y,
        integers(words[at.z], shift) * scale.z,
        integers(words[at.w], shift) * scale.w);
      addRows(&sum0, x0, w);
      addRows(&sum1, x1, w);
      addRows(&sum2, x2, w);
      addRows(&sum3, x3, w);
    }
  }

  let N4 = params.N / 4u;
  let rows = params.M - row;
  let yAt = row * N4 + column;
  storeRows(&sum0, min(rows, 8u), yAt, N4);
  storeRows(&sum1, min(max(rows, 8u) - 8u, 8u), yAt + 8u * N4, N4);
  storeRows(&sum2, min(max(rows, 16u) - 16u, 8u), yAt + 16u * N4, N4);
  storeRows(&sum3, min(max(rows, 24u) - 24u, 8u), yAt + 24u * N4, N4);
}

// The scale of group g in each of four rows of w.
fn scalesOf(rowAt: vec4u, g: u32) -> vec4f {
  let at = rowAt + g / 2u;
  let pairs = vec4u(scales[at.x], scales[at.y], scales[at.z], scales[at.w]);
  return bitcast<vec4f>((pairs >> vec4u(16u * (g % 2u))) << vec4u(16u));
}

// Four neighbours of a word, from bit `shift` on: moved to the top, and back with their sign.
fn integers(word: u32, shift: u32) -> vec4f {
  let top = vec4i(bitcast<i32>(word >> shift)) << (vec4u(32u - BITS) - BITS * vec4u(0, 1, 2, 3));
  return vec4f(top >> vec4u(32u - BITS));
}

// sum[l] += the product of row l, which lane l holds, with w. Written out, as in matmulNT.
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
    y[at + i * stride] = (*sum)[i];
  }
}
