// gradNorm: one workgroup adds the sums of squares part (count) and takes the root; lanes stride over the parts.
//
//   norm = (Σ_i part[i])^(1/2)

override LANES: u32 = 8;

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>;        // (count)
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;  // (1)

var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += LANES) {
    sum += part[i];
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0.0;
    for (var i = 0u; i < LANES; i++) {
      total += sums[i];
    }
    norm[0] = sqrt(total);
  }
}
