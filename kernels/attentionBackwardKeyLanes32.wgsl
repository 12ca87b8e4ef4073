// attentionBackwardKeyLanes32: one subgroup of 8 lanes per 16 keys of one head (b, h), for a head width of 32; lane n has keys n,
// n + 8. Writes dk, dv, and ds for the query kernel. The launch begins at head number `first` of the B·H heads.
//
//   p[i,j] = exp(s[i,j] − l[i])     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dk[j,d] = scale Σ_i ds[i,j] q[i,d]     dv[j,d] = Σ_i p[i,j] dy[i,d]
//
// Queries come one at a time: lane c loads the c-th chunk of four channels, and shuffles pass it round. The sums over channels
// are written out, so that they stay in registers. A vec2f holds one number for each of the lane's two keys.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> rows: array<vec4f>; // (B, H, Tq): l, delta, number of keys
@group(0) @binding(5) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(6) var<storage, read_write> dk: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(7) var<storage, read_write> dv: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(8) var<storage, read_write> ds: array<f32>; // (heads of this launch, Tk, ⌈Tq/4⌉·4)

const CHUNKS = 8u; // a row is 8 chunks of four channels
const LOG2_E = 1.4426950408889634; // scores are kept in units of log 2, so that exp2 serves

alias Rows = array<mat4x2f, CHUNKS>; // a column for each channel of the chunk

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = (params.first + group.y) % params.H;
  let batch = (params.first + group.y) / params.H;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: these loops stay loops, and the file compiles fast
  let own = vec2u(0, 8) + group.x * 16 + lane;
  let at = ((batch * params.Tk + min(own, vec2u(params.Tk - 1))) * params.H + head) * chunks;
  let at_ds = (group.y * params.Tk + own) * ((params.Tq + 3) / 4 * 4);

  var key: Rows;
  var value: Rows;
  var sum_k: Rows; // Σ_i ds q
  var sum_v: Rows; // Σ_i p dy
  for (var c = 0u; c < chunks; c++) {
    key[c] = transpose(mat2x4f(k[at.x + c], k[at.y + c])) * (params.scale * LOG2_E);
    value[c] = transpose(mat2x4f(v[at.x + c], v[at.y + c]));
    sum_k[c] = mat4x2f();
    sum_v[c] = mat4x2f();
  }

  for (var start = 0u; start < params.Tq; start += 8) {
    let saved = rows[(batch * params.H + head) * params.Tq + min(start + lane, params.Tq - 1)];
    let here = vec2f(own) < vec2f(saved.z); // the number of keys is the same for all queries of the batch row
    for (var i = start; i < min(start + 8, params.Tq); i++) {
      let row = ((batch * params.Tq + i) * params.H + head) * chunks + lane;
      let query = q[row];
      let grad = dy[row];
      let lse = subgroupShuffle(saved.x, i - start) * LOG2_E;
      let inner = subgroupShuffle(saved.y, i - start);
      let p = select(vec2f(), exp2(score(&key, query) - lse), here);
      let slope = select(vec2f(), p * (score(&value, grad) - inner), here);
      collect(&sum_k, 0, slope, query);
      collect(&sum_k, 1, slope, query);
      collect(&sum_k, 2, slope, query);
      collect(&sum_k, 3, slope, query);
      collect(&sum_k, 4, slope, query);
      collect(&sum_k, 5, slope, query);
      collect(&sum_k, 6, slope, query);
      collect(&sum_k, 7, slope, query);
      collect(&sum_v, 0, p, grad);
      collect(&sum_v, 1, p, grad);
      collect(&sum_v, 2, p, grad);
      collect(&sum_v, 3, p, grad);
      collect(&sum_v, 4, p, grad);
      collect(&sum_v, 5, p, grad);
      collect(&sum_v, 6, p, grad);
      collect(&sum_v, 7, p, grad);
      if (own.x < params.Tk) { ds[at_ds.x + i] = slope.x; }
      if (own.y < params.Tk) { ds[at_ds.y + i] = slope.y; }
    }
  }

  for (var c = 0u; c < chunks; c++) {
    let two_k = transpose(sum_k[c]);
    let two_v = transpose(sum_v[c]);
    for (var r = 0u; r < 2; r++) {
      if (own[r] < params.Tk) {
        dk[at[r] + c] = two_k[r] * params.scale;
        dv[at[r] + c] = two_v[r];
      }
    }
  }
}

// The products of the lane's rows with a row of which each lane holds a chunk.
fn score(own: ptr<function, Rows>, chunk: vec4f) -> vec2f {
  return part(own[0], chunk, 0) + part(own[1], chunk, 1) + part(own[2], chunk, 2) + part(own[3], chunk, 3)
    + part(own[4], chunk, 4) + part(own[5], chunk, 5) + part(own[6], chunk, 6) + part(own[7], chunk, 7);
}

fn part(own: mat4x2f, chunk: vec4f, c: u32) -> vec2f {
  let x = subgroupShuffle(chunk, c);
  return own[0] * x.x + own[1] * x.y + own[2] * x.z + own[3] * x.w;
}

// Adds p · (the chunk that lane c holds) to chunk c of sum.
fn collect(sum: ptr<function, Rows>, c: u32, p: vec2f, chunk: vec4f) {
  let x = subgroupShuffle(chunk, c);
  sum[c] += mat4x2f(p * x.x, p * x.y, p * x.z, p * x.w);
}
