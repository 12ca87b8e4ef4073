// copyRuns: as copyStrided, for a last axis of many elements: one workgroup per run n of C elements of y, then run n + groups.
//
//   y[n,c] = x[offset + Σ_i digit_i(n) · s_i + c · sC]      digits in the base n1 … n4
//
// The integer divisions, which cost more than the copy, are made once a run instead of once an element.

override LANES: u32 = 8;
override AXES: u32 = 1; // Outer axes, 1 to 5.

alias Element = f32;

struct Params {
  N: u32,
  C: u32,
  offset: u32,
  n1: u32, n2: u32, n3: u32, n4: u32,
  s0: u32, s1: u32, s2: u32, s3: u32, s4: u32,
  sC: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // any strides
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (N, C)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let at = startOf(n);
    for (var c = lane; c < params.C; c += LANES) {
      y[n * params.C + c] = x[at + c * params.sC];
    }
  }
}

// Where run n starts in x.
fn startOf(n: u32) -> u32 {
  var rest = n;
  var at = params.offset;
  if (AXES > 1u) {
    let outer = rest / params.n1;
    at += (rest - outer * params.n1) * params.s1;
    rest = outer;
  }
  if (AXES > 2u) {
    let outer = rest / params.n2;
    at += (rest - outer * params.n2) * params.s2;
    rest = outer;
  }
  if (AXES > 3u) {
    let outer = rest / params.n3;
    at += (rest - outer * params.n3) * params.s3;
    rest = outer;
  }
  if (AXES > 4u) {
    let outer = rest / params.n4;
    at += (rest - outer * params.n4) * params.s4;
    rest = outer;
  }
  return at + rest * params.s0;
}
