// copyTransposed: y (…, K, …, C) from a view x in which axis K, not the last one, has its elements side by side. A lane turns
// blocks of four by four in registers, so both sides are read and written in vectors: LANES blocks along K, then `steps`
// along C.
//
//   y[o, 4k+i, 4c+j] = x[offset + Σ_a digit_a(o) · s_a + (4c+j) · sC + 4k+i]      digits of o in the base n1 … n3
//
// Sizes of K and C and all strides but 1 divide by four; they count vectors.

override LANES: u32 = 8;
override AXES: u32 = 1; // Outer axes, 1 to 4.

alias Element = f32;

struct Params {
  K: u32,
  C: u32,
  steps: u32,
  offset: u32,
  sC: u32,
  tK: u32, // Stride of K in y.
  n1: u32, n2: u32, n3: u32,          // Sizes of outer axes, innermost first.
  s0: u32, s1: u32, s2: u32, s3: u32, // Their strides in x: outermost axis, then as the sizes.
  t0: u32, t1: u32, t2: u32, t3: u32, // And in y.
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<Element>>;        // any such strides
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Element>>;  // contiguous

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let k = group.x * LANES + lane;
  let first = group.y * params.steps;
  let end = select(0u, min(params.C, first + params.steps), k < params.K);
  let at = startOf(group.z);
  let start = params.offset + at.x + k;
  let place = at.y + 4u * k * params.tK;
  for (var c = first; c < end; c++) {
    let column = start + 4u * c * params.sC;
    let a = x[column];
    let b = x[column + params.sC];
    let d = x[column + 2u * params.sC];
    let e = x[column + 3u * params.sC];
    y[place + c] = vec4<Element>(a.x, b.x, d.x, e.x);
    y[place + params.tK + c] = vec4<Element>(a.y, b.y, d.y, e.y);
    y[place + 2u * params.tK + c] = vec4<Element>(a.z, b.z, d.z, e.z);
    y[place + 3u * params.tK + c] = vec4<Element>(a.w, b.w, d.w, e.w);
  }
}

// Where the outer axes' element o starts in x and in y.
fn startOf(o: u32) -> vec2u {
  var rest = o;
  var at = vec2u(0);
  if (AXES > 1u) {
    at += rest % params.n1 * vec2u(params.s1, params.t1);
    rest /= params.n1;
  }
  if (AXES > 2u) {
    at += rest % params.n2 * vec2u(params.s2, params.t2);
    rest /= params.n2;
  }
  if (AXES > 3u) {
    at += rest % params.n3 * vec2u(params.s3, params.t3);
    rest /= params.n3;
  }
  return at + rest * vec2u(params.s0, params.t0);
}
