// reduceColumns: one lane per column c of x (N, C); sums `rows` rows into one row of y (S, C).
//
//   y[s,c] = scale · Σ_{n in slice s} x[n,c]
//
// Sixteen rows at a time have a register of their own: one long sum loses the low bits of what it gains late.

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
  rows: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (S, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let c = (group.z * groups.x + group.x) * LANES + lane;
  if (c < params.columns) {
    let end = min(params.N, (group.y + 1u) * params.rows);
    var n = group.y * params.rows;
    var sum = Element(0.0);
    while (n < end) {
      let stop = min(n + 16u, end);
      var part = Element(0.0);
      for (; n < stop; n++) {
        part += x[n * params.columns + c];
      }
      sum += part;
    }
    y[group.y * params.columns + c] = sum * params.scale;
  }
}
