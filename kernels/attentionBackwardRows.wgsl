// attentionBackwardRows: one lane per query i of one head (b, h); gathers what the key kernel needs to know of it.
//
//   rows[b,h,i] = (l[i], delta[i], number of keys, 0)      delta[i] = Σ_d dy[i,d] o[i,d]

override LANES: u32 = 64;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, ragged: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> l: array<f32>; // (B, H, Tq)
@group(0) @binding(3) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(4) var<storage, read> lengths: array<u32>; // (B) keys of each batch row, where ragged is 1
@group(0) @binding(5) var<storage, read_write> rows: array<vec4f>; // (B, H, Tq)

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  if (i >= params.Tq) { return; }
  let chunks = params.D / 4;
  let at = ((batch * params.Tq + i) * params.H + head) * chunks;
  var inner = 0.0;
  for (var c = 0u; c < chunks; c++) { inner += dot(dy[at + c], o[at + c]); }
  let keys = select(params.Tk, min(lengths[batch], params.Tk), params.ragged == 1u);
  let at_l = (batch * params.H + head) * params.Tq + i;
  rows[at_l] = vec4f(l[at_l], inner, f32(keys), 0.0);
}
