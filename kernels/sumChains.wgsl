// sumChains: one workgroup per row n of y (N, C), then row n + groups; lanes stride over the columns and walk the chain
// of row n (see linkRows). Rows without a chain become 0.
//
//   y[n,c] = Σ_{m: index[m] = n} x[m,c]

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> head: array<u32>;           // (N)
@group(0) @binding(2) var<storage, read> next: array<u32>;           // (M)
@group(0) @binding(3) var<storage, read> x: array<Element>;          // (M, C)
@group(0) @binding(4) var<storage, read_write> y: array<Element>;    // (N, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let first = head[n];
    for (var c = lane; c < params.columns; c += LANES) {
      var sum = Element(0.0);
      for (var m = first; m != 0u; m = next[m - 1u]) {
        sum += x[(m - 1u) * params.columns + c];
      }
      y[n * params.columns + c] = sum;
    }
  }
}
