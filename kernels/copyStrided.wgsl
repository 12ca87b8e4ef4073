// copyStrided: y (count) in row-major order from any view x of up to six axes. Each lane copies `steps` elements.
//
//   y[i] = x[offset + Σ_a index_a(i) · s_a]      index_a: digits of i in the mixed base n0 n1 … n5

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  count: u32,
  steps: u32,
  offset: u32,
  n0: u32, n1: u32, n2: u32, n3: u32, n4: u32, n5: u32,
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
      var rest = i;
      var at = params.offset;
      at += rest % params.n5 * params.s5;
      rest /= params.n5;
      at += rest % params.n4 * params.s4;
      rest /= params.n4;
      at += rest % params.n3 * params.s3;
      rest /= params.n3;
      at += rest % params.n2 * params.s2;
      rest /= params.n2;
      at += rest % params.n1 * params.s1;
      rest /= params.n1;
      at += rest * params.s0;
      y[i] = x[at];
    }
  }
}
