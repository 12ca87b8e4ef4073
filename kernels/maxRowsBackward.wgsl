// maxRowsBackward: one workgroup per row n of dx (N, C), then row n + groups; lanes stride over the columns.
//
//   dx[n,c] = dy[n] · [c = at[n]]

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;            // (N)
@group(0) @binding(2) var<storage, read> at: array<u32>;            // (N)
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;  // (N, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let id = at[n];
    let gradient = dy[n];
    for (var c = lane; c < params.columns; c += LANES) {
      dx[n * params.columns + c] = gradient * oneHot(c, id);
    }
  }
}

fn oneHot(column: u32, id: u32) -> Element { return select(0.0, 1.0, column == id); }
