// softmax.2.workgroup: one workgroup of 64 threads per row n of x (N, C); they stride over its columns.
//   y[n,c] = exp(x[n,c] − m) / Σ_c exp(x[n,c] − m)      m = max_c x[n,c]
//
// New: a row belongs to many threads. Neighbouring threads read neighbouring numbers, so every cache line that is fetched is
// used whole, and short batches of long rows occupy the device too. What the threads found is combined in workgroup memory
// by a tree: half of them add the other half's, six times. A software adapter pays for each of the barriers.

struct Params { N: u32, C: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (N, C)

const THREADS = 64u;

var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.x * params.C;
  var m = -3e38;
  for (var c = thread; c < params.C; c += THREADS) { m = max(m, x[row + c]); }
  m = maxOfAll(m, thread);
  var sum = 0.0;
  for (var c = thread; c < params.C; c += THREADS) { sum += exp(x[row + c] - m); }
  sum = sumOfAll(sum, thread);
  for (var c = thread; c < params.C; c += THREADS) { y[row + c] = exp(x[row + c] - m) / sum; }
}

fn maxOfAll(value: f32, thread: u32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] = max(partial[thread], partial[thread + half]); }
    workgroupBarrier();
  }
  let result = partial[0];
  workgroupBarrier(); // nobody writes to it again before all have read it
  return result;
}

fn sumOfAll(value: f32, thread: u32) -> f32 {
  partial[thread] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] += partial[thread + half]; }
    workgroupBarrier();
  }
  return partial[0];
}
