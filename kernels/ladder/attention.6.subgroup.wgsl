// attention.6.subgroup: one subgroup per LANES queries of one head (b, h); a lane owns one query.
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     o[i,d] = Σ_j exp(s[i,j] − m[i]) v[j,d] / Σ_j exp(s[i,j] − m[i])     m[i] = max_j s[i,j]
//
// New: the lanes share their keys through registers. Lane l loads key l of eight (lanes beyond 8 repeat them), and broadcasts
// hand it to all: one load of k for eight products of vectors, where attention.4.keys loads all it multiplies, and neither a tile nor a
// barrier. Query and sum are touched once for eight keys.
// What the top rung adds for eight lanes: four queries a lane, so that a broadcast serves four products, and private arrays that
// stay in registers, because the loops over channels and keys are written out.
// Assumes: every subgroup has LANES lanes, 8 at least; D divisible by 4, at most 128.

enable subgroups;

override LANES: u32 = 8;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)

const MOST = 32u; // chunks of four channels

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let i = group.x * LANES + lane;
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4u;
  // A lane past the last query works on that one too: its keys are needed.
  let row = ((batch * params.Tq + min(i, params.Tq - 1u)) * params.H + head) * chunks;

  var query: array<vec4f, MOST>;
  var sum: array<vec4f, MOST>; // Σ_j exp(s − m) v
  for (var c = 0u; c < chunks; c++) {
    query[c] = params.scale * q[row + c];
    sum[c] = vec4f();
  }
  var m = -1e30;
  var total = 0.0; // Σ_j exp(s − m)
  for (var first = 0u; first < params.Tk; first += 8u) {
    let key = min(first + lane % 8u, params.Tk - 1u);
    let at = ((batch * params.Tk + key) * params.H + head) * chunks;
    var s = vec4f(); // scores of the first four keys
    var t = vec4f(); // and of the other four
    for (var c = 0u; c < chunks; c++) {
      let mine = k[at + c];
      let four = query[c];
      s += four * mat4x4f( // one dot product a column
        subgroupBroadcast(mine, 0u), subgroupBroadcast(mine, 1u), subgroupBroadcast(mine, 2u), subgroupBroadcast(mine, 3u));
      t += four * mat4x4f(
        subgroupBroadcast(mine, 4u), subgroupBroadcast(mine, 5u), subgroupBroadcast(mine, 6u), subgroupBroadcast(mine, 7u));
    }
    let left = vec4u(params.Tk - first);
    s = select(vec4f(-1e30), s, vec4u(0, 1, 2, 3) < left);
    t = select(vec4f(-1e30), t, vec4u(4, 5, 6, 7) < left);
    let larger = max(m, max(max(max(s.x, s.y), max(s.z, s.w)), max(max(t.x, t.y), max(t.z, t.w))));
    let shrink = exp(m - larger);
    s = exp(s - larger);
    t = exp(t - larger);
    m = larger;
    total = total * shrink + dot(s + t, vec4f(1.0));
    for (var c = 0u; c < chunks; c++) {
      let mine = v[at + c];
      sum[c] = sum[c] * shrink
        + mat4x4f(subgroupBroadcast(mine, 0u), subgroupBroadcast(mine, 1u), subgroupBroadcast(mine, 2u), subgroupBroadcast(mine, 3u)) * s
        + mat4x4f(subgroupBroadcast(mine, 4u), subgroupBroadcast(mine, 5u), subgroupBroadcast(mine, 6u), subgroupBroadcast(mine, 7u)) * t;
    }
  }
  if (i < params.Tq) {
    for (var c = 0u; c < chunks; c++) { o[row + c] = sum[c] / total; }
  }
}
