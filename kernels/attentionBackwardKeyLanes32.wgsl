// attentionBackwardKeyLanes32: one subgroup of 8 lanes per 32 keys of one head (b, h); lane n has keys n, n + 8, n + 16,
// n + 24. Writes dk and dv. Runs after the query kernel, whose row sums delta it reads.
//
//   p[i,j] = exp(s[i,j] − l[i])     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dk[j,d] = scale Σ_i ds[i,j] q[i,d]     dv[j,d] = Σ_i p[i,j] dy[i,d]
//
// Queries come eight at a time: each lane loads one and shuffles pass it round.
// For a head width of 32: sums over channels and rows are written out, so that they stay in registers.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> l: array<f32>; // (B, H, Tq)
@group(0) @binding(5) var<storage, read> delta: array<f32>; // (B, H, Tq)
@group(0) @binding(6) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(7) var<storage, read_write> dk: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(8) var<storage, read_write> dv: array<vec4f>; // (B, Tk, H, D)

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
  let at = ((batch * params.Tk + min(rows, vec4u(params.Tk - 1))) * params.H + head) * chunks;

  var key: Rows;
  var value: Rows;
  var sum_k: Rows; // Σ_i ds q
  var sum_v: Rows; // Σ_i p dy
  for (var c = 0u; c < chunks; c++) {
    key[c] = transpose(mat4x4f(k[at.x + c], k[at.y + c], k[at.z + c], k[at.w + c])) * (params.scale * LOG2_E);
    value[c] = transpose(mat4x4f(v[at.x + c], v[at.y + c], v[at.z + c], v[at.w + c]));
    sum_k[c] = mat4x4f();
    sum_v[c] = mat4x4f();
  }

  for (var start = 0u; start < params.Tq; start += 8) {
    let i_lane = min(start + lane, params.Tq - 1);
    let row = ((batch * params.Tq + i_lane) * params.H + head) * chunks;
    let lse = l[(batch * params.H + head) * params.Tq + i_lane] * LOG2_E;
    let inner = delta[(batch * params.H + head) * params.Tq + i_lane];

    let queries = Eight(q[row], q[row + 1], q[row + 2], q[row + 3], q[row + 4], q[row + 5], q[row + 6], q[row + 7]);
    let grads = Eight(dy[row], dy[row + 1], dy[row + 2], dy[row + 3], dy[row + 4], dy[row + 5], dy[row + 6], dy[row + 7]);
    let left = params.Tq - start;
    let p = Eight(
      exp2(score(&key, queries, 0) - subgroupShuffle(lse, 0)),
      select(vec4f(), exp2(score(&key, queries, 1) - subgroupShuffle(lse, 1)), left > 1),
      select(vec4f(), exp2(score(&key, queries, 2) - subgroupShuffle(lse, 2)), left > 2),
      select(vec4f(), exp2(score(&key, queries, 3) - subgroupShuffle(lse, 3)), left > 3),
      select(vec4f(), exp2(score(&key, queries, 4) - subgroupShuffle(lse, 4)), left > 4),
      select(vec4f(), exp2(score(&key, queries, 5) - subgroupShuffle(lse, 5)), left > 5),
      select(vec4f(), exp2(score(&key, queries, 6) - subgroupShuffle(lse, 6)), left > 6),
      select(vec4f(), exp2(score(&key, queries, 7) - subgroupShuffle(lse, 7)), left > 7));
    let ds = Eight(
      p[0] * (score(&value, grads, 0) - subgroupShuffle(inner, 0)),
      p[1] * (score(&value, grads, 1) - subgroupShuffle(inner, 1)),
      p[2] * (score(&value, grads, 2) - subgroupShuffle(inner, 2)),
      p[3] * (score(&value, grads, 3) - subgroupShuffle(inner, 3)),
      p[4] * (score(&value, grads, 4) - subgroupShuffle(inner, 4)),
      p[5] * (score(&value, grads, 5) - subgroupShuffle(inner, 5)),
      p[6] * (score(&value, grads, 6) - subgroupShuffle(inner, 6)),
      p[7] * (score(&value, grads, 7) - subgroupShuffle(inner, 7)));
    collect(&sum_k, 0, ds, queries[0]);
    collect(&sum_v, 0, p, grads[0]);
    collect(&sum_k, 1, ds, queries[1]);
    collect(&sum_v, 1, p, grads[1]);
    collect(&sum_k, 2, ds, queries[2]);
    collect(&sum_v, 2, p, grads[2]);
    collect(&sum_k, 3, ds, queries[3]);
    collect(&sum_v, 3, p, grads[3]);
    collect(&sum_k, 4, ds, queries[4]);
    collect(&sum_v, 4, p, grads[4]);
    collect(&sum_k, 5, ds, queries[5]);
    collect(&sum_v, 5, p, grads[5]);
    collect(&sum_k, 6, ds, queries[6]);
    collect(&sum_v, 6, p, grads[6]);
    collect(&sum_k, 7, ds, queries[7]);
    collect(&sum_v, 7, p, grads[7]);
  }

  for (var c = 0u; c < chunks; c++) {
    let four_k = transpose(sum_k[c]);
    let four_v = transpose(sum_v[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tk) {
        dk[at[r] + c] = four_k[r] * params.scale;
        dv[at[r] + c] = four_v[r];
      }
    }
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
