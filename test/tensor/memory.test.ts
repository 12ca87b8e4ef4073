/** What lives how long: tensors of the tape, gradients, activations that are computed twice, and reads. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  add,
  backward,
  type Device,
  gelu,
  keep,
  matmul,
  noGrad,
  openDevice,
  readAll,
  recompute,
  rmsNorm,
  scope,
  sum,
  type Tensor,
  tensor,
  transpose,
  zeroGrad,
} from "../../src/tensor/index.ts";
import { awaitWithNaps } from "../../src/tensor/node.ts";

const N = 64;

let device: Device;
before(async () => {
  device = await openDevice();
});
after(() => device.close());

const wave = (size: number, phase: number): number[] => Array.from({ length: size }, (_, i) => Math.sin(i + phase));

/** A leaf (N, N) that is trained. */
function leaf(phase: number): Tensor {
  const x = tensor(device, wave(N * N, phase), [N, N]);
  x.requiresGrad = true;
  return x;
}

/** A layer with a residual: norm, product, activation. It saves statistics and activations of N·N. */
function layer(x: Tensor, weight: Tensor): Tensor {
  const gain = tensor(device, wave(N, 0.5), [N]);
  return add(x, gelu(matmul(rmsNorm(x, gain), transpose(weight))));
}

describe("backward with release", () => {
  test("frees activations and statistics as it passes them: what is left is the loss, what was kept, and gradients", async () => {
    const start = device.memory().liveBytes;
    await scope(device, async () => {
      const weights = [leaf(1), leaf(2), leaf(3)];
      const x = leaf(0);
      const given = device.memory().liveBytes;
      let y = x;
      for (const weight of weights) y = layer(y, weight);
      keep(y);
      const loss = sum(y);
      backward(loss, undefined, { release: true });
      const gains = weights.length * 4 * N;
      // Gradients of x and the weights, y, the loss (a number takes 16 bytes), and the gains, which are no outputs of the tape.
      assert.equal(device.memory().liveBytes - given, (weights.length + 2) * 4 * N * N + 16 + gains);
      assert.ok(Number.isFinite(await loss.item()));
      assert.equal((await y.read()).length, N * N);
      for (const again of [y, loss, gelu(y)])
        assert.throws(() => backward(sum(again)), /depends on \w+, whose activations an earlier backward/);
      y.dispose();
      zeroGrad([x, ...weights]);
    });
    assert.equal(device.memory().liveBytes, start);
  });

  test("gives the same gradients, to the bit", async () => {
    await scope(device, async () => {
      const weights = [leaf(1), leaf(2)];
      const gradients = async (release: boolean) => {
        const x = tensor(device, wave(N * N, 0), [N, N]);
        backward(sum(weights.reduce(layer, x)), undefined, { release });
        const values = await readAll(weights.map((weight) => weight.grad!));
        zeroGrad(weights);
        return values;
      };
      assert.deepEqual(await gradients(true), await gradients(false));
    });
  });
});

describe("what an operation needs on its way", () => {
  test("is freed with the operation: statistics without a tape, copies of views", () => {
    scope(device, () => {
      const x = tensor(device, wave(N * N, 0), [N, N]);
      const gain = tensor(device, wave(N, 0), [N]);
      const start = device.memory().liveBytes;
      noGrad(device, () => rmsNorm(transpose(x), gain));
      assert.equal(device.memory().liveBytes - start, 4 * N * N);
    });
  });
});

