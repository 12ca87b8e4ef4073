// squares: every lane sums the squares of up to `steps` vectors of x (size) into one place of part, from `offset` on.
//
//   part[offset + lane id] = Σ_{i of this lane} x[i]²      elements behind `size` are padding and count as 0

override LANES: u32 = 8;

struct Params {
  size: u32,
  steps: u32,
  offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;          // (⌈size/4⌉)
@group(0) @binding(2) var<storage, read_write> part: array<f32>;   // (sum of all lanes)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let place = group.y * groups.x + group.x;
  let first = place * LANES * params.steps + lane;
  var sum = vec4f(0.0);
  let end = min((params.size + 3u) / 4u, first + params.steps * LANES);
  for (var i = first; i < end; i += LANES) {
    let value = select(vec4f(0.0), x[i], 4u * i + vec4u(0, 1, 2, 3) < vec4u(params.size));
    sum += value * value;
  }
  part[params.offset + place * LANES + lane] = sum.x + sum.y + sum.z + sum.w;
}
