// softmax.5.vec4: one subgroup per row n of x (N, C), as softmax.4.subgroup, reading four columns at once.
//   y[n,c] = exp(x[n,c] − m) / Σ_c exp(x[n,c] − m)      m = max_c x[n,c]
//
// New: the arrays are vec4f. A fourth of the loads and stores, each for 16 bytes, and the old sum is scaled down once for four values,
// so that online costs 1.25 exps a value instead of 2.
// What the top rung adds: several rows a workgroup, one after the other, because a workgroup has its price too.
// Assumes: every subgroup has LANES lanes; C divisible by 4.

enable subgroups;

override LANES: u32 = 8;

struct Params { N: u32, C: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // (N, C)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let C4 = params.C / 4u;
  let row = group.x * C4;
  var m = -3e38;
  var s = 0.0; // Σ exp(x − m)
  for (var c = lane; c < C4; c += LANES) {
    let four = x[row + c];
    let larger = max(m, max(max(four.x, four.y), max(four.z, four.w)));
    s = s * exp(m - larger) + dot(exp(four - larger), vec4f(1.0));
    m = larger;
  }
  let rowMax = subgroupMax(m);
  let scale = 1.0 / subgroupAdd(s * exp(m - rowMax));
  for (var c = lane; c < C4; c += LANES) { y[row + c] = exp(x[row + c] - rowMax) * scale; }
}
