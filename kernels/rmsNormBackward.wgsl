// rmsNormBackward: one workgroup of LANES lanes per row n of x (N, C); lanes stride over the columns.
//
//   d[n,c] = dy[n,c] · g[c]      h[n,c] = x[n,c] · r[n]
//   dx[n,c] = r[n] · (d[n,c] − h[n,c] · mean_c(d·h))

override LANES: u32 = 8;

struct Params {
  N: u32,
  C: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // (N, C)
@group(0) @binding(2) var<storage, read> g: array<f32>;         // (C)
@group(0) @binding(3) var<storage, read> r: array<f32>;         // (N)
@group(0) @binding(4) var<storage, read> dy: array<f32>;        // (N, C)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;  // (N, C)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x * params.C;
  let scale = r[group.x];
  var dot = 0.0;
  for (var c = lane; c < params.C; c += LANES) {
    dot += dy[row + c] * g[c] * x[row + c];
  }
  partial[lane] = dot;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += partial[i];
  }
  let mean = sum * scale / f32(params.C);
  for (var c = lane; c < params.C; c += LANES) {
    dx[row + c] = scale * (dy[row + c] * g[c] - x[row + c] * scale * mean);
  }
}
