// elementwiseRun: elementwise operations that follow each other, on tensors of one size, in one dispatch. Values that the
// run itself makes are passed on in registers; each buffer is read once, before, and written once, after all of them.
//
//   y0 = f0(x0, …), y1 = f1(y0, …), …      for each of 4·count elements
//
// src/tensor/elementwiseRun.ts writes the parts between braces for each run; the ones here are those of add(mul(a, b), a).
// The functions are rows of the table in src/tensor/elementwise.ts; those that rows call are taken from elementwiseUnary.wgsl and
// elementwiseUnaryBackward.wgsl.

override LANES: u32 = 8;

struct Params {
  count: u32,
  steps: u32,
  // The number of each operation that has one, as add(x, s).
  s0: f32, s1: f32, s2: f32, s3: f32, s4: f32, s5: f32, s6: f32, s7: f32,
  s8: f32, s9: f32, s10: f32, s11: f32, s12: f32, s13: f32, s14: f32, s15: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
// buffers {
@group(0) @binding(1) var<storage, read> t0: array<vec4f>; // (count), as all
@group(0) @binding(2) var<storage, read> t1: array<vec4f>; // (count)
@group(0) @binding(3) var<storage, read_write> t2: array<vec4f>; // (count)
@group(0) @binding(4) var<storage, read_write> t3: array<vec4f>; // (count)
// }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * LANES * params.steps + lane;
  let end = min(params.count, first + params.steps * LANES);
  for (var i = first; i < end; i += LANES) {
    // steps {
    let x0 = t0[i];
    let x1 = t1[i];
    let y0a = f0(x0, x1, params.s0);
    let y1a = f1(y0a, x0, params.s1);
    t2[i] = y0a;
    t3[i] = y1a;
    // }
  }
}

// functions {
fn f0(a: vec4f, b: vec4f, s: f32) -> vec4f { return a * b; }
fn f1(a: vec4f, b: vec4f, s: f32) -> vec4f { return a + b; }
// }