describe("recompute", () => {
  const pass = (x: Tensor, weights: readonly Tensor[], again: boolean): Tensor =>
    weights.reduce((y, weight) => (again ? recompute([y], ([input]) => layer(input!, weight)) : layer(y, weight)), x);

  test("loss and gradients of inputs and of parameters inside are the same to the bit, and the peak is lower", async () => {
    await scope(device, async () => {
      const x = leaf(0);
      const weights = Array.from({ length: 6 }, (_, i) => leaf(i + 1));
      const measured = async (again: boolean) => {
        device.resetPeak();
        const start = device.memory().liveBytes;
        const values = await scope(device, async () => {
          const loss = sum(pass(x, weights, again));
          backward(loss, undefined, { release: true });
          return readAll([loss, x.grad!, ...weights.map((weight) => weight.grad!)]);
        });
        const peak = device.memory().peakBytes - start;
        zeroGrad([x, ...weights]);
        assert.equal(device.memory().liveBytes, start);
        return { values, peak };
      };
      const [plain, again] = [await measured(false), await measured(true)];
      assert.deepEqual(again.values, plain.values);
      assert.ok(again.peak < 0.75 * plain.peak, `${again.peak} of ${plain.peak} bytes`);
    });
  });

  test("parameters inside are trained although no input is; nothing is recorded under noGrad", async () => {
    await scope(device, async () => {
      const x = tensor(device, wave(N * N, 0), [N, N]);
      const weight = leaf(1);
      backward(sum(pass(x, [weight], true)));
      assert.ok((await weight.grad!.read()).some((value) => value !== 0));
      assert.equal(x.grad, undefined);
      zeroGrad([weight]);
      assert.equal(noGrad(device, () => pass(x, [weight], true)).requiresGrad, false);
    });
  });

  test("a body that returns its input, or something that is not trained", async () => {
    await scope(device, async () => {
      const x = leaf(0);
      backward(sum(recompute([x], ([input]) => input!)));
      assert.ok((await x.grad!.read()).every((value) => value === 1));
      zeroGrad([x]);
      const fixed = tensor(device, wave(N, 0), [N]);
      backward(sum(recompute([fixed], ([input]) => gelu(input!))));
      assert.equal(fixed.grad, undefined);
    });
  });

  test("without inputs it is refused, and so is a body that takes from outside what gradients must reach", () =>
    scope(device, () => {
      assert.throws(() => recompute([], () => leaf(0)), /at least one input is needed/);
      const x = leaf(0);
      const outside = gelu(x);
      const y = recompute([x], ([input]) => add(input!, outside));
      assert.throws(() => backward(sum(y)), /its body uses what gelu made outside/);
      assert.equal(device.gradEnabled, true);
    }));
});

describe("reading", () => {
  test("several tensors come with one wait: views, halves and numbers as `read` gives them", async () => {
    await scope(device, async () => {
      const x = tensor(device, wave(12, 0), [3, 4]);
      const half = tensor(device, [1, 2, 3, 4, 5], [5], "f16");
      const ids = tensor(device, [7, 8, 9], [3], "u32");
      const tensors = [transpose(x), half, ids, sum(x)];
      const one = [];
      for (const each of tensors) one.push(await each.read());
      const { readbacks, readbackBytes } = device.recorder.counters;
      assert.deepEqual(await readAll(tensors), one);
      assert.equal(device.recorder.counters.readbacks - readbacks, 1);
      assert.equal(device.recorder.counters.readbackBytes - readbackBytes, 48 + 12 + 12 + 4);
      assert.deepEqual(await readAll([]), []);
    });
  });
});

describe("waiting with naps", () => {
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  test("leaves the event loop few turns, keeps results and errors, and ends with the last of several waits", async () => {
    let turns = 0;
    let counting = true;
    const count = () => {
      turns++;
      if (counting) setImmediate(count);
    };
    count();
    const [value] = await Promise.all([awaitWithNaps(sleep(100).then(() => 3)), awaitWithNaps(sleep(20))]);
    const napped = turns;
    counting = false;
    assert.equal(value, 3);
    // A turn takes some microseconds without a nap, so the first half millisecond has many and the rest about 200.
    assert.ok(napped < 2000, `${napped} turns in 100 ms`);
    await assert.rejects(awaitWithNaps(Promise.reject(new Error("inside"))), /inside/);
  });
});
