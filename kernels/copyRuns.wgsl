// copyRuns: as copyStrided, for a last axis of many elements: one workgroup per run of n5 elements of y, then run + groups.
//
//   y[run,j] = x[offset + Σ_a index_a(run) · s_a + j · s5]      index_a: digits of run in the mixed base n0 … n4
//
// The integer divisions, which cost more than the copy, are made once a run instead of once an element.

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  count: u32,
  offset: u32,
  n0: u32, n1: u32, n2: u32, n3: u32, n4: u32, n5: u32,
  s0: u32, s1: u32, s2: u32, s3: u32, s4: u32, s5: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // any strides
@group(0) @binding(2) var<storage, read_write> y: array<Element>;  // (count)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let runs = params.count / params.n5;
  for (var run = group.x; run < runs; run += groups.x) {
    var rest = run;
    var at = params.offset;
    at += rest % params.n4 * params.s4;
    rest /= params.n4;
    at += rest % params.n3 * params.s3;
    rest /= params.n3;
    at += rest % params.n2 * params.s2;
    rest /= params.n2;
    at += rest % params.n1 * params.s1;
    rest /= params.n1;
    at += rest * params.s0;
    for (var j = lane; j < params.n5; j += LANES) {
      y[run * params.n5 + j] = x[at + j * params.s5];
    }
  }
}
