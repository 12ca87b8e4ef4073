// attention.5.workgroup: one workgroup of 64 threads per 64 queries of one head (b, h); a thread owns one query.
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     o[i,d] = Σ_j exp(s[i,j] − m[i]) v[j,d] / Σ_j exp(s[i,j] − m[i])     m[i] = max_j s[i,j]
//
// New: the 64 queries share their keys. Together the threads bring 16 keys and their values into workgroup memory, so that k and v
// come from memory once for 64 queries instead of once for each. This is how FlashAttention works on a GPU, where
// workgroup memory is as near as the first cache. A software adapter has k and v in its cache anyway, and pays for the copy
// and the barriers: slower there than attention.4.keys. Read it for the GPU.
// Assumes: D divisible by 4, at most 128 (two tiles of 8 KiB are what every device has). Past the last key it is repeated.

struct Params { H: u32, Tq: u32, Tk: u32, D: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)

const MOST = 32u; // chunks of four channels
const KEYS = 16u; // keys in a tile
const THREADS = 64u;

var<workgroup> kTile: array<vec4f, KEYS * MOST>; // row by row: chunk c of key j at j · chunks + c
var<workgroup> vTile: array<vec4f, KEYS * MOST>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = id.x;
  let head = id.y;
  let batch = id.z;
  let chunks = params.D / 4u;
  // A thread past the last query works on that one too: it has to come to every barrier.
  let row = ((batch * params.Tq + min(i, params.Tq - 1u)) * params.H + head) * chunks;

  var query: array<vec4f, MOST>;
  var sum: array<vec4f, MOST>; // Σ_j exp(s − m) v
  for (var c = 0u; c < chunks; c++) {
    query[c] = params.scale * q[row + c];
    sum[c] = vec4f();
  }
  var m = -1e30;
  var total = 0.0; // Σ_j exp(s − m)
  for (var first = 0u; first < params.Tk; first += KEYS) {
    for (var at = thread; at < KEYS * chunks; at += THREADS) {
      let key = min(first + at / chunks, params.Tk - 1u);
      let source = ((batch * params.Tk + key) * params.H + head) * chunks + at % chunks;
      kTile[at] = k[source];
      vTile[at] = v[source];
    }
    workgroupBarrier(); // the tiles are full
    for (var j = 0u; j < min(KEYS, params.Tk - first); j += 4u) {
      let at = (j + vec4u(0, 1, 2, 3)) * chunks;
      var s = vec4f();
      for (var c = 0u; c < chunks; c++) {
        s += query[c] * mat4x4f(kTile[at.x + c], kTile[at.y + c], kTile[at.z + c], kTile[at.w + c]);
      }
      s = select(vec4f(-1e30), s, first + j + vec4u(0, 1, 2, 3) < vec4u(params.Tk));
      let larger = max(m, max(max(s.x, s.y), max(s.z, s.w)));
      let shrink = exp(m - larger);
      let p = exp(s - larger);
      m = larger;
      total = total * shrink + dot(p, vec4f(1.0));
      for (var c = 0u; c < chunks; c++) {
        sum[c] = sum[c] * shrink + mat4x4f(vTile[at.x + c], vTile[at.y + c], vTile[at.z + c], vTile[at.w + c]) * p;
      }
    }
    workgroupBarrier(); // nobody needs them any more
  }
  if (i < params.Tq) {
    for (var c = 0u; c < chunks; c++) { o[row + c] = sum[c] / total; }
  }
}
