// attention: one subgroup of 8 lanes per 32 queries of one head (b, h); lane n has queries n, n + 8, n + 16, n + 24.
//
//   s[i,j] = scale Σ_d q[i,d] k[j,d]     l[i] = log Σ_j exp(s[i,j])     o[i,d] = Σ_j exp(s[i,j] − l[i]) v[j,d]
//
// Keys come in tiles of KEYS. A lane loads one key for every eight and passes it round with shuffles; o is its own
// accumulator, rescaled whenever a tile raises a row's maximum m, and divided by the sum z with the last tile.
enable subgroups;

override HEAD_DIM: u32 = 32;
override CHUNKS: u32 = HEAD_DIM / 4; // a row is CHUNKS of four channels

struct Params { H: u32, Tq: u32, Tk: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(2) var<storage, read> k: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(3) var<storage, read> v: array<vec4f>; // (B, Tk, H, D)
@group(0) @binding(4) var<storage, read_write> o: array<vec4f>; // (B, Tq, H, D)
@group(0) @binding(5) var<storage, read_write> l: array<f32>; // (B, H, Tq)

const KEYS = 32u;
const GROUPS = KEYS / 8; // keys a lane loads

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = group.y;
  let batch = group.z;
  let stride = params.H * CHUNKS;
  let rows = vec4u(0, 8, 16, 24) + group.x * 32 + lane;
  let at = (min(rows, vec4u(params.Tq - 1)) + batch * params.Tq) * stride + head * CHUNKS;
  let scale = params.scale * 1.4426950408889634; // log2(e): exp2 from here on

  var m = vec4f(-1e30);
  var z = vec4f();
  for (var start = 0u; start < params.Tk; start += KEYS) {
    var row: array<u32, GROUPS>;
    for (var g = 0u; g < GROUPS; g++) {
      row[g] = ((batch * params.Tk + min(start + g * 8 + lane, params.Tk - 1)) * params.H + head) * CHUNKS;
    }

    // s[j]: the scores of four queries with key start + j
    var s = array<vec4f, KEYS>();
    for (var c = 0u; c < CHUNKS; c++) {
      let Q = transpose(mat4x4f(q[at.x + c], q[at.y + c], q[at.z + c], q[at.w + c]));
      var mine: array<vec4f, GROUPS>;
      for (var g = 0u; g < GROUPS; g++) { mine[g] = k[row[g] + c]; }
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine[j / 8], j % 8);
        s[j] = fma(Q[3], vec4f(x.w), fma(Q[2], vec4f(x.z), fma(Q[1], vec4f(x.y), fma(Q[0], vec4f(x.x), s[j]))));
      }
    }

    var top = m;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = select(vec4f(-1e30), s[j] * scale, start + j < params.Tk);
      top = max(top, s[j]);
    }
    let shrink = exp2(m - top);
    m = top;
    z *= shrink;
    for (var j = 0u; j < KEYS; j++) {
      s[j] = exp2(s[j] - top);
      z += s[j];
    }

    let first = start == 0;
    let last = select(vec4f(1), 1 / z, start + KEYS >= params.Tk);
    for (var c = 0u; c < CHUNKS; c++) {
      var a = mat4x4f(o[at.x + c], o[at.y + c], o[at.z + c], o[at.w + c]);
      for (var r = 0u; r < 4; r++) { a[r] = select(a[r] * shrink[r], vec4f(), first); }
      var mine: array<vec4f, GROUPS>;
      for (var g = 0u; g < GROUPS; g++) { mine[g] = v[row[g] + c]; }
      for (var j = 0u; j < KEYS; j++) {
        let x = subgroupShuffle(mine[j / 8], j % 8);
        a[0] = fma(x, vec4f(s[j].x), a[0]);
        a[1] = fma(x, vec4f(s[j].y), a[1]);
        a[2] = fma(x, vec4f(s[j].z), a[2]);
        a[3] = fma(x, vec4f(s[j].w), a[3]);
      }
      for (var r = 0u; r < 4; r++) {
        if (rows[r] < params.Tq) { o[at[r] + c] = a[r] * last[r]; }
      }
    }
  }

  for (var r = 0u; r < 4; r++) {
    if (rows[r] < params.Tq) { l[(batch * params.H + head) * params.Tq + rows[r]] = (m[r] + log2(z[r])) * 0.6931471805599453; }
  }
}
