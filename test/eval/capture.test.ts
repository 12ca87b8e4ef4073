/** CAPTURE by our own parser: graphs and scores worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { realFlags } from "../../src/data/realFlags.ts";
import { writeCaption } from "../../src/data/flagCaption.ts";
import { generateFlag } from "../../src/data/flagGenerator.ts";
import { captureScore } from "../../src/eval/capture.ts";
import { sceneGraph } from "../../src/eval/sceneGraph.ts";

const graph = (text: string): Record<string, string[]> => {
  const { objects, attributes, relations } = sceneGraph(text);
  return { objects: [...objects].sort(), attributes: [...attributes].sort(), relations: [...relations].sort() };
};

test("descriptions by people, as a person reads them", async () => {
  const flags = new Map((await realFlags()).map(({ id, visual }) => [id, visual]));
  assert.deepEqual(graph(flags.get("nl")!), {
    objects: ["band"],
    attributes: ["blue", "equal", "horizontal", "red", "three", "white"],
    relations: [],
  });
  assert.deepEqual(graph(flags.get("bf")!), {
    objects: ["band", "star"],
    attributes: ["equal", "five-pointed", "green", "horizontal", "red", "two", "yellow"],
    relations: ["star|on|band", "star|on|center"],
  });
  assert.deepEqual(graph(flags.get("tn")!), {
    objects: ["crescent", "disk", "field", "star"],
    attributes: ["five-pointed", "red", "white"],
    relations: ["crescent|around|star", "crescent|on|disk", "disk|on|center", "disk|on|field"],
  });
  assert.deepEqual(graph(flags.get("is")!), {
    objects: ["cross", "field"],
    attributes: ["blue", "red", "vertical", "white"],
    relations: ["cross|on|field", "cross|to|edge", "cross|to|hoist"],
  });
});

test("one thing said in other words has one graph", () => {
  const one = graph("a gold disk on the red band; a solid circle is in the upper hoist-side corner");
  assert.deepEqual(one, {
    objects: ["band", "disk"],
    attributes: ["red", "yellow"],
    relations: ["disk|on|band", "disk|on|upper hoist"],
  });
  assert.deepEqual(graph("the red stripe bears a golden disc; in the upper hoist corner is a disk"), one);
  assert.deepEqual(graph("a star in the middle of the white band"), graph("the white band carries a star"));
  assert.deepEqual(graph("white, with no other emblem."), graph("white."));
});

test("scores worked out by hand", () => {
  const close = (actual: number | null, wanted: number) =>
    assert.ok(actual !== null && Math.abs(actual - wanted) < 1e-12, `${actual}, not ${wanted}`);
  const same = captureScore("a red star on a white band", "a red star on a white band");
  assert.deepEqual(same, { capture: 1, objects: 1, attributes: 1, relations: 1 });

  // Objects 2 of 2, attributes 1 of 2 on both sides, relations 1 of 1: (5 + 5/2 + 2) / 12.
  const colour = captureScore("a blue star on a white band", "a red star on a white band");
  assert.deepEqual([colour.objects, colour.attributes, colour.relations], [1, 0.5, 1]);
  close(colour.capture, 9.5 / 12);

  // P = 1, R = 1/2 of objects and of attributes: F = 2/3; no relation found: 0.
  const little = captureScore("a red star", "a red star on a white band");
  close(little.objects, 2 / 3);
  close(little.attributes, 2 / 3);
  close(little.relations, 0);
  close(little.capture, (5 * (2 / 3) + 5 * (2 / 3)) / 12);

  // Neither has a relation: it is left out. "branch" lies within "olive branch".
  close(captureScore("a green branch", "a green olive branch").capture, 1);
  // Softly: two of four words are shared, 2·1/(2+2); of the relation one end is right.
  close(captureScore("an oak tree", "an olive tree").objects, 0.5);
  close(captureScore("a star on a band", "a disk on a band").relations, 0.5);

  assert.equal(captureScore("", "a red star").capture, 0);
  assert.equal(captureScore("of the", "").capture, 0);
});

test("it tells captions of one flag from those of others, and a wrong colour costs", async () => {
  const flags = await realFlags();
  for (const { visual } of flags) assert.equal(captureScore(visual, visual).capture, 1, visual);
  let [same, other] = [0, 0];
  for (let i = 0; i < 200; i++) {
    const caption = writeCaption(generateFlag(3, i), 1);
    same += captureScore(caption, writeCaption(generateFlag(3, i), 2)).capture / 200;
    other += captureScore(caption, writeCaption(generateFlag(3, i + 1000), 2)).capture / 200;
  }
  assert.ok(same > 0.85 && other < 0.35, `${same}, ${other}`);
});

test("any text has a graph, and scores lie between 0 and 1", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      const { capture } = captureScore(a, b);
      assert.ok(capture >= 0 && capture <= 1 + 1e-12);
    }),
    { seed: 7, numRuns: 300 },
  );
});
