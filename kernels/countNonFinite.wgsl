// countNonFinite: how many of the `count` values of x are NaN or infinite. One workgroup of 64 lanes.
//
//   bad = Σ_i [exponent bits of x[i] are all ones]      NaN compares equal to nothing, so the bits are tested

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;                // (count) bits of f32
@group(0) @binding(2) var<storage, read_write> bad: array<atomic<u32>>; // (1) zero before

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0u;
  for (var i = lane; i < params.count; i += 64u) {
    sum += select(0u, 1u, (x[i] & 0x7f800000u) == 0x7f800000u);
  }
  atomicAdd(&bad[0], sum);
}
