// rmsNormGain: one lane per column c; a workgroup sums `rows` rows of x (N, C) into one row of partial sums.
//
//   part[s,c] = Σ_{n in slice s} dy[n,c] · x[n,c] · r[n]      dg[c] = Σ_s part[s,c], by reduceColumns

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
  rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;           // (N, C)
@group(0) @binding(2) var<storage, read> r: array<f32>;               // (N)
@group(0) @binding(3) var<storage, read> dy: array<Element>;          // (N, C)
@group(0) @binding(4) var<storage, read_write> part: array<Element>;  // (S, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let c = (group.z * groups.x + group.x) * LANES + lane;
  if (c < params.columns) {
    let end = min(params.N, (group.y + 1u) * params.rows);
    var sum = Element(0.0);
    for (var n = group.y * params.rows; n < end; n++) {
      sum += dy[n * params.columns + c] * x[n * params.columns + c] * r[n];
    }
    part[group.y * params.columns + c] = sum;
  }
}
