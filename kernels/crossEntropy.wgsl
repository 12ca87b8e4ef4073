// crossEntropy: one workgroup per row n of logits x (N, V), then row n + groups; lanes stride over the vocabulary.
//
//   l[n] = log Σ_v exp(x[n,v])      loss[n] = weight[n] · (l[n] − x[n, target[n]])
//
// One pass: each lane keeps its largest logit m and s = Σ exp(x − m), and scales s down when m grows. The loss is taken
// as (m − x[target]) + log s, so that large logits cancel before the small number is added. Rows of weight 0 are skipped.

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  C: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Element>;      // (N, V)
@group(0) @binding(2) var<storage, read> targets: array<u32>;         // (N)
@group(0) @binding(3) var<storage, read> weights: array<f32>;         // (N)
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;      // (N)
@group(0) @binding(5) var<storage, read_write> l: array<f32>;         // (N)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let weight = weights[n];
    var value = 0.0;
    var logSum = 0.0;
    if (weight != 0.0) {
      let row = n * params.columns;
      var m = -3e38;
      var s = 0.0;
      for (var c = lane; c < params.columns; c += LANES) {
        let x = logits[row + c];
        let larger = max(m, largest(x));
        s = s * exp(m - larger) + total(exp(x - larger));
        m = larger;
      }
      let rowMax = laneMax(m, lane);
      let rowSum = laneSum(s * exp(m - rowMax), lane);
      let id = targets[n];
      let width = params.C / params.columns;
      logSum = rowMax + log(rowSum);
      value = weight * (rowMax - component(logits[row + id / width], id % width) + log(rowSum));
      if (id >= params.C) {
        value = bitcast<f32>(0x7fc00000u | id); // No such token: NaN, which every finite check finds.
      }
    }
    if (lane == 0u) {
      loss[n] = value;
      l[n] = logSum;
    }
  }
}

fn total(v: Element) -> f32 { return v; }
fn largest(v: Element) -> f32 { return v; }
fn component(v: Element, i: u32) -> f32 { return v; }
fn laneSum(value: f32, lane: u32) -> f32 { return sumThroughMemory(value, lane); }
fn laneMax(value: f32, lane: u32) -> f32 { return maxThroughMemory(value, lane); }

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

fn maxThroughMemory(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  var largest = partial[0];
  for (var i = 1u; i < LANES; i++) {
    largest = max(largest, partial[i]);
  }
  workgroupBarrier();
  return largest;
}
