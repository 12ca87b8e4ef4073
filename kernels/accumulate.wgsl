// accumulate: y (4·count) += x, four elements a step; each lane takes `steps` of them.
//
//   y[i] = y[i] + x[i]

override LANES: u32 = 8;

struct Params {
  count: u32,
  steps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;        // (count)
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;  // (count)

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
      y[i] += x[i];
    }
  }
}
