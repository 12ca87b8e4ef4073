// matmulIntTiled: one workgroup of 8 × 8 threads per 32 rows × 32 columns of y; a thread owns 4 × 4 sums.
//   y[m,n] = Σ_g s[n,g] · Σ_{k in g} x[m,k] · q[n,k]        (w quantised by groups of a row: x·wᵀ)
//
// Assumes: K divisible by 4. M and N may be ragged. For GPUs, and wherever subgroups are not 8 lanes: each step
// brings 32 k of both sides to workgroup memory, w widened and scaled once for all rows of the tile. A group is a
// multiple of 32 values, so a step has one scale a column. Past the edge of M and N the last row is repeated and not stored; past K
// w has zeros, and x repeats its last vector.

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
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (M, N)

// 8 vec4 of a row lie 9 apart, so that neighbouring threads use different banks.
var<workgroup> tileX: array<vec4f, 288>; // (32 rows, 9)
var<workgroup> tileW: array<vec4f, 288>; // (32 columns, 9)

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let row = group.y * 32u;
  let column = group.x * 32u;
  let K4 = params.K / 4u;
  var sum0: vec4f; // one vector per row
  var sum1: vec4f;
  var sum2: vec4f;
  var sum3: vec4f;
  for (var first = 0u; first < K4; first += 8u) {
    workgroupBarrier();
    // Lanes of a row are neighbours in memory: 8 threads read 128 bytes of x.
    for (var i = index; i < 256u; i += 64u) {
      let k = first + i % 8u;
      let at = i / 8u * 9u + i % 8u;
      tileX[at] = x[min(row + i / 8u, params.M - 1u) * K4 + min(k, K4 - 1u)];
      tileW[at] = loadW(min(column + i / 8u, params.N - 1u), k);
    }
    workgroupBarrier();
    let xAt = thread.y * 36u;
    let wAt = thread.x * 36u;
    for (var k = 0u; k < 8u; k++) {
      let w = mat4x4f(tileW[wAt + k], tileW[wAt + 9u + k], tileW[wAt + 18u + k], tileW[wAt + 27u + k]);
      sum0 += tileX[xAt + k] * w;
      sum1 += tileX[xAt + 9u + k] * w;
      sum2 += tileX[xAt + 18u + k] * w;
      sum3 += tileX[xAt + 27u + k] * w;
    }
  }
  let m = row + thread.y * 4u;
  let n = column + thread.x * 4u;
  store(m, n, sum0);
  store(m + 1u, n, sum1);
  store(m + 2u, n, sum2);
  store(m + 3u, n, sum3);
}

// Four neighbours of row n of w. A row of w is padded with zeros to whole groups, so k may lie behind K.
fn loadW(n: u32, k: u32) -> vec4f {
  let word = words[n * params.rowWords + k * BITS / 8u] >> select(0u, 16u, BITS == 4u && k % 2u == 1u);
  let g = 4u * k / params.groupSize;
  let scale = bitcast<f32>((scales[n * params.rowScales + g / 2u] >> (16u * (g % 2u))) << 16u);
  let top = vec4i(bitcast<i32>(word)) << (vec4u(32u - BITS) - BITS * vec4u(0, 1, 2, 3));
  return vec4f(top >> vec4u(32u - BITS)) * scale;
}

fn store(m: u32, n: u32, sum: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    if (m < params.M && n + i < params.N) {
      y[m * params.N + n + i] = sum[i];
    }
  }
}
