// adamW: one step of AdamW on p (4·count), four elements a time; each lane takes `steps` of them. A scale of 0 (see
// clipScale.wgsl) means that the gradients are not finite: nothing changes then.
//
//   ĝ = scale·g      m = β1·m + (1 − β1)·ĝ      v = β2·v + (1 − β2)·ĝ²
//   p = (1 − η·λ)·p − η/(1 − β1ᵗ) · m / (√v/√(1 − β2ᵗ) + ε)
//
// The host computes 1 − β and the corrections in f64: in f32, 1 − 0.999 is wrong in the fifth digit.

override LANES: u32 = 8;

struct Params {
  count: u32,
  steps: u32,
  decay: f32,    // 1 − η·λ
  beta1: f32,
  rest1: f32,    // 1 − β1
  beta2: f32,
  rest2: f32,    // 1 − β2
  rate: f32,     // η/(1 − β1ᵗ)
  widen: f32,    // 1/√(1 − β2ᵗ)
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4f>;        // (count)
@group(0) @binding(2) var<storage, read> scale: array<f32>;      // (1)
@group(0) @binding(3) var<storage, read_write> p: array<vec4f>;  // (count)
@group(0) @binding(4) var<storage, read_write> m: array<vec4f>;  // (count)
@group(0) @binding(5) var<storage, read_write> v: array<vec4f>;  // (count)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let factor = scale[0];
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  let end = select(first, min(params.count, first + params.steps * LANES), factor > 0.0);
  for (var i = first; i < end; i += LANES) {
    let gradient = g[i] * factor;
    let mean = params.beta1 * m[i] + params.rest1 * gradient;
    let variance = params.beta2 * v[i] + params.rest2 * gradient * gradient;
    p[i] = params.decay * p[i] - params.rate * mean / (sqrt(variance) * params.widen + params.epsilon);
    m[i] = mean;
    v[i] = variance;
  }
}
