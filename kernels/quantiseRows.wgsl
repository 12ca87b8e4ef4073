// quantiseRows: one lane per two neighbouring groups of a row of w (N, K), which share a word of scales.
//
//   q[n,k] = round(w[n,k] / s[n,g])      |s| = the smallest bf16 >= max(largest / LEVELS, other / (LEVELS − 1/2))
//
// Of a group `largest` is the largest magnitude, and s has the sign that makes −LEVELS of it; `other` is the largest of the
// other sign. Integers are packed from the lowest bits up, padding is 0. Runs once for each weight, so it is simple rather than fast.

override LANES: u32 = 8;
override BITS: u32 = 4;
override LEVELS: u32 = 8; // 2^(BITS − 1)

struct Params {
  N: u32,
  K: u32,
  rowWords: u32,
  rowScales: u32,
  groupSize: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;                  // (N, K)
@group(0) @binding(2) var<storage, read_write> words: array<u32>;        // (N, rowWords)
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;       // (N, rowScales)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let pair = (group.y * groups.x + group.x) * LANES + lane;
  if (pair >= params.N * params.rowScales) {
    return;
  }
  let n = pair / params.rowScales;
  let g = 2u * (pair % params.rowScales);
  scales[pair] = quantiseGroup(n, g) | (quantiseGroup(n, g + 1u) << 16u);
}

// Writes the integers of group g of row n, and returns the bits of its scale; 0 where the row has no such group.
fn quantiseGroup(n: u32, g: u32) -> u32 {
  let first = g * params.groupSize;
  let end = min(first + params.groupSize, params.K);
  var below = 0.0;
  var above = 0.0;
  for (var k = first; k < end; k++) {
    below = min(below, w[n * params.K + k]);
    above = max(above, w[n * params.K + k]);
  }
  let scale = scaleOf(abs(below), abs(above)); // the largest of values that are none but −0 may be −0
  let inverse = 1.0 / bitcast<f32>(scale << 16u);
  let perWord = 32u / BITS;
  for (var k = first; k < end; k += perWord) {
    var word = 0u;
    for (var i = 0u; i < perWord && k + i < end; i++) {
      let q = min(i32(LEVELS) - 1, i32(round(w[n * params.K + k + i] * inverse)));
      word |= (u32(q) & ((1u << BITS) - 1u)) << (BITS * i);
    }
    words[n * params.rowWords + k / perWord] = word;
  }
  let padded = min(first + params.groupSize, params.rowWords * perWord);
  for (var k = (end + perWord - 1u) / perWord * perWord; first < params.K && k < padded; k += perWord) {
    words[n * params.rowWords + k / perWord] = 0u;
  }
  return select(scale, 0u, first >= params.K);
}

// From the magnitudes of the extremes below and above zero.
fn scaleOf(below: f32, above: f32) -> u32 {
  let magnitude = max(
    bf16AtLeast(max(below, above), f32(LEVELS)),
    bf16AtLeast(min(below, above), f32(LEVELS) - 0.5));
  let sized = max(magnitude, 0x0080u); // the smallest whose inverse is an f32
  return select(sized, sized | 0x8000u, above > below);
}

fn bf16AtLeast(largest: f32, parts: f32) -> u32 {
  let bits = bitcast<u32>(largest / parts) >> 16u;
  return select(bits, bits + 1u, bitcast<f32>(bits << 16u) * parts < largest);
}
