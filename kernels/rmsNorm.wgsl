// rmsNorm: one workgroup per row n of x (N, C), then row n + groups; lanes stride over the columns.
//
//   r[n] = (mean_c x[n,c]² + eps)^(-1/2)      y[n,c] = x[n,c] · r[n] · g[c]

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  C: u32,
  columns: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // (N, C)
@group(0) @binding(2) var<storage, read> g: array<Element>;        // (C)
@group(0) @binding(3) var<storage, read_write> y: array<Element>;  // (N, C)
@group(0) @binding(4) var<storage, read_write> r: array<f32>;      // (N)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let row = n * params.columns;
    var squares = Element(0.0);
    for (var c = lane; c < params.columns; c += LANES) {
      let value = x[row + c];
      squares += value * value;
    }
    let scale = inverseSqrt(laneSum(total(squares), lane) / f32(params.C) + params.eps);
    for (var c = lane; c < params.columns; c += LANES) {
      y[row + c] = x[row + c] * scale * g[c];
    }
    if (lane == 0u) {
      r[n] = scale;
    }
  }
}

fn total(v: Element) -> f32 { return v; }
fn laneSum(value: f32, lane: u32) -> f32 { return sumThroughMemory(value, lane); }

fn sumThroughMemory(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += partial[i];
  }
  workgroupBarrier();
  return sum;
}
