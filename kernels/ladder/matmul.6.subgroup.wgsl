// matmul.6.subgroup: one subgroup per 8 rows of c and 4 columns a lane.
//   c[m,n] = Σ_k a[m,k] · b[k,n]
//
// New: lanes share through registers. Lane l loads row l of a (lanes beyond 8 repeat them), and a broadcast hands it to all
// lanes, each of which multiplies it with columns of its own: no tile, no barrier. One load of a and four of b for 128
// products a lane, 26 a load against 8 in matmul.3.vec4, and a broadcast costs about four products.
// The rows are written out: a loop with constant bounds is not unrolled here, and sums that are indexed in it live in memory.
// What the top rung adds: 32 rows, so that b is loaded a fourth as often, all loads of a step before its products, and
// shuffles for broadcasts.
// Assumes: every subgroup has LANES lanes, 8 at least; K and N divisible by 4.

enable subgroups;

override LANES: u32 = 8;

struct Params { M: u32, N: u32, K: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // (M, K)
@group(0) @binding(2) var<storage, read> b: array<vec4f>; // (K, N)
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>; // (M, N)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let K4 = params.K / 4u;
  let N4 = params.N / 4u;
  let row = 8u * group.x;
  let aAt = min(row + lane % 8u, params.M - 1u) * K4;
  let own = group.y * LANES + lane; // the lane's columns, counted in vec4
  let column = min(own, N4 - 1u);
  var sum: array<vec4f, 8>; // sum[i] is row i
  for (var k = 0u; k < K4; k++) {
    let x = a[aAt + k];
    let at = 4u * k * N4 + column;
    let w = mat4x4f(b[at], b[at + N4], b[at + 2u * N4], b[at + 3u * N4]);
    sum[0] += w * subgroupBroadcast(x, 0u);
    sum[1] += w * subgroupBroadcast(x, 1u);
    sum[2] += w * subgroupBroadcast(x, 2u);
    sum[3] += w * subgroupBroadcast(x, 3u);
    sum[4] += w * subgroupBroadcast(x, 4u);
    sum[5] += w * subgroupBroadcast(x, 5u);
    sum[6] += w * subgroupBroadcast(x, 6u);
    sum[7] += w * subgroupBroadcast(x, 7u);
  }
  for (var i = 0u; i < min(8u, params.M - row); i++) {
    if (own < N4) { c[(row + i) * N4 + own] = sum[i]; }
  }
}
