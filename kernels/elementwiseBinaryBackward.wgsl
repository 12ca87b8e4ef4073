// elementwiseBinaryBackward: gradients of both operands of elementwiseBinary, or of one, at the size of y (N, C); the work
// is spread as there. The host sums them over the axes that were repeated.
//
//   da[n,c] = dy[n,c] · ∂f/∂a      db[n,c] = dy[n,c] · ∂f/∂b      at a[at_a(n) + c·aC], b[at_b(n) + c·bC]

override LANES: u32 = 8;
override AXES: u32 = 1;  // Outer axes, 1 to 5.
override NEEDS_A: bool = true;
override NEEDS_B: bool = true;

alias Vector = f32;
alias Left = f32;  // Vector, or f32 where a repeats one number along the columns.
alias Right = f32; // As Left, of b.

struct Params {
  N: u32,
  C: u32,
  rows: u32,
  steps: u32,
  n1: u32, n2: u32, n3: u32, n4: u32,                   // Sizes of outer axes, innermost first.
  a0: u32, a1: u32, a2: u32, a3: u32, a4: u32, aC: u32, // Strides of a: outermost axis, then as the sizes, then columns.
  b0: u32, b1: u32, b2: u32, b3: u32, b4: u32, bC: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Left>;           // broadcasts to (N, C)
@group(0) @binding(2) var<storage, read> b: array<Right>;          // broadcasts to (N, C)
@group(0) @binding(3) var<storage, read> dy: array<Vector>;        // (N, C)
@group(0) @binding(4) var<storage, read_write> da: array<Vector>;  // (N, C), or unused
@group(0) @binding(5) var<storage, read_write> db: array<Vector>;  // (N, C), or unused

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * LANES * params.steps + lane;
  let last = min(params.C, first + params.steps * LANES);
  let end = min(params.N, (group.y + 1u) * params.rows);
  for (var n = group.y * params.rows; n < end; n++) {
    let at = rowsOf(n);
    for (var c = first; c < last; c += LANES) {
      let i = n * params.C + c;
      let d = dy[i];
      let valueA = Vector(a[at.x + c * params.aC]);
      let valueB = Vector(b[at.y + c * params.bC]);
      if (NEEDS_A) {
        da[i] = slopeA(d, valueA, valueB);
      }
      if (NEEDS_B) {
        db[i] = slopeB(d, valueA, valueB);
      }
    }
  }
}

fn slopeA(d: Vector, a: Vector, b: Vector) -> Vector { return d; }
fn slopeB(d: Vector, a: Vector, b: Vector) -> Vector { return d; }

// Where row n starts in a and in b.
fn rowsOf(n: u32) -> vec2u {
  var rest = n;
  var at = vec2u(0);
  if (AXES > 1u) {
    at += rest % params.n1 * vec2u(params.a1, params.b1);
    rest /= params.n1;
  }
  if (AXES > 2u) {
    at += rest % params.n2 * vec2u(params.a2, params.b2);
    rest /= params.n2;
  }
  if (AXES > 3u) {
    at += rest % params.n3 * vec2u(params.a3, params.b3);
    rest /= params.n3;
  }
  if (AXES > 4u) {
    at += rest % params.n4 * vec2u(params.a4, params.b4);
    rest /= params.n4;
  }
  return at + rest * vec2u(params.a0, params.b0);
}

// As in elementwiseBinary.wgsl.
fn sigmoid(x: Vector) -> Vector {
  return 1.0 / (1.0 + exp(min(-x, Vector(88.0))));
}

// silu'(x) = σ + x·σ·(1 − σ)
fn siluSlope(x: Vector) -> Vector {
  let sigma = sigmoid(x);
  return sigma * (1.0 + x * (1.0 - sigma));
}
