// copyRows: copies A rows of n elements of x into rows of `total` elements of y, at `before`; a workgroup takes `rows` rows
// and, of their elements, LANES·steps.
//
//   y[a, before + j] = x[a, j]
//
// Element is the bits of any four-byte type, vec4u where all sizes allow (they count vectors then), or f16.

override LANES: u32 = 8;

alias Element = u32;

struct Params {
  A: u32,
  n: u32,
  before: u32,
  total: u32,
  rows: u32,
  steps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // (A, n)
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (A, total)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * LANES * params.steps + lane;
  let last = min(params.n, first + params.steps * LANES);
  let end = min(params.A, (group.y + 1u) * params.rows);
  for (var a = group.y * params.rows; a < end; a++) {
    for (var j = first; j < last; j += LANES) {
      y[a * params.total + params.before + j] = x[a * params.n + j];
    }
  }
}
