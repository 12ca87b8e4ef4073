// maxRows: one workgroup per row n of x (N, C), then row n + groups; lanes stride over the columns.
//
//   y[n] = max_c x[n,c]      at[n] = the first c where x[n,c] = y[n]
//
// Each lane keeps its first maximum; the row's is the one with the largest value and, among those, the lowest column.
// (Columns are compared as f32, which holds them exactly up to 2^24.)

override LANES: u32 = 8;

struct Params {
  N: u32,
  C: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;           // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // (N)
@group(0) @binding(3) var<storage, read_write> at: array<u32>;    // (N)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let row = n * params.C;
    // A lane without a column repeats the row's last one, which changes nothing.
    var column = min(lane, params.C - 1u);
    var best = x[row + column];
    for (var c = lane + LANES; c < params.C; c += LANES) {
      let value = x[row + c];
      if (value > best) {
        best = value;
        column = c;
      }
    }
    let top = laneMax(best, lane);
    let first = -laneMax(select(-f32(params.C), -f32(column), best == top), lane);
    if (lane == 0u) {
      y[n] = top;
      at[n] = u32(first);
    }
  }
}

fn laneMax(value: f32, lane: u32) -> f32 { return maxThroughMemory(value, lane); }

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
