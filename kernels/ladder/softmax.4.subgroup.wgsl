// softmax.4.subgroup: one subgroup per row n of x (N, C); its lanes stride over the columns.
//   y[n,c] = exp(x[n,c] − m) / Σ_c exp(x[n,c] − m)      m = max_c x[n,c]
//
// New: the lanes of a subgroup exchange values in registers. subgroupMax and subgroupAdd take the place of the tree: no
// workgroup memory and no barrier.
// Assumes: every subgroup has LANES lanes, so that a workgroup is one subgroup.

enable subgroups;

override LANES: u32 = 8;

struct Params { N: u32, C: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (N, C)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (N, C)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * params.C;
  var m = -3e38;
  var s = 0.0; // Σ exp(x − m)
  for (var c = lane; c < params.C; c += LANES) {
    let value = x[row + c];
    let larger = max(m, value);
    s = s * exp(m - larger) + exp(value - larger);
    m = larger;
  }
  let rowMax = subgroupMax(m);
  let scale = 1.0 / subgroupAdd(s * exp(m - rowMax));
  for (var c = lane; c < params.C; c += LANES) { y[row + c] = exp(x[row + c] - rowMax) * scale; }
}
