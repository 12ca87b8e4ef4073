// pad: y (A, before + n + after, C) is x (A, n, C) between zeros. Each lane writes `steps` elements.
//
//   y[a, before + j, c] = x[a, j, c]      y = 0 elsewhere

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  count: u32,
  steps: u32,
  n: u32,
  before: u32,
  total: u32,
  C: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // (A, n, C)
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (A, total, C)

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
      let c = i % params.C;
      let j = i / params.C % params.total - params.before; // Wraps to a huge number before the start.
      let a = i / (params.C * params.total);
      var value = Element(0);
      if (j < params.n) {
        value = x[(a * params.n + j) * params.C + c];
      }
      y[i] = value;
    }
  }
}
