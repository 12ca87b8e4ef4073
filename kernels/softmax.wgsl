// softmax: one workgroup per row n of x (N, C), then row n + groups; lanes stride over the columns.
//
//   y[n,c] = exp(x[n,c] − m) / Σ_c exp(x[n,c] − m)      m = max_c x[n,c]
//
// Two looks at the row: the first finds m and the sum together (each lane scales its sum down when its maximum grows).

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (N, C)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let row = n * params.columns;
    var m = -3e38;
    var s = 0.0;
    for (var c = lane; c < params.columns; c += LANES) {
      let value = x[row + c];
      let larger = max(m, largest(value));
      s = s * exp(m - larger) + total(exp(value - larger));
      m = larger;
    }
    let rowMax = laneMax(m, lane);
    let scale = 1.0 / laneSum(s * exp(m - rowMax), lane);
    for (var c = lane; c < params.columns; c += LANES) {
      y[row + c] = exp(x[row + c] - rowMax) * scale;
    }
  }
}

fn total(v: Element) -> f32 { return v; }
fn largest(v: Element) -> f32 { return v; }
fn laneSum(value: f32, lane: u32) -> f32 { return sumThroughMemory(value, lane); }
fn laneMax(value: f32, lane: u32) -> f32 { return maxThroughMemory(value, lane); }

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

fn maxThroughMemory(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  var largest = partial[0];
  for (var i = 1u; i < LANES; i++) {
    largest = max(largest, partial[i]);
  }
  workgroupBarrier();
  return largest;
}
