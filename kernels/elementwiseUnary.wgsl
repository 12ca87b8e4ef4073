// elementwiseUnary: y (4·count) from x, four elements a step; each lane takes `steps` of them. `f` is a row of the table
// in src/tensor/elementwise.ts.
//
//   y[i] = f(x[i])

override LANES: u32 = 8;

struct Params {
  count: u32,
  steps: u32,
  s: f32, // The number of add(x, s) and mul(x, s).
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;        // (count)
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;  // (count)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  let end = min(params.count, first + params.steps * LANES);
  for (var i = first; i < end; i += LANES) {
    y[i] = f(x[i], params.s);
  }
}

fn f(x: vec4f, s: f32) -> vec4f { return -x; }

// 1 / (1 + e^-x). The exponent stays under 88, where e^88 is still finite, so nothing overflows for any x.
fn sigmoid(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(min(-x, vec4f(88.0))));
}

// Φ(x) = ½ erfc(−x/√2), with the Chebyshev fit of erfc in Press et al., Numerical Recipes (2nd ed.), section 6.2:
// relative error below 1.2e-7 for every argument, so the lower tail keeps its digits.
fn normalCdf(x: vec4f) -> vec4f {
  let z = min(abs(x), vec4f(14.0)) * 0.70710678;
  let t = 1.0 / (1.0 + 0.5 * z);
  let series = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
    t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let tail = 0.5 * t * exp(series - z * z);
  return select(tail, 1.0 - tail, x > vec4f(0.0));
}
