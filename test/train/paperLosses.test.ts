/** The losses of the preset `paper` against eq. 3 to 5 written out in PyTorch in f64 (test/goldens/paperLosses.py). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { backward, crossEntropy, openDevice, reshape, scope, sum, tensor } from "../../src/tensor/index.ts";
import { lossTerms } from "../../src/train/answerLoss.ts";
import { categoryIds, tokenCategories, type TokenCategory, UNJUDGED } from "../../src/train/corruption.ts";
import { recipes } from "../../src/train/recipes.ts";
import { lossWeights } from "../../src/train/revisionLoss.ts";
import { lehmer, type Sketch, sketch } from "../support/publishedTraining.ts";

interface Golden {
  readonly rows: readonly { readonly t: number; readonly kinds: string }[];
  readonly vocabulary: number;
  readonly right: readonly (readonly number[])[];
  readonly loss: number;
  readonly terms: Readonly<Record<TokenCategory, number>>;
  /** Of the logits: of each row, and of the first place of the first row. */
  readonly gradients: readonly Sketch[];
  readonly first: readonly number[];
}
const golden = JSON.parse(readFileSync(new URL("../goldens/paperLosses.json", import.meta.url), "utf8")) as Golden;
const letters = "mshcx";

test("four terms of Stage I, some of them absent, beside a draft of Stage II: values, and gradients of the logits", async () => {
  const { rows, vocabulary: V, right } = golden;
  const [B, T] = [rows.length, rows[0]!.kinds.length];
  const kinds = rows.map((row) =>
    Uint32Array.from(row.kinds, (kind) => (kind === "." ? UNJUDGED : letters.indexOf(kind))),
  );
  tokenCategories.forEach((name, id) =>
    assert.equal(categoryIds[name], name === "mistake" ? 4 : letters.indexOf(name[0]!), `${id}`),
  );
  const weights = rows.flatMap(({ t }, b) => {
    const target = Uint32Array.from(right[b]!);
    const own = lossWeights({ shown: target, target, category: kinds[b]! }, t, recipes.paper.losses);
    return [...own].map((weight) => weight / B);
  });
  const device = await openDevice();
  await scope(device, async () => {
    const logits = tensor(
      device,
      Float32Array.from(lehmer(7, B * T * V), (value) => 6 * value),
      [B * T, V],
    );
    logits.requiresGrad = true;
    const losses = crossEntropy(logits, tensor(device, right.flat(), [B * T], "u32"), tensor(device, weights, [B * T]));
    const category = Uint32Array.from(kinds.flatMap((row) => [...row]));
    const terms = await lossTerms(reshape(losses, [B, T]), { category, B, T }).read();
    const near = (got: number, want: number, size: number, name: string) =>
      assert.ok(Math.abs(got - want) <= 1e-6 * size, `${name}: ${got}, PyTorch ${want}`);
    tokenCategories.forEach((name, i) => near(terms[i]!, golden.terms[name], golden.terms[name], name));
    const total = sum(losses);
    near(await total.item(), golden.loss, golden.loss, "eq. 4 and 5");
    backward(total);
    const gradient = (await logits.grad!.read()) as Float32Array;
    for (const [b, [norm, along]] of golden.gradients.entries()) {
      const [size, projection] = sketch(gradient.subarray(b * T * V, (b + 1) * T * V));
      near(size, norm, norm, `row ${b}, norm`);
      near(projection, along, norm, `row ${b}, projection`);
    }
    golden.first.forEach((want, v) => near(gradient[v]!, want, golden.gradients[0]![0], `logit ${v}`));
  });
  await device.close();
});
