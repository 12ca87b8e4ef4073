// softmax.3.online: one workgroup of 64 threads per row n of x (N, C), as softmax.2.workgroup, in two looks instead of three.
//   y[n,c] = exp(x[n,c] − m) / Σ_c exp(x[n,c] − m)      m = max_c x[n,c]
//
// New: maximum and sum are found together. Each thread keeps the largest value so far and the sum relative to it; when a larger
// one comes, the old sum is scaled down: s · exp(m − larger). An exp more for a load less: a good trade where memory is the
// roof, a small one where exp costs as much as a load. The same step lets attention go without its matrix of scores.
// Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.

struct Params { N: u32, C: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (N, C)

const THREADS = 64u;

var<workgroup> partial: array<vec2f, THREADS>; // maximum, and the sum relative to it

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x * params.C;
  var found = vec2f(-3e38, 0.0);
  for (var c = thread; c < params.C; c += THREADS) { found = joined(found, vec2f(x[row + c], 1.0)); }

  partial[thread] = found;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] = joined(partial[thread], partial[thread + half]); }
    workgroupBarrier();
  }
  let m = partial[0].x;
  let scale = 1.0 / partial[0].y;
  for (var c = thread; c < params.C; c += THREADS) { y[row + c] = exp(x[row + c] - m) * scale; }
}

// Two parts of a row as one.
fn joined(a: vec2f, b: vec2f) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp(a.x - m) + b.y * exp(b.x - m));
}
