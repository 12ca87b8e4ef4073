// reduceColumns: one lane per column c of x (N, C); sums (or takes the maximum of) `rows` rows into one row of y (S, C).
//
//   y[s,c] = scale · Σ_{n in slice s} x[n,c]

override LANES: u32 = 8;

struct Params {
  N: u32,
  C: u32,
  rows: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // (S, C)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.x * LANES + lane;
  if (c < params.C) {
    let end = min(params.N, (group.y + 1u) * params.rows);
    var sum = 0.0;
    for (var n = group.y * params.rows; n < end; n++) {
      sum += x[n * params.C + c];
    }
    y[group.y * params.C + c] = sum * params.scale;
  }
}
