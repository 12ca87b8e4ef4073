// copyStrided: y (count) in row-major order from any view x of up to six axes. Each lane copies `steps` elements.
//
//   y[i] = x[offset + Σ_a digit_a(i) · s_a]      digits in the base n1 … n5; the outermost axis, which needs none, is 0
//
// The host merges axes first. Where strides allow, Element is a vector of four, and sizes and strides count vectors.

override LANES: u32 = 8;
override AXES: u32 = 1; // 1 to 6.

alias Element = f32;

struct Params {
  count: u32,
  steps: u32,
  offset: u32,
  n1: u32, n2: u32, n3: u32, n4: u32, n5: u32,
  s0: u32, s1: u32, s2: u32, s3: u32, s4: u32, s5: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // any strides
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (count)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  for (var step = 0u; step < params.steps; step++) {
    let i = first + step * LANES;
    if (i < params.count) {
      y[i] = x[placeOf(i)];
    }
  }
}

fn placeOf(i: u32) -> u32 {
  var rest = i;
  var at = params.offset;
  if (AXES > 1u) {
    let outer = rest / params.n1;
    at += (rest - outer * params.n1) * params.s1;
    rest = outer;
  }
  if (AXES > 2u) {
    let outer = rest / params.n2;
    at += (rest - outer * params.n2) * params.s2;
    rest = outer;
  }
  if (AXES > 3u) {
    let outer = rest / params.n3;
    at += (rest - outer * params.n3) * params.s3;
    rest = outer;
  }
  if (AXES > 4u) {
    let outer = rest / params.n4;
    at += (rest - outer * params.n4) * params.s4;
    rest = outer;
  }
  if (AXES > 5u) {
    let outer = rest / params.n5;
    at += (rest - outer * params.n5) * params.s5;
    rest = outer;
  }
  return at + rest * params.s0;
}
