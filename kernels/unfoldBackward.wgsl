// unfoldBackward: one workgroup per row (b, h) of dx (B, H, W, C), then row + groups; lanes take LANES·steps of its W·C
// elements. Each gathers from the windows that it lies in, so nothing is added in memory.
//
//   dx[b,h,w,c] = Σ_{u,v} dy[b,i,j,(u·K + v)·C + c]      i·S = h + P − u and j·S = w + P − v, where there are such i and j
//
// Where C is a multiple of 4, Vector is vec4f and C counts vectors.

override LANES: u32 = 8;
override C: u32 = 3;
override K: u32 = 3; // side of a window
override S: u32 = 1; // stride
override P: u32 = 0; // zeros on each side

alias Vector = f32;

struct Params {
  total: u32, // B·H
  steps: u32,
  H: u32,
  W: u32,
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Vector>;        // (B, rows, columns, K·K·C)
@group(0) @binding(2) var<storage, read_write> dx: array<Vector>;  // (B, H, W, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = group.x * LANES * params.steps + lane;
  let last = min(params.W * C, first + params.steps * LANES);
  for (var row = group.y; row < params.total; row += groups.y) {
    let b = row / params.H;
    let h = row % params.H + P;
    for (var e = first; e < last; e += LANES) {
      let w = e / C + P;
      let c = e % C;
      var sum = Vector(0);
      // Those u and v that leave a multiple of the stride. Before the first window i and j wrap to huge numbers.
      for (var u = h % S; u < K; u += S) {
        let i = (h - u) / S;
        if (i < params.rows) {
          let start = (b * params.rows + i) * params.columns;
          for (var v = w % S; v < K; v += S) {
            let j = (w - v) / S;
            if (j < params.columns) {
              sum += dy[((start + j) * K * K + u * K + v) * C + c];
            }
          }
        }
      }
      dx[row * params.W * C + e] = sum;
    }
  }
}
