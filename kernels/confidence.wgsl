// confidence: one workgroup per row n of logits x (N, V), then row n + groups; lanes stride over the vocabulary.
//
//   id[n] = argmax_v (x[n,v] + temperature · gumbel[n,v]), the lowest v of equals      gumbel = −log(−log u)
//   confidence[n] = exp(x[n,id]) / Σ_v exp(x[n,v])      without noise, at temperature 1
//
// u comes from Philox4x32-10 with key (seed, counter) and counter words (n, v / 4, 0, 0): word v % 4 of the block. Banned
// ids have the logit −1e30 in both lines. One pass, online as in crossEntropy; each lane keeps its best logit and where it
// was, elementwise (a vec4 lane keeps four). Columns are compared as f32, which holds them exactly up to 2^24.

override LANES: u32 = 8;
override NOISE: bool = false;
override BANS: bool = false;

alias Element = f32;
alias Index = u32;

struct Params {
  N: u32,
  columns: u32,
  temperature: f32,
  seed: u32,
  counter: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Element>;          // (N, V)
@group(0) @binding(2) var<storage, read> banned: array<u32>;              // (V / 32) bits, when BANS
@group(0) @binding(3) var<storage, read_write> ids: array<u32>;           // (N)
@group(0) @binding(4) var<storage, read_write> confidence: array<f32>;    // (N)

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var n = group.x; n < params.N; n += groups.x) {
    var m = -3e38;
    var s = 0.0;
    var best = Element(-3e38);
    var bestLogit = Element(-3e38);
    var at = Index(0u);
    for (var c = lane; c < params.columns; c += LANES) {
      var x = logits[n * params.columns + c];
      if (BANS) {
        x = select(x, Element(-1e30), ban(c) != Index(0u));
      }
      let larger = max(m, largest(x));
      s = s * exp(m - larger) + total(exp(x - larger));
      m = larger;
      var score = x;
      if (NOISE) {
        score += params.temperature * gumbel(draw(n, c));
      }
      let better = score > best;
      best = select(best, score, better);
      bestLogit = select(bestLogit, x, better);
      at = select(at, Index(c), better);
    }
    let rowMax = laneMax(m, lane);
    let rowSum = laneSum(s * exp(m - rowMax), lane);
    let top = laneMax(largest(best), lane);
    let column = columnOf(at);
    let id = -laneMax(largest(select(Element(-3e38), -column, best == Element(top))), lane);
    let logit = laneMax(largest(select(Element(-3e38), bestLogit, column == Element(id))), lane);
    if (lane == 0u) {
      ids[n] = u32(id);
      confidence[n] = exp(logit - rowMax) / rowSum;
    }
  }
}

fn gumbel(bits: Index) -> Element {
  // u = 1 − w. Near w = 0 the logarithm of the rounded u would be coarse, so a series gives −log(1 − w) there.
  let w = (Element(bits >> Index(9u)) + 0.5) * 0x1p-23;
  let series = w * (1.0 + w * (0.5 + w * (1.0 / 3.0 + w * 0.25)));
  return -log(select(-log(1.0 - w), series, w < Element(0.015625)));
}

fn philox(n: u32, block: u32) -> vec4u {
  var words = vec4u(n, block, 0u, 0u);
  var key = vec2u(params.seed, params.counter);
  for (var round = 0u; round < 10u; round++) {
    words = vec4u(
      multiplyHigh(0xcd9e8d57u, words.z) ^ words.y ^ key.x,
      0xcd9e8d57u * words.z,
      multiplyHigh(0xd2511f53u, words.x) ^ words.w ^ key.y,
      0xd2511f53u * words.x,
    );
    key += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return words;
}

// The upper 32 bits of the product, by halves of 16 bits.
fn multiplyHigh(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let carry = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (carry >> 16u);
}

fn draw(n: u32, column: u32) -> Index { return philox(n, column / 4u)[column % 4u]; }
fn ban(column: u32) -> Index { return (banned[column / 32u] >> (column % 32u)) & 1u; }
fn columnOf(at: Index) -> Element { return f32(at); }
fn total(v: Element) -> f32 { return v; }
fn largest(v: Element) -> f32 { return v; }
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
