// layerNorm: one workgroup per two rows n of x (N, C), which share their looks at g and b, then the two that are 2·groups further;
// lanes stride over the columns.
//
//   m[n] = mean_c x[n,c]      r[n] = (mean_c (x[n,c] − m[n])² + eps)^(-1/2)      y[n,c] = (x[n,c] − m[n]) · r[n] · g[c] + b[c]
//
// Each lane keeps the mean of what it has seen and the squares around that (Welford 1962), so that one look at the row is
// enough; mean(x²) − m² would lose all digits where the mean is large. Lanes are merged after Chan et al. 1979.

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  C: u32,
  columns: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;        // (N, C)
@group(0) @binding(2) var<storage, read> g: array<Element>;        // (C)
@group(0) @binding(3) var<storage, read> b: array<Element>;        // (C)
@group(0) @binding(4) var<storage, read_write> y: array<Element>;  // (N, C)
@group(0) @binding(5) var<storage, read_write> m: array<f32>;      // (N)
@group(0) @binding(6) var<storage, read_write> r: array<f32>;      // (N)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = 2u * group.x; n < params.N; n += 2u * groups.x) {
    let other = min(n + 1u, params.N - 1u);
    let upper = statistics(n, lane);
    let lower = statistics(other, lane);
    for (var c = lane; c < params.columns; c += LANES) {
      let gain = g[c];
      let bias = b[c];
      y[n * params.columns + c] = (x[n * params.columns + c] - upper.x) * upper.y * gain + bias;
      y[other * params.columns + c] = (x[other * params.columns + c] - lower.x) * lower.y * gain + bias;
    }
    if (lane == 0u) {
      m[n] = upper.x;
      r[n] = upper.y;
      m[other] = lower.x;
      r[other] = lower.y;
    }
  }
}

// m[n], r[n]
fn statistics(n: u32, lane: u32) -> vec2f {
  let row = n * params.columns;
  var own = Element(0.0);
  var squares = Element(0.0);
  var seen = 0.0;
  for (var c = lane; c < params.columns; c += LANES) {
    seen += 1.0;
    let value = x[row + c];
    let away = value - own;
    own += away * (1.0 / seen);
    squares += away * (value - own);
  }
  let mean = laneSum(seen * total(own), lane) / f32(params.C);
  let apart = own - mean;
  return vec2f(mean, inverseSqrt(laneSum(total(squares + seen * apart * apart), lane) / f32(params.C) + params.eps));
}

fn total(v: Element) -> f32 { return v; }
fn laneSum(value: f32, lane: u32) -> f32 { return sumThroughMemory(value, lane); }

fn sumThroughMemory(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) {
    sum += partial[i];
  }
  workgroupBarrier();
  return sum;
}
