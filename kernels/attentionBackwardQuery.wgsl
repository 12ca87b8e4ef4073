// attentionBackwardQuery: one thread per query i of one head (b, h); writes dq and the row sums delta that
// attentionBackwardKey needs. Probabilities are computed anew from l.
//
//   p[i,j] = exp(s[i,j] − l[i])     delta[i] = Σ_d dy[i,d] o[i,d]     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dq[i,d] = scale Σ_j ds[i,j] k[j,d]

override THREADS: u32 = 64;

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

const MOST = 32u; // chunks of four channels: D is at most 128

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  if (i >= params.Tq) { return; }
  let chunks = params.D / 4;
  let row = ((batch * params.Tq + i) * params.H + head) * chunks;
  let at_l = (batch * params.H + head) * params.Tq + i;

  var query: array<vec4f, MOST>;
  var grad: array<vec4f, MOST>;
  var sum: array<vec4f, MOST>; // Σ_j ds k
  var inner = 0.0;
  for (var c = 0u; c < chunks; c++) {
    query[c] = q[row + c] * params.scale;
    grad[c] = dy[row + c];
    inner += dot(grad[c], o[row + c]);
    sum[c] = vec4f();
  }

  let lse = l[at_l];
  for (var j = 0u; j < params.Tk; j++) {
    let at = ((batch * params.Tk + j) * params.H + head) * chunks;
    var s = 0.0;
    var dp = 0.0;
    for (var c = 0u; c < chunks; c++) {
      s += dot(query[c], k[at + c]);
      dp += dot(grad[c], v[at + c]);
    }
    let ds = exp(s - lse) * (dp - inner);
    for (var c = 0u; c < chunks; c++) { sum[c] += ds * k[at + c]; }
  }

  for (var c = 0u; c < chunks; c++) { dq[row + c] = sum[c] * params.scale; }
  delta[at_l] = inner;
}
