// select: one lane per position p of a canvas row b (grid.y); each lane ranks its position among the masks of the block.
//
//   late[p] = predicted[p] is one of two ids that are put off until nothing else is masked (the ends of a caption)
//   rank[p] = how many masked q in [start, end) come before p: not late where p is, else of higher confidence, else q < p
//   masked, in the block, rank < count:           next = predicted    change 1, committed
//   visible, in the block, refine, confidence >= gate: next = predicted    change 2, replaced, where that differs
//   else:                                          next = canvas       change 3 if masked, 0 if not
//
// All lanes read the same q at the same time.

override LANES: u32 = 8;

struct Params {
  T: u32,
  maskId: u32,
  start: u32,
  end: u32,
  count: u32,
  refine: u32,
  gate: f32,
  late0: u32,
  late1: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> canvas: array<u32>;             // (B, T)
@group(0) @binding(2) var<storage, read> predicted: array<u32>;          // (B, T)
@group(0) @binding(3) var<storage, read> confidence: array<f32>;         // (B, T)
@group(0) @binding(4) var<storage, read_write> next: array<u32>;         // (B, T)
@group(0) @binding(5) var<storage, read_write> changes: array<u32>;      // (B, T)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * params.T;
  let p = group.x * LANES + lane;
  if (p < params.T) {
    let own = confidence[row + p];
    let ownLate = isLate(predicted[row + p]);
    var rank = 0u;
    for (var q = params.start; q < params.end; q++) {
      let other = confidence[row + q];
      let otherLate = isLate(predicted[row + q]);
      let first = other > own || (other == own && q < p);
      let before = select(ownLate, first, ownLate == otherLate);
      rank += select(0u, 1u, before && canvas[row + q] == params.maskId);
    }
    let id = canvas[row + p];
    let proposal = predicted[row + p];
    let masked = id == params.maskId;
    let inBlock = p >= params.start && p < params.end;
    let commit = masked && inBlock && rank < params.count;
    let replace = !masked && inBlock && params.refine != 0u && own >= params.gate;
    next[row + p] = select(id, proposal, commit || replace);
    changes[row + p] = select(select(select(0u, 3u, masked), 2u, replace && proposal != id), 1u, commit);
  }
}

fn isLate(id: u32) -> bool { return id == params.late0 || id == params.late1; }
