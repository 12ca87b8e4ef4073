// attentionBackwardQuery: one thread per four queries of one head (b, h); writes dq.
//
//   dq[i,d] = scale Σ_j ds[i,j] k[j,d]      added to what dq holds, where `continues` is 1
//
// Runs after the key kernel, which wrote ds, and on the same heads: B·H of them, from number `first` on.

override THREADS: u32 = 64;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, first: u32, ragged: u32, continues: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(2) var<storage, read> ds: array<vec4f>; // (heads of this launch, Tk, ⌈Tq/4⌉): ds of four queries
@group(0) @binding(3) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(4) var<storage, read_write> dq: array<vec4f>; // (B, Tq, H, D)

const MOST = 32u; // chunks of four channels: D is at most 128

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quad = id.x;
  let quads = (params.Tq + 3) / 4;
  let head = (params.first + id.y) % params.H;
  let batch = (params.first + id.y) / params.H;
  if (quad >= quads) { return; }
  let chunks = params.D / 4;
  let count = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);

  var sum: array<mat4x4f, MOST>; // Σ_j ds k, a column for each query
  for (var c = 0u; c < chunks; c++) { sum[c] = mat4x4f(); }
  for (var j = 0u; j < count; j++) {
    let four = ds[(id.y * params.Tk + j) * quads + quad];
    let row = ((batch * params.Tk + j) * params.H + head) * chunks;
    for (var c = 0u; c < chunks; c++) {
      let key = k[row + c];
      sum[c] += mat4x4f(four.x * key, four.y * key, four.z * key, four.w * key);
    }
  }

  for (var e = 0u; e < 4 && 4 * quad + e < params.Tq; e++) {
    let at = ((batch * params.Tq + 4 * quad + e) * params.H + head) * chunks;
    for (var c = 0u; c < chunks; c++) {
      dq[at + c] = sum[c][e] * params.scale + select(vec4f(), dq[at + c], params.continues == 1u);
    }
  }
}
