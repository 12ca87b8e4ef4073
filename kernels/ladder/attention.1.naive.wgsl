// attention.1.naive: one thread per query i of one head (b, h), which writes its row of scores to memory.
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     o[i,d] = Σ_j exp(s[i,j] − m[i]) v[j,d] / Σ_j exp(s[i,j] − m[i])     m[i] = max_j s[i,j]
//
// The formula in its three steps: scores, softmax, weighted sum. The scores take B·H·Tq·Tk numbers, more than q, k, v and o
// together as soon as Tk is over 4·D, and each of them is written twice and read D times and more. All threads of a head read
// the same k and v, each for itself.

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<f32>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<f32>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<f32>; // (B, Tq, H, D)
@group(0) @binding(5) var<storage, read_write> s: array<f32>; // (B, H, Tq, Tk)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  if (i >= params.Tq) { return; }
  let row = ((batch * params.Tq + i) * params.H + head) * params.D;
  let scores = ((batch * params.H + head) * params.Tq + i) * params.Tk;

  var m = -1e30;
  for (var j = 0u; j < params.Tk; j++) {
    var score = 0.0;
    for (var d = 0u; d < params.D; d++) { score += q[row + d] * k[keyRow(batch, j, head) + d]; }
    s[scores + j] = params.scale * score;
    m = max(m, params.scale * score);
  }
  var total = 0.0;
  for (var j = 0u; j < params.Tk; j++) {
    let p = exp(s[scores + j] - m);
    s[scores + j] = p;
    total += p;
  }
  for (var d = 0u; d < params.D; d++) {
    var sum = 0.0;
    for (var j = 0u; j < params.Tk; j++) { sum += s[scores + j] * v[keyRow(batch, j, head) + d]; }
    o[row + d] = sum / total;
  }
}

fn keyRow(batch: u32, j: u32, head: u32) -> u32 {
  return ((batch * params.Tk + j) * params.H + head) * params.D;
}
