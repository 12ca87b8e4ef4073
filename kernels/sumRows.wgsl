// sumRows: one workgroup per slice of a row of x (N, C), then slice + groups; lanes stride over the slice.
//
//   y[n,s] = scale · Σ_{c in slice s} x[n,c]
//
// Long rows are cut into S slices of `length` columns so that one of them fills the device; a second run sums the slices.

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  count: u32,
  columns: u32,
  slices: u32,
  length: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;       // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // (N, S)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var i = group.x; i < params.count; i += groups.x) {
    let row = i / params.slices * params.columns;
    let start = i % params.slices * params.length;
    let end = min(start + params.length, params.columns);
    var sum = Element(0.0);
    for (var c = start + lane; c < end; c += LANES) {
      sum += x[row + c];
    }
    let all = laneSum(total(sum), lane);
    if (lane == 0u) {
      y[i] = all * params.scale;
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
