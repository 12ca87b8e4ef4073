// dequantiseRows: one workgroup per row n of y (N, C), then row n + groups; lanes stride over the columns.
//
//   y[n,c] = q[index[n] − first, c] · s[index[n] − first, c / params.groupSize]
//
// Where w has no such row y is NaN, which every finite check finds; with KEEP it stays as it is.

override LANES: u32 = 8;
override BITS: u32 = 4;
override KEEP: bool = false;

struct Params {
  N: u32,
  C: u32,
  first: u32,
  rows: u32,
  rowWords: u32,
  rowScales: u32,
  groupSize: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;      // (rows, rowWords)
@group(0) @binding(2) var<storage, read> scales: array<u32>;     // (rows, rowScales)
@group(0) @binding(3) var<storage, read> index: array<u32>;      // (N)
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // (N, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let perWord = 32u / BITS;
  for (var n = group.x; n < params.N; n += groups.x) {
    let row = index[n] - params.first;
    if (row < params.rows) {
      for (var c = lane; c < params.C; c += LANES) {
        let word = words[row * params.rowWords + c / perWord];
        let q = bitcast<i32>(word << (32u - BITS - BITS * (c % perWord))) >> (32u - BITS);
        let pair = scales[row * params.rowScales + c / params.groupSize / 2u];
        let scale = bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, (c / params.groupSize) % 2u == 1u));
        y[n * params.C + c] = f32(q) * scale;
      }
    } else if (!KEEP) {
      for (var c = lane; c < params.C; c += LANES) {
        y[n * params.C + c] = bitcast<f32>(0x7fc00000u | row);
      }
    }
  }
}
