// elementwiseUnaryBackward: dx (4·count) from dy and whichever of x and y the row of src/tensor/elementwise.ts reads, four
// elements a step; each lane takes `steps` of them. The load of the other one is dead code and costs nothing.
//
//   dx[i] = dy[i] · f'(x[i])

override LANES: u32 = 8;

struct Params {
  count: u32,
  steps: u32,
  s: f32, // The number of mul(x, s).
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;         // (count)
@group(0) @binding(2) var<storage, read> y: array<vec4f>;         // (count)
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;        // (count)
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;  // (count)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  let end = min(params.count, first + params.steps * LANES);
  for (var i = first; i < end; i += LANES) {
    dx[i] = f(dy[i], x[i], y[i], params.s);
  }
}

fn f(d: vec4f, x: vec4f, y: vec4f, s: f32) -> vec4f { return -d; }

// As in elementwiseUnary.wgsl.
fn sigmoid(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(min(-x, vec4f(88.0))));
}

// silu'(x) = σ + x·σ·(1 − σ)
fn siluSlope(x: vec4f) -> vec4f {
  let sigma = sigmoid(x);
  return sigma * (1.0 + x * (1.0 - sigma));
}

// gelu(x) = x·σ(v) with v = 2·√(2/π)·(x + 0.044715 x³), so gelu' = σ + x·σ·(1 − σ)·v'. Flat beyond ±30.
fn geluSlope(wide: vec4f) -> vec4f {
  let x = clamp(wide, vec4f(-30.0), vec4f(30.0));
  let sigma = sigmoid(1.5957691 * (x + 0.044715 * x * x * x));
  return sigma * (1.0 + x * (1.0 - sigma) * 1.5957691 * (1.0 + 0.134145 * x * x));
}

// (x·Φ(x))' = Φ(x) + x·φ(x), φ the normal density. Φ as in elementwiseUnary.wgsl.
fn geluErfSlope(x: vec4f) -> vec4f {
  let z = min(abs(x), vec4f(14.0)) * 0.70710678;
  let t = 1.0 / (1.0 + 0.5 * z);
  let series = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
    t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let tail = 0.5 * t * exp(series - z * z);
  return select(tail, 1.0 - tail, x > vec4f(0.0)) + x * 0.39894228 * exp(-z * z);
}
