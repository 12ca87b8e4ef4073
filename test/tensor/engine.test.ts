/** The engine's manners: typed errors with the operation's name, lifetimes, order, opening and closing. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import {
  add,
  backward,
  type Device,
  DeviceLostError,
  DisposedError,
  empty,
  GpuValidationError,
  keep,
  LimitError,
  log,
  matmul,
  mul,
  noGrad,
  NonFiniteError,
  openDevice,
  OutOfMemoryError,
  permute,
  reshape,
  rmsNorm,
  scope,
  ShaderError,
  ShapeError,
  slice,
  sum,
  type Tensor,
  tensor,
  transpose,
  zeroGrad,
  zeros,
} from "../../src/tensor/index.ts";
import { readKernelFile } from "../../src/tensor/node.ts";
import { run } from "../../src/tensor/run.ts";

let device: Device;
before(async () => {
  device = await openDevice();
});
after(() => device.close());

describe("errors before any GPU work", () => {
  test("shapes: rule, facts, remedy", () =>
    scope(device, () => {
      const a = zeros(device, [2, 3, 64]);
      const b = zeros(device, [32, 64]);
      assert.throws(
        () => matmul(a, b),
        (error: unknown) => {
          assert.ok(error instanceof ShapeError);
          assert.match(
            error.message,
            /matmul: inner sizes differ\. a is \(2, 3, 64\), b is \(32, 64\).*Did you mean matmul\(a, transpose\(b\)\)\?/,
          );
          assert.deepEqual(error.facts, { a: [2, 3, 64], b: [32, 64] });
          return true;
        },
      );
      assert.throws(
        () => rmsNorm(a, zeros(device, [32])),
        /rmsNorm: g must be \(C\) with C = 64 as in x; it is \(32,\)/,
      );
      assert.throws(() => reshape(a, [5, -1]), /reshape: \(2, 3, 64\) has 384 elements/);
      assert.throws(() => slice(a, 0, 1, 5), /slice: 0 <= start < end <= 2/);
      assert.throws(() => permute(a, [0, 0, 1]), /each of the 3 axes once/);
      assert.throws(() => tensor(device, [1, 2, 3], [2, 2]), /takes 4 values; 3 were given/);
      assert.throws(() => zeros(device, [2, 0]), /Axis 1 of \(2, 0\) is 0/);
    }));

  test("a tensor over the adapter's binding limit", () => {
    const limit = device.gpu.limits.maxStorageBufferBindingSize;
    assert.throws(
      () => empty(device, [limit / 4 + 4]),
      (error: unknown) => error instanceof LimitError && error.facts["limit"] === limit,
    );
  });

  test("use after the end of a scope", () => {
    let leaked: Tensor | undefined;
    scope(device, () => {
      leaked = zeros(device, [4]);
    });
    assert.throws(() => leaked!.block, DisposedError);
  });
});

describe("errors at the next await", () => {
  test("a shader that does not compile", async () => {
    const kernels = { rmsNorm: `${readKernelFile("rmsNorm")}\nfn broken() -> f32 { return zero; }` };
    const broken = await openDevice({ kernels });
    rmsNorm(tensor(broken, [1, 2], [1, 2]), tensor(broken, [1, 1], [2]));
    await assert.rejects(
      broken.flush(),
      (error: unknown) =>
        error instanceof ShaderError &&
        /rmsNorm\.wgsl does not compile/.test(error.message) &&
        /return zero/.test(error.message),
    );
    await broken.close();
  });

  test("a lost device", async () => {
    const doomed = await openDevice();
    const x = zeros(doomed, [4]);
    await doomed.flush();
    doomed.gpu.destroy();
    await assert.rejects(x.read(), DeviceLostError);
    await assert.rejects(doomed.flush(), DeviceLostError);
  });

  test("out of memory and validation, as the driver reports them", async () => {
    const own = await openDevice();
    own.gpu.dispatchEvent(
      new GPUUncapturedErrorEvent("uncapturederror", { error: new GPUOutOfMemoryError("buffer of 9 GB, op matmul") }),
    );
    await assert.rejects(
      own.flush(),
      (error: unknown) => error instanceof OutOfMemoryError && /matmul/.test(error.message),
    );
    own.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE, label: "impossible" });
    await assert.rejects(
      own.flush(),
      (error: unknown) => error instanceof GpuValidationError && /impossible/.test(error.message),
    );
    await own.flush();
    await own.close();
  });

  test("NaN at debug level finite, with the operation's name", async () => {
    const careful = await openDevice({ debug: { finite: true } });
    const x = tensor(careful, [1, -1, 2, 4], [4]);
    const bad = log(x);
    await assert.rejects(
      bad.read(),
      (error: unknown) => error instanceof NonFiniteError && /log: 1 of 4 values/.test(error.message),
    );
    assert.deepEqual([...(await mul(x, x).read())], [1, 1, 4, 16]);
    await careful.close();
  });
});

describe("lifetimes", () => {
  test("a scope frees what it does not return, at any depth, and after an error", async () => {
    const start = device.memory().liveBytes;
    const { kept } = scope(device, () => {
      const x = zeros(device, [1000]);
      return { kept: [add(x, x)] };
    });
    assert.equal(device.memory().liveBytes, start + 4000);
    kept[0]!.dispose();
    kept[0]!.dispose();
    assert.throws(() => scope(device, () => void zeros(device, [10, 1.5])));
    await assert.rejects(
      scope(device, async () => {
        zeros(device, [1000]);
        await device.flush();
        throw new Error("inside");
      }),
      /inside/,
    );
    assert.equal(device.memory().liveBytes, start);
  });

  test("a view keeps the buffer until the last owner goes", () => {
    const start = device.memory().liveBytes;
    const x = zeros(device, [8, 8]);
    const y = transpose(x);
    x.dispose();
    assert.equal(device.memory().liveBytes, start + 256);
    y.dispose();
    assert.equal(device.memory().liveBytes, start);
  });

  test("keep takes a tensor out of its scope", () => {
    const x = scope(device, () => ({ kept: keep(zeros(device, [4])) })).kept;
    scope(device, () => {
      const y = keep(zeros(device, [4]));
      y.dispose();
    });
    assert.equal(x.disposed, false);
    x.dispose();
  });
});

describe("order", () => {
  test("an upload between two operations is seen by the second only", async () => {
    const x = tensor(device, [1, 2], [2]);
    const one = add(x, x);
    x.write([10, 20]);
    const two = add(x, x);
    assert.deepEqual([...(await one.read())], [2, 4]);
    assert.deepEqual([...(await two.read())], [20, 40]);
    for (const t of [x, one, two]) t.dispose();
  });

  test("more dispatches than parameter slots", async () => {
    await scope(device, async () => {
      const x = tensor(device, [1, 1, 1, 1], [4]);
      const y = zeros(device, [4]);
      for (let i = 0; i < 5000; i++) run("accumulate", { x, y }, { count: 1, steps: 1 }, { workgroups: 1 });
      assert.deepEqual([...(await y.read())], [5000, 5000, 5000, 5000]);
    });
  });

  test("a long list is submitted while recording goes on, but not before what was flushed earlier", async () => {
    await scope(device, async () => {
      const x = tensor(device, [1, 1], [2]);
      const two = tensor(device, [2], [1]);
      await mul(x, two).read(); // Nothing is submitted early while its pipelines are being compiled.
      const powers = [x];
      const double = (): void => {
        for (let i = 0; i < 100; i++) powers[i + 1] = mul(powers[i]!, two); // A broadcast, which is not fused.
      };
      const { submissions } = device.recorder.counters;
      double();
      assert.ok(device.recorder.counters.submissions > submissions);
      x.write([3, 3]);
      const flushed = device.submit();
      x.write([5, 7]);
      double();
      assert.deepEqual(Array.from(await powers[100]!.read()), [5 * 2 ** 100, 7 * 2 ** 100]);
      assert.equal(await flushed, undefined);
    });
  });

  test("reads that overlap", async () => {
    await scope(device, async () => {
      const tensors = Array.from({ length: 8 }, (_, i) => tensor(device, [i], [1]));
      const values = await Promise.all(tensors.map((t) => add(t, t).item()));
      assert.deepEqual(values, [0, 2, 4, 6, 8, 10, 12, 14]);
    });
  });
});

describe("gradients", () => {
  const leaf = (values: number[], shape: number[]) => {
    const x = tensor(device, values, shape);
    x.requiresGrad = true;
    return x;
  };

  test("a tensor used twice, and one operand for both sides", async () => {
    await scope(device, async () => {
      const x = leaf([1, 2, 3], [3]);
      const y = add(mul(x, x), add(x, x)); // x² + 2x
      backward(sum(add(y, y)));
      assert.deepEqual([...(await x.grad!.read())], [8, 12, 16]);
      zeroGrad([x]);
    });
  });

  test("gradients add up over backward passes until zeroGrad", async () => {
    await scope(device, async () => {
      const x = leaf([1, 2], [2]);
      backward(sum(mul(x, x)));
      backward(sum(mul(x, x)));
      assert.deepEqual([...(await x.grad!.read())], [4, 8]);
      zeroGrad([x]);
      assert.equal(x.grad, undefined);
    });
  });

  test("a caller's gradient is not changed", async () => {
    await scope(device, async () => {
      const x = leaf([1, 2], [2]);
      const seed = tensor(device, [1, 1], [2]);
      backward(add(x, x), seed);
      assert.deepEqual([...(await seed.read())], [1, 1]);
      assert.deepEqual([...(await x.grad!.read())], [2, 2]);
      zeroGrad([x]);
    });
  });

  test("noGrad records nothing, also across an await", async () => {
    await scope(device, async () => {
      const x = leaf([1], [1]);
      const y = await noGrad(device, async () => {
        await device.flush();
        return mul(x, x);
      });
      assert.equal(y.requiresGrad, false);
      assert.throws(() => backward(y), /does not depend on a tensor that requires a gradient/);
      assert.equal(mul(x, x).requiresGrad, true);
    });
  });
});

describe("opening and closing", () => {
  test("open, close, open again; close twice", async () => {
    for (let i = 0; i < 3; i++) {
      const own = await openDevice();
      assert.equal(await sum(tensor(own, [1, 2, 3], [3])).item(), 6);
      await own.close();
      await own.close();
      assert.throws(() => zeros(own, [1]), DeviceLostError);
    }
  });

  test("a process that leaves its device open ends by itself", () => {
    const script = `import { openDevice, tensor, sum } from "./src/tensor/index.ts";
      const device = await openDevice(); console.log(await sum(tensor(device, [1, 2], [2])).item());`;
    const out = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      timeout: 30_000,
      stdio: ["ignore", "pipe", "ignore"],
    });
    assert.equal(out.toString().trim(), "3");
  });
});
