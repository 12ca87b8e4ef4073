// attentionBackwardQueryLanes32: one subgroup of 8 lanes per 32 queries of one head (b, h), four to a lane as in
// attentionLanes; writes dq and the row sums delta that the key kernel needs. Probabilities are computed anew from l.
//
//   p[i,j] = exp(s[i,j] − l[i])     delta[i] = Σ_d dy[i,d] o[i,d]     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dq[i,d] = scale Σ_j ds[i,j] k[j,d]
// For a head width of 32: sums over channels and rows are written out, so that they stay in registers.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(5) var<storage, read> l: array<f32>; // (B, H, Tq)
@group(0) @binding(6) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(7) var<storage, read_write> dq: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(8) var<storage, read_write> delta: array<f32>; // (B, H, Tq)

const CHUNKS = 8u; // a row is 8 chunks of four channels
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

alias Eight = array<vec4f, 8>;
alias Rows = array<mat4x4f, CHUNKS>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: these loops stay loops, and the file compiles fast
  let rows = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let safe = min(rows, vec4u(params.Tq - 1));
  let at = ((batch * params.Tq + safe) * params.H + head) * chunks;
  let at_l = (batch * params.H + head) * params.Tq + safe;

  var query: Rows;
  var grad: Rows;
  var sum: Rows; // Σ_j ds k
  var inner = vec4f();
  for (var c = 0u; c < chunks; c++) {
    query[c] = transpose(mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c])) * (params.scale * LOG2_E);
    let four = mat4x4f(dy[at.x + c], dy[at.y + c], dy[at.z + c], dy[at.w + c]);
    for (var r = 0u; r < 4; r++) { inner[r] += dot(four[r], o[at[r] + c]); }
    grad[c] = transpose(four);
    sum[c] = mat4x4f();
  }

  let lse = vec4f(l[at_l.x], l[at_l.y], l[at_l.z], l[at_l.w]) * LOG2_E;
  for (var start = 0u; start < params.Tk; start += 8) {
    let row = ((batch * params.Tk + min(start + lane, params.Tk - 1)) * params.H + head) * chunks;

    let keys = Eight(k[row], k[row + 1], k[row + 2], k[row + 3], k[row + 4], k[row + 5], k[row + 6], k[row + 7]);
    let values = Eight(v[row], v[row + 1], v[row + 2], v[row + 3], v[row + 4], v[row + 5], v[row + 6], v[row + 7]);
    let left = params.Tk - start;
    let ds = Eight(
      exp2(score(&query, keys, 0) - lse) * (score(&grad, values, 0) - inner),
      select(vec4f(), exp2(score(&query, keys, 1) - lse) * (score(&grad, values, 1) - inner), left > 1),
      select(vec4f(), exp2(score(&query, keys, 2) - lse) * (score(&grad, values, 2) - inner), left > 2),
      select(vec4f(), exp2(score(&query, keys, 3) - lse) * (score(&grad, values, 3) - inner), left > 3),
      select(vec4f(), exp2(score(&query, keys, 4) - lse) * (score(&grad, values, 4) - inner), left > 4),
      select(vec4f(), exp2(score(&query, keys, 5) - lse) * (score(&grad, values, 5) - inner), left > 5),
      select(vec4f(), exp2(score(&query, keys, 6) - lse) * (score(&grad, values, 6) - inner), left > 6),
      select(vec4f(), exp2(score(&query, keys, 7) - lse) * (score(&grad, values, 7) - inner), left > 7));
    collect(&sum, 0, ds, keys[0]);
    collect(&sum, 1, ds, keys[1]);
    collect(&sum, 2, ds, keys[2]);
    collect(&sum, 3, ds, keys[3]);
    collect(&sum, 4, ds, keys[4]);
    collect(&sum, 5, ds, keys[5]);
    collect(&sum, 6, ds, keys[6]);
    collect(&sum, 7, ds, keys[7]);
  }

  for (var c = 0u; c < chunks; c++) {
    let four = transpose(sum[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tq) { dq[at[r] + c] = four[r] * params.scale; }
    }
  }
  for (var r = 0u; r < 4; r++) {
    if (rows[r] < params.Tq) { delta[at_l[r]] = inner[r]; }
  }
}

// The products of the lane's four rows with the row that lane j holds.
fn score(own: ptr<function, Rows>, rows: Eight, j: u32) -> vec4f {
  return part(own[0], rows[0], j) + part(own[1], rows[1], j) + part(own[2], rows[2], j) + part(own[3], rows[3], j)
    + part(own[4], rows[4], j) + part(own[5], rows[5], j) + part(own[6], rows[6], j) + part(own[7], rows[7], j);
}

fn part(own: mat4x4f, chunk: vec4f, j: u32) -> vec4f {
  let x = subgroupShuffle(chunk, j);
  return own[0] * x.x + own[1] * x.y + own[2] * x.z + own[3] * x.w;
}

// Adds Σ_j p[j] (the chunk of the row that lane j holds) to chunk c of sum.
fn collect(sum: ptr<function, Rows>, c: u32, p: Eight, chunk: vec4f) {
  sum[c] += mat4x4f(weigh(p, chunk.x), weigh(p, chunk.y), weigh(p, chunk.z), weigh(p, chunk.w));
}

fn weigh(p: Eight, x: f32) -> vec4f {
  return p[0] * subgroupShuffle(x, 0) + p[1] * subgroupShuffle(x, 1) + p[2] * subgroupShuffle(x, 2) + p[3] * subgroupShuffle(x, 3)
    + p[4] * subgroupShuffle(x, 4) + p[5] * subgroupShuffle(x, 5) + p[6] * subgroupShuffle(x, 6) + p[7] * subgroupShuffle(x, 7);
}
