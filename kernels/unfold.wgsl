// unfold: one workgroup per row (b, i) of windows of x (B, H, W, C), then row + groups; lanes take LANES·steps elements of
// a window, and each writes its element for all windows of the row.
//
//   y[b,i,j,(u·K + v)·C + c] = x[b, i·S + u − P, j·S + v − P, c]      0 outside of x
//
// Where C is a multiple of 4, Vector is vec4f and C counts vectors.

override LANES: u32 = 8;
override C: u32 = 3;
override K: u32 = 3; // side of a window
override S: u32 = 1; // stride
override P: u32 = 0; // zeros on each side

alias Vector = f32;

struct Params {
  total: u32, // B·rows
  steps: u32,
  H: u32,
  W: u32,
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Vector>;        // (B, H, W, C)
@group(0) @binding(2) var<storage, read_write> y: array<Vector>;  // (B, rows, columns, K·K·C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = group.x * LANES * params.steps + lane;
  let last = min(K * K * C, first + params.steps * LANES);
  for (var row = group.y; row < params.total; row += groups.y) {
    let b = row / params.rows;
    let i = row % params.rows;
    for (var e = first; e < last; e += LANES) {
      let u = e / (K * C);
      let v = e / C % K;
      let h = i * S + u - P; // Above and left of x these wrap to huge numbers.
      let start = (b * params.H + h) * params.W * C + e % C;
      for (var j = 0u; j < params.columns; j++) {
        let w = j * S + v - P;
        var value = Vector(0);
        if (h < params.H && w < params.W) {
          value = x[start + w * C];
        }
        y[(row * params.columns + j) * K * K * C + e] = value;
      }
    }
  }
}
