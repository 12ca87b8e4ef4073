// crossEntropy: one workgroup per row n of logits x (N, V), then row n + groups; lanes stride over the vocabulary.
//
//   m[n] = max_v x[n,v]      s[n] = Σ_v exp(x[n,v] − m[n])      loss[n] = weight[n] · (m[n] − x[n,target[n]] + log s[n])
//
// One pass: each lane keeps its largest logit and its sum, and scales the sum down when the maximum grows. m stays apart
// from log s so that large logits cancel before the small number is added. Rows of weight 0 are skipped.

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
@group(0) @binding(5) var<storage, read_write> m: array<f32>;         // (N)
@group(0) @binding(6) var<storage, read_write> s: array<f32>;         // (N)

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
    var rowMax = 0.0;
    var rowSum = 1.0;
    if (weight != 0.0) {
      let row = n * params.columns;
      var laneTop = -3e38;
      var laneTotal = 0.0;
      for (var c = lane; c < params.columns; c += LANES) {
        let x = logits[row + c];
        let larger = max(laneTop, largest(x));
        laneTotal = laneTotal * exp(laneTop - larger) + total(exp(x - larger));
        laneTop = larger;
      }
      rowMax = laneMax(laneTop, lane);
      rowSum = laneSum(laneTotal * exp(laneTop - rowMax), lane);
      let id = targets[n];
      let width = params.C / params.columns;
      value = weight * (rowMax - component(logits[row + id / width], id % width) + log(rowSum));
      if (id >= params.C) {
        value = bitcast<f32>(0x7fc00000u | id); // No such token: NaN, which every finite check finds.
      }
    }
    if (lane == 0u) {
      loss[n] = value;
      m[n] = rowMax;
      s[n] = rowSum;
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
