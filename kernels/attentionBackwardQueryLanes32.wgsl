// attentionBackwardQueryLanes32: one subgroup of 8 lanes per 32 queries of one head (b, h), four neighbours to a lane, for a
// head width of 32; writes dq.
//
//   dq[i,d] = scale Σ_j ds[i,j] k[j,d]      added to what dq holds, where `continues` is 1
//
// Runs after the key kernel, which wrote ds, and on the same heads: B·H of them, from number `first` on.
// Keys come one at a time: lane c loads the c-th chunk of four channels, and shuffles pass it round. The sums are written out,
// so that they stay in registers.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, first: u32, ragged: u32, continues: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(2) var<storage, read> ds: array<vec4f>; // (heads of this launch, Tk, ⌈Tq/4⌉): ds of four queries
@group(0) @binding(3) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(4) var<storage, read_write> dq: array<vec4f>; // (B, Tq, H, D)

const CHUNKS = 8u; // a row is 8 chunks of four channels

alias Rows = array<mat4x4f, CHUNKS>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = (params.first + group.y) % params.H;
  let batch = (params.first + group.y) / params.H;
  let chunks = params.D / 4; // CHUNKS, but known at run time only: these loops stay loops, and the file compiles fast
  let rows = vec4u(0, 1, 2, 3) + group.x * 32 + lane * 4;
  let at = ((batch * params.Tq + min(rows, vec4u(params.Tq - 1))) * params.H + head) * chunks;
  let quads = (params.Tq + 3) / 4;
  let quad = min(group.x * 8 + lane, quads - 1);
  let count = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);

  var sum: Rows; // Σ_j ds k, a column for each channel
  for (var c = 0u; c < chunks; c++) { sum[c] = mat4x4f(); }

  for (var j = 0u; j < count; j++) {
    let four = ds[(group.y * params.Tk + j) * quads + quad];
    let key = k[((batch * params.Tk + j) * params.H + head) * chunks + lane];
    collect(&sum, 0, four, key);
    collect(&sum, 1, four, key);
    collect(&sum, 2, four, key);
    collect(&sum, 3, four, key);
    collect(&sum, 4, four, key);
    collect(&sum, 5, four, key);
    collect(&sum, 6, four, key);
    collect(&sum, 7, four, key);
  }

  for (var c = 0u; c < chunks; c++) {
    let four = transpose(sum[c]);
    for (var r = 0u; r < 4; r++) {
      if (rows[r] < params.Tq) {
        dq[at[r] + c] = four[r] * params.scale + select(vec4f(), dq[at[r] + c], params.continues == 1u);
      }
    }
  }
}

// Adds p · (the chunk that lane c holds) to chunk c of sum.
fn collect(sum: ptr<function, Rows>, c: u32, p: vec4f, chunk: vec4f) {
  let x = subgroupShuffle(chunk, c);
  sum[c] += mat4x4f(p * x.x, p * x.y, p * x.z, p * x.w);
}
