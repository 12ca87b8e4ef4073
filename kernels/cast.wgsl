// cast: y (4·count) is x in another float type, four elements a step; each lane takes `steps` of them.
//
//   y[i] = x[i], rounded to the nearest where To is narrower

override LANES: u32 = 8;

alias From = f32;
alias To = f32;

struct Params {
  count: u32,
  steps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<From>>;      // (count)
@group(0) @binding(2) var<storage, read_write> y: array<vec4<To>>;  // (count)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  let end = min(params.count, first + params.steps * LANES);
  for (var i = first; i < end; i += LANES) {
    y[i] = vec4<To>(x[i]);
  }
}
