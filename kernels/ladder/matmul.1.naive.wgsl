// matmul.1.naive: one thread per element of c, which walks along a row of a and down a column of b.
//   c[m,n] = Σ_k a[m,k] · b[k,n]
//
// The formula, and nothing else: where every ladder begins. Two loads for one product. A load costs an address, a
// bounds check and a trip to some cache; a product costs next to nothing. So the loads are what there is to save:
// each value of a is fetched N times, each of b M times.

struct Params { M: u32, N: u32, K: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (M, K)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (K, N)
@group(0) @binding(3) var<storage, read_write> c: array<f32>; // (M, N)

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x; // neighbouring threads have neighbouring columns, so that a GPU reads b in whole cache lines
  let m = id.y;
  if (m >= params.M || n >= params.N) { return; }
  var sum = 0.0;
  for (var k = 0u; k < params.K; k++) {
    sum += a[m * params.K + k] * b[k * params.N + n];
  }
  c[m * params.N + n] = sum;
}
