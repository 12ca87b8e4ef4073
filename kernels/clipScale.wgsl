// clipScale: one lane turns the norm of all gradients into the factor that brings it to `maxNorm` at most.
//
//   scale = min(1, maxNorm/norm), or 0 when the norm is NaN or infinite; by bits, since NaN compares equal to nothing

struct Params {
  maxNorm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> norm: array<u32>;         // (1) bits of f32
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;  // (1)

@compute @workgroup_size(1)
fn main() {
  let bits = norm[0];
  let finite = (bits & 0x7f800000u) != 0x7f800000u;
  scale[0] = select(0.0, params.maxNorm / max(bitcast<f32>(bits & 0x7fffffffu), params.maxNorm), finite);
}
