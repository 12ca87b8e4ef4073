/** Products by matrix units, on adapters that offer them. */
import type { Mutant } from "../support/opCase.ts";
import { define } from "./matmul.ts";

export default [
  define("matmul of rounded operands", "f32", "f16"),
  define("matmul f16 of rounded operands", "f16", "f16"),
];

export const mutants: readonly Mutant[] = [
  {
    kernel: "matmulMatrix",
    find: "matrixB(i, n + MATRIX_N)",
    replace: "matrixB(i, n)",
    why: "columns of the matrix before",
  },
  {
    kernel: "matmulMatrix",
    find: "place < vec2u(params.M, params.N)",
    replace: "place <= vec2u(params.M, params.N)",
    why: "writes a row and a column too many",
  },
  {
    kernel: "matmulMatrix",
    find: "return subgroupMatrixLoad<MatrixB, col_major>",
    replace: "return subgroupMatrixLoad<MatrixB, row_major>",
    why: "b of an NT product is not turned",
  },
];
