// gatherRows: one workgroup per row n of y (N, C), then row n + groups; lanes stride over the columns.
//
//   y[n,c] = x[index[n] − first, c]
//
// Where x has no such row y is NaN, which every finite check finds; with KEEP it stays as it is.

override LANES: u32 = 8;
override KEEP: bool = false;

alias Element = f32;
alias Stored = f32;

struct Params {
  N: u32,
  first: u32,
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;           // (rows, C)
@group(0) @binding(2) var<storage, read> index: array<u32>;          // (N)
@group(0) @binding(3) var<storage, read_write> y: array<Element>;    // (N, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let source = index[n] - params.first;
    if (source < params.rows) {
      for (var c = lane; c < params.columns; c += LANES) {
        y[n * params.columns + c] = Element(x[source * params.columns + c]);
      }
    } else if (!KEEP) {
      for (var c = lane; c < params.columns; c += LANES) {
        y[n * params.columns + c] = Element(bitcast<f32>(0x7fc00000u | source));
      }
    }
  }
}
