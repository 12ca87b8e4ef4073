// rope: rotates every pair (j, j + D/2) of every head of x (N, T, H, D); a workgroup takes `rows` of the N·T rows and, of
// their H·D/2 pairs, LANES·steps. `sign` −1 rotates back, which is the derivative.
//
//   y[j] = x[j]·cos − x[j + D/2]·sin      y[j + D/2] = x[j + D/2]·cos + x[j]·sin      angle (start + t)·base^(−2j/D)
//
// Where D/2 is a multiple of 4, Vector is vec4f and HALF counts vectors.

override LANES: u32 = 8;
override HALF: u32 = 16; // D/2

alias Vector = f32;

struct Params {
  rows: u32,
  steps: u32,
  total: u32, // N·T
  T: u32,
  H: u32,
  start: u32,
  sign: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Vector>;        // (N, T, H, D)
@group(0) @binding(2) var<storage, read> angles: array<Vector>;   // (positions, D): cosines, then sines
@group(0) @binding(3) var<storage, read_write> y: array<Vector>;  // (N, T, H, D)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * LANES * params.steps + lane;
  let last = min(params.H * HALF, first + params.steps * LANES);
  let end = min(params.total, (group.y + 1u) * params.rows);
  for (var row = group.y * params.rows; row < end; row++) {
    let position = (params.start + row % params.T) * 2u * HALF;
    for (var pair = first; pair < last; pair += LANES) {
      let j = pair % HALF;
      let low = (row * params.H + pair / HALF) * 2u * HALF + j;
      let cosine = angles[position + j];
      let sine = angles[position + HALF + j] * params.sign;
      let a = x[low];
      let b = x[low + HALF];
      y[low] = a * cosine - b * sine;
      y[low + HALF] = b * cosine + a * sine;
    }
  }
}
