// rmsNormGain: one lane per column c; a workgroup sums `rows` rows of x (N, C) into one row of partial sums.
//
//   part[s,c] = Σ_{n in slice s} dy[n,c] · x[n,c] · r[n]      dg[c] = Σ_s part[s,c], by reduceColumns

override LANES: u32 = 8;

struct Params {
  N: u32,
  C: u32,
  rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;           // (N, C)
@group(0) @binding(2) var<storage, read> r: array<f32>;           // (N)
@group(0) @binding(3) var<storage, read> dy: array<f32>;          // (N, C)
@group(0) @binding(4) var<storage, read_write> part: array<f32>;  // (S, C)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let c = group.x * LANES + lane;
  if (c < params.C) {
    let end = min(params.N, (group.y + 1u) * params.rows);
    var sum = 0.0;
    for (var n = group.y * params.rows; n < end; n++) {
      sum += dy[n * params.C + c] * x[n * params.C + c] * r[n];
    }
    part[group.y * params.C + c] = sum;
  }
}
