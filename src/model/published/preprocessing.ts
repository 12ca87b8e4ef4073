import { z } from "zod";
import type { VisionConfig } from "../config.ts";
import { CheckpointError } from "../safetensors.ts";

const sides = z.union([z.number(), z.looseObject({ height: z.number(), width: z.number() })]);
const near = (value: number) =>
  z
    .array(z.number())
    .refine(
      (all) => all.length === 3 && all.every((one) => Math.abs(one - value) < 1e-6),
      `must be ${value} for each colour`,
    );

/** How pictures are prepared here: bicubic to the tower's size, then to [-1, 1]. */
const schema = (side: number) =>
  z.looseObject({
    size: sides
      .optional()
      .refine(
        (size) =>
          size === undefined ||
          size === side ||
          (typeof size === "object" && size.height === side && size.width === side),
        `must be ${side} by ${side}, the tower's`,
      ),
    resample: z.literal([2, 3]).optional(),
    rescale_factor: z
      .number()
      .refine((factor) => Math.abs(factor * 255 - 1) < 1e-6, "must be 1/255")
      .optional(),
    image_mean: near(0.5).optional(),
    image_std: near(0.5).optional(),
    do_resize: z.literal(true).optional(),
    do_rescale: z.literal(true).optional(),
    do_normalize: z.literal(true).optional(),
  });

/**
 * Whether a preprocessor_config.json asks for what is done here. SigLIP2's own file says bilinear (2), LLaDA-V prepares its
 * pictures bicubic (3) with the same tower; both are taken, and bicubic is done. Throws CheckpointError.
 */
export function checkPreprocessing(given: unknown, { imageSize }: VisionConfig, path: string): void {
  const result = schema(imageSize).safeParse(given);
  if (result.success) return;
  const problems = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new CheckpointError(`${path} asks for another preparation of pictures: ${problems.join("; ")}.`, {
    path,
    problems,
  });
}
