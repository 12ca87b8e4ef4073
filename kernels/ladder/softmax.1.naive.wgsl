// softmax.1.naive: one thread per row n of x (N, C), which looks at it three times.
//   y[n,c] = exp(x[n,c] − m) / Σ_c exp(x[n,c] − m)      m = max_c x[n,c], so that no exp overflows
//
// The formula: find the maximum, sum the exponentials, write the quotients. There are three loads and two exps for every
// value. Neighbouring threads read addresses a whole row apart, so that a GPU fetches a cache line for each and uses one
// number of it.

struct Params { N: u32, C: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (N, C)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x;
  if (n >= params.N) { return; }
  let row = n * params.C;
  var m = x[row];
  for (var c = 1u; c < params.C; c++) { m = max(m, x[row + c]); }
  var sum = 0.0;
  for (var c = 0u; c < params.C; c++) { sum += exp(x[row + c] - m); }
  for (var c = 0u; c < params.C; c++) { y[row + c] = exp(x[row + c] - m) / sum; }
}
