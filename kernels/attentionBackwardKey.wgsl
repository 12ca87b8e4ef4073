// attentionBackwardKey: one thread per key j of one head (b, h); writes dk, dv, and ds for
// attentionBackwardQuery. The launch begins at head number `first` of the B·H heads.
//
//   p[i,j] = exp(s[i,j] − l[i])     ds[i,j] = p[i,j] (Σ_d dy[i,d] v[j,d] − delta[i])
//   dk[j,d] = scale Σ_i ds[i,j] q[i,d]     dv[j,d] = Σ_i p[i,j] dy[i,d]

override THREADS: u32 = 64;

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32, first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read> rows: array<vec4f>; // (B, H, Tq): l, delta, number of keys
@group(0) @binding(5) var<storage, read> dy: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(6) var<storage, read_write> dk: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(7) var<storage, read_write> dv: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(8) var<storage, read_write> ds: array<vec4f>; // (heads of this launch, Tk, ⌈Tq/4⌉): ds of four queries

const MOST = 32u; // chunks of four channels: D is at most 128

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let j = id.x;
  let head = (params.first + id.y) % params.H;
  let batch = (params.first + id.y) / params.H;
  if (j >= params.Tk) { return; }
  let chunks = params.D / 4;
  let row = ((batch * params.Tk + j) * params.H + head) * chunks;
  let quads = (params.Tq + 3) / 4;

  var key: array<vec4f, MOST>;
  var value: array<vec4f, MOST>;
  var sum_k: array<vec4f, MOST>; // Σ_i ds q
  var sum_v: array<vec4f, MOST>; // Σ_i p dy
  for (var c = 0u; c < chunks; c++) {
    key[c] = k[row + c] * params.scale;
    value[c] = v[row + c];
    sum_k[c] = vec4f();
    sum_v[c] = vec4f();
  }

  for (var quad = 0u; quad < quads; quad++) {
    var four = vec4f();
    for (var e = 0u; e < 4 && 4 * quad + e < params.Tq; e++) {
      let i = 4 * quad + e;
      let at = ((batch * params.Tq + i) * params.H + head) * chunks;
      let saved = rows[(batch * params.H + head) * params.Tq + i];
      var s = 0.0;
      var dp = 0.0;
      for (var c = 0u; c < chunks; c++) {
        s += dot(key[c], q[at + c]);
        dp += dot(value[c], dy[at + c]);
      }
      let here = f32(j) < saved.z;
      let p = select(0.0, exp(s - saved.x), here);
      let own = select(0.0, p * (dp - saved.y), here);
      for (var c = 0u; c < chunks; c++) {
        sum_k[c] += own * q[at + c];
        sum_v[c] += p * dy[at + c];
      }
      four[e] = own;
    }
    ds[(id.y * params.Tk + j) * quads + quad] = four;
  }

  for (var c = 0u; c < chunks; c++) {
    dk[row + c] = sum_k[c] * params.scale;
    dv[row + c] = sum_v[c];
  }
}
