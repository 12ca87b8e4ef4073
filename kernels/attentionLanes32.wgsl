// attentionLanes32: one subgroup of 8 lanes per 32 queries of one head (b, h), as attentionLanes, for a head width of 32.
//
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     l[i] = log Σ_j exp(s[i,j])     o[i,d] = Σ_j exp(s[i,j] − l[i]) v[j,d]
//
// The sums over channels and keys are written out, so that scores and running sums stay in registers.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(5) var<storage, read_write> l: array<f32>; // (B, H, Tq)

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
  let at = ((batch * params.Tq + min(rows, vec4u(params.Tq - 1))) * params.H + head) * chunks;

  var query: Rows;
  var sum: Rows; // Σ_j exp(s − m) v, with m the largest score so far
  for (var c = 0u; c < chunks; c++) {
    query[c] = transpose(mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c])) * (params.scale * LOG2_E);
    sum[c] = mat4x4f();
  }

  var m = vec4f(-1e30);
  var z = vec4f(); // Σ_j exp(s − m)
  for (var start = 0u; start < params.Tk; start += 8) {
    let row = ((batch * params.Tk + min(start + lane, params.Tk - 1)) * params.H + head) * chunks;

    let keys = Eight(k[row], k[row + 1], k[row + 2], k[row + 3], k[row + 4], k[row + 5], k[row + 6], k[row + 7]);
    let left = params.Tk - start;
    let s0 = score(&query, keys, 0);
    let s1 = select(vec4f(-1e30), score(&query, keys, 1), left > 1);
    let s2 = select(vec4f(-1e30), score(&query, keys, 2), left > 2);
    let s3 = select(vec4f(-1e30), score(&query, keys, 3), left > 3);
    let s4 = select(vec4f(-1e30), score(&query, keys, 4), left > 4);
    let s5 = select(vec4f(-1e30), score(&query, keys, 5), left > 5);
    let s6 = select(vec4f(-1e30), score(&query, keys, 6), left > 6);
    let s7 = select(vec4f(-1e30), score(&query, keys, 7), left > 7);

    let top = max(max(max(max(s0, s1), max(s2, s3)), max(max(s4, s5), max(s6, s7))), m);
    let shrink = exp2(m - top);
    m = top;
    let p = Eight(
      exp2(s0 - top), exp2(s1 - top), exp2(s2 - top), exp2(s3 - top), exp2(s4 - top), exp2(s5 - top), exp2(s6 - top), exp2(s7 - top));
    z = z * shrink + p[0] + p[1] + p[2] + p[3] + p[4] + p[5] + p[6] + p[7];

    let values = Eight(v[row], v[row + 1], v[row + 2], v[row + 3], v[row + 4], v[row + 5], v[row + 6], v[row + 7]);
    collect(&sum, 0, shrink, p, values[0]);
    collect(&sum, 1, shrink, p, values[1]);
    collect(&sum, 2, shrink, p, values[2]);
    collect(&sum, 3, shrink, p, values[3]);
    collect(&sum, 4, shrink, p, values[4]);
    collect(&sum, 5, shrink, p, values[5]);
    collect(&sum, 6, shrink, p, values[6]);
    collect(&sum, 7, shrink, p, values[7]);
  }

  for (var c = 0u; c < chunks; c++) {
    let four = transpose(sum[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tq) { o[at[r] + c] = four[r] / z[r]; }
    }
  }
  for (var r = 0u; r < 4; r++) {
    if (rows[r] < params.Tq) { l[(batch * params.H + head) * params.Tq + rows[r]] = (m[r] + log2(z[r])) / LOG2_E; }
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

// Chunk c of sum becomes sum · shrink + Σ_j p[j] (the chunk of the row that lane j holds).
fn collect(sum: ptr<function, Rows>, c: u32, shrink: vec4f, p: Eight, chunk: vec4f) {
  sum[c] = mat4x4f(
    sum[c][0] * shrink + weigh(p, chunk.x), sum[c][1] * shrink + weigh(p, chunk.y),
    sum[c][2] * shrink + weigh(p, chunk.z), sum[c][3] * shrink + weigh(p, chunk.w));
}

fn weigh(p: Eight, x: f32) -> vec4f {
  return p[0] * subgroupShuffle(x, 0) + p[1] * subgroupShuffle(x, 1) + p[2] * subgroupShuffle(x, 2) + p[3] * subgroupShuffle(x, 3)
    + p[4] * subgroupShuffle(x, 4) + p[5] * subgroupShuffle(x, 5) + p[6] * subgroupShuffle(x, 6) + p[7] * subgroupShuffle(x, 7);
}
