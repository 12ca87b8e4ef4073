// random: four words of Philox4x32-10 for every i < count, as bits, uniform in [0, 1), or standard normal; each lane makes
// `steps` of them. The words are those of src/tensor/philox.ts.
//
//   (w0, w1, w2, w3) = philox((i, 0, counter low, counter high), (seed low, seed high))
//   uniform: ⌊w/2⁸⌋·2⁻²⁴      normal: √(−2 ln(1 − u0))·(cos 2πu1, sin 2πu1), and the same of u2, u3 (Box and Muller)

override LANES: u32 = 8;
override FORM: u32 = 0; // 0 bits, 1 uniform, 2 normal

struct Params {
  count: u32,
  steps: u32,
  counterLow: u32,
  counterHigh: u32,
  seedLow: u32,
  seedHigh: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;  // (count), bits of f32 unless FORM is 0

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  let end = min(params.count, first + params.steps * LANES);
  for (var i = first; i < end; i += LANES) {
    let words = philox(vec4u(i, 0, params.counterLow, params.counterHigh), vec2u(params.seedLow, params.seedHigh));
    let u = vec4f(words >> vec4u(8)) * exp2(-24.0);
    if (FORM == 0u) {
      y[i] = words;
    } else if (FORM == 1u) {
      y[i] = bitcast<vec4u>(u);
    } else {
      let radius = sqrt(-2.0 * logOfRest(u.xz));
      // Half a turn at most, so that less of the angle is lost in rounding.
      let angle = 6.2831853 * (u.yw - round(u.yw));
      y[i] = bitcast<vec4u>(vec4f(radius * cos(angle), radius * sin(angle)).xzyw);
    }
  }
}

fn philox(counter: vec4u, start: vec2u) -> vec4u {
  var c = counter;
  var key = start;
  for (var round = 0; round < 10; round++) {
    let high0 = multiplyHigh(0xd2511f53u, c.x);
    let high1 = multiplyHigh(0xcd9e8d57u, c.z);
    c = vec4u(high1 ^ c.y ^ key.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ key.y, 0xd2511f53u * c.x);
    key += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

// ln(1 − u). A driver's log is off by some 1e-7 near 1, which is much where the logarithm itself is small: its series there.
fn logOfRest(u: vec2f) -> vec2f {
  let series = -u * (1.0 + u * (1.0 / 2.0 + u * (1.0 / 3.0 + u * (1.0 / 4.0 + u * (1.0 / 5.0)))));
  return select(log(1.0 - u), series, u < vec2f(0.02));
}

// The upper 32 bits of the 64-bit product, by halves of 16 bits; WGSL has no 64-bit integers.
fn multiplyHigh(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let carry = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (carry >> 16u);
}
