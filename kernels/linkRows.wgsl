// linkRows: one lane per row n; it reads the whole index and links the positions m with index[m] = n into a chain.
//
//   head[n] = 1 + the last m with index[m] = n      next[m] = 1 + the one before it      0: no more
//
// Lanes read the same addresses at the same time, so the scan is one broadcast a step. No atomics: the chains, and with
// them the order of every sum over a chain, are the same in each run. linkRowsSerial is the version for a CPU.

override LANES: u32 = 64;

struct Params {
  M: u32,
  N: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<u32>;        // (M)
@group(0) @binding(2) var<storage, read_write> head: array<u32>;   // (N)
@group(0) @binding(3) var<storage, read_write> next: array<u32>;   // (M)

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = (group.y * groups.x + group.x) * LANES + lane;
  if (n < params.N) {
    var last = 0u;
    for (var m = 0u; m < params.M; m++) {
      if (index[m] == n) {
        next[m] = last;
        last = m + 1u;
      }
    }
    head[n] = last;
  }
}
