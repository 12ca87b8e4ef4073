// elementwiseBinary: y (N, C) from a and b, broadcast by strides; a workgroup takes `rows` rows n and, of their columns c,
// LANES·steps. `f` is a row of the table in src/tensor/elementwise.ts.
//
//   y[n,c] = f(a[at_a(n) + c·aC], b[at_b(n) + c·bC])      at(n) = Σ_i digit_i(n) · stride_i, digits in the base n1 … n4
//
// The host merges axes first: equal shapes are one row, a bias is one outer axis. Where strides allow, Vector is vec4f, and
// sizes and strides count vectors, except those of an operand that repeats one number along the columns.

override LANES: u32 = 8;
override AXES: u32 = 1; // Outer axes, 1 to 5.

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
@group(0) @binding(1) var<storage, read> a: array<Left>;          // broadcasts to (N, C)
@group(0) @binding(2) var<storage, read> b: array<Right>;         // broadcasts to (N, C)
@group(0) @binding(3) var<storage, read_write> y: array<Vector>;  // (N, C)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * LANES * params.steps + lane;
  let last = min(params.C, first + params.steps * LANES);
  let end = min(params.N, (group.y + 1u) * params.rows);
  for (var n = group.y * params.rows; n < end; n++) {
    let at = rowsOf(n);
    for (var c = first; c < last; c += LANES) {
      y[n * params.C + c] = f(Vector(a[at.x + c * params.aC]), Vector(b[at.y + c * params.bC]));
    }
  }
}

fn f(a: Vector, b: Vector) -> Vector { return a + b; }

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

// 1 / (1 + e^-x). The exponent stays under 88, where e^88 is still finite, so nothing overflows for any x.
fn sigmoid(x: Vector) -> Vector {
  return 1.0 / (1.0 + exp(min(-x, Vector(88.0))));
}
