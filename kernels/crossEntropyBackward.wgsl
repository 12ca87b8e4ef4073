// crossEntropyBackward: one workgroup per row n of logits x (N, V), then row n + groups; lanes stride over the vocabulary.
//
//   dx[n,v] = dloss[n] · weight[n] · (exp(x[n,v] − m[n]) / s[n] − [v = target[n]])      exactly 0 where weight[n] = 0

override LANES: u32 = 8;

alias Element = f32;

struct Params {
  N: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Element>;            // (N, V)
@group(0) @binding(2) var<storage, read> targets: array<u32>;               // (N)
@group(0) @binding(3) var<storage, read> weights: array<f32>;               // (N)
@group(0) @binding(4) var<storage, read> m: array<f32>;                     // (N)
@group(0) @binding(5) var<storage, read> s: array<f32>;                     // (N)
@group(0) @binding(6) var<storage, read> dloss: array<f32>;                 // (N)
@group(0) @binding(7) var<storage, read_write> dlogits: array<Element>;     // (N, V)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    let row = n * params.columns;
    let weight = weights[n];
    if (weight != 0.0) {
      let id = targets[n];
      let rowMax = m[n];
      let inverse = 1.0 / s[n];
      let scale = dloss[n] * weight;
      for (var c = lane; c < params.columns; c += LANES) {
        dlogits[row + c] = scale * (exp(logits[row + c] - rowMax) * inverse - oneHot(c, id));
      }
    } else {
      for (var c = lane; c < params.columns; c += LANES) {
        dlogits[row + c] = Element(0.0);
      }
    }
  }
}

fn oneHot(column: u32, id: u32) -> Element { return select(0.0, 1.0, column == id); }
