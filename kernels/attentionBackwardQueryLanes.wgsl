// attentionBackwardQueryLanes: one subgroup of 8 lanes per 32 queries of one head (b, h), four neighbours to a lane; writes dq.
//
//   dq[i,d] = scale Σ_j ds[i,j] k[j,d]      added to what dq holds, where `continues` is 1
//
// Runs after the key kernel, which wrote ds, and on the same heads: B·H of them, from number `first` on.
// Keys come eight at a time: each lane loads one and shuffles pass it round.
enable subgroups;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, first: u32, ragged: u32, continues: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(2) var<storage, read> ds: array<vec4f>; // (heads of this launch, Tk, ⌈Tq/4⌉): ds of four queries
@group(0) @binding(3) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(4) var<storage, read_write> dq: array<vec4f>; // (B, Tq, H, D)

const KEYS = 8u;
const MOST = 32u; // chunks of four channels: D is at most 128

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = (params.first + group.y) % params.H;
  let batch = (params.first + group.y) / params.H;
  let chunks = params.D / 4; // at run time, so that loops over chunks stay loops
  let rows = vec4u(0, 1, 2, 3) + group.x * 32 + lane * 4;
  let at = ((batch * params.Tq + min(rows, vec4u(params.Tq - 1))) * params.H + head) * chunks;
  let quads = (params.Tq + 3) / 4;
  let quad = min(group.x * 8 + lane, quads - 1);
  let count = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);

  var sum: array<mat4x4f, MOST>; // Σ_j ds k, a column for each channel
  for (var c = 0u; c < chunks; c++) { sum[c] = mat4x4f(); }

  for (var start = 0u; start < count; start += KEYS) {
    let row = ((batch * params.Tk + min(start + lane, count - 1)) * params.H + head) * chunks;
    var p = array<vec4f, KEYS>();
    for (var j = 0u; j < KEYS; j++) {
      p[j] = select(vec4f(), ds[(group.y * params.Tk + start + j) * quads + quad], start + j < count);
    }
    for (var c = 0u; c < chunks; c++) {
      let mine = k[row + c];
      var four = sum[c];
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine, j);
        four[0] += p[j] * x.x;
        four[1] += p[j] * x.y;
        four[2] += p[j] * x.z;
        four[3] += p[j] * x.w;
      }
      sum[c] = four;
    }
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
