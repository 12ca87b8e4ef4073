// softmaxBackward: one workgroup per row n of y (N, C), then row n + groups; lanes stride over the columns.
//
//   dx[n,c] = y[n,c] · (dy[n,c] − Σ_c dy[n,c] · y[n,c])

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;         // (N, C)
@group(0) @binding(2) var<storage, read> dy: array<Element>;        // (N, C)
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;  // (N, C)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let row = n * params.columns;
    var products = Element(0.0);
    for (var c = lane; c < params.columns; c += LANES) {
      products += dy[row + c] * y[row + c];
    }
    let dot = laneSum(total(products), lane);
    for (var c = lane; c < params.columns; c += LANES) {
      dx[row + c] = y[row + c] * (dy[row + c] - dot);
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
