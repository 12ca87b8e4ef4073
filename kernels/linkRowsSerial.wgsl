// linkRowsSerial: one lane walks the index once and puts every position m at the front of the chain of its row.
//
//   next[m] = head[index[m]]      head[index[m]] = m + 1      head is zero before; 0: no more
//
// The same chains as linkRows. On a CPU a walk of M steps costs less than N lanes with M steps each.

struct Params {
  M: u32,
  N: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<u32>;        // (M)
@group(0) @binding(2) var<storage, read_write> head: array<u32>;   // (N)
@group(0) @binding(3) var<storage, read_write> next: array<u32>;   // (M)

@compute @workgroup_size(1)
fn main() {
  for (var m = 0u; m < params.M; m++) {
    let n = index[m];
    if (n < params.N) {
      next[m] = head[n];
      head[n] = m + 1u;
    }
  }
}
