// rmsNorm: one workgroup of LANES lanes per ROWS rows n of x (N, C); lanes stride over the columns.
//
//   r[n] = (mean_c x[n,c]² + eps)^(-1/2)      y[n,c] = x[n,c] · r[n] · g[c]

override LANES: u32 = 8;

struct Params {
  N: u32,
  C: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // (N, C)
@group(0) @binding(2) var<storage, read> g: array<f32>;        // (C)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // (N, C)
@group(0) @binding(4) var<storage, read_write> r: array<f32>;  // (N)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x * params.C;
  var squares = 0.0;
  for (var c = lane; c < params.C; c += LANES) {
    let value = x[row + c];
    squares += value * value;
  }
  partial[lane] = squares;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += partial[i];
  }
  let scale = inverseSqrt(sum / f32(params.C) + params.eps);
  for (var c = lane; c < params.C; c += LANES) {
    y[row + c] = x[row + c] * scale * g[c];
  }
  if (lane == 0u) {
    r[group.x] = scale;
  }
}
