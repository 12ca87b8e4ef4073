/** The data: shape, dtype, buffer, gradient, reading. It computes nothing; operations are functions. */
import type { Block } from "./buffers.ts";
import type { BufferRange, Device } from "./device.ts";
import { bytesPerElement, type Dtype, fromBytes, type TensorData, toBytes } from "./dtype.ts";
import { DisposedError, ShapeError } from "./errors.ts";
import { checkShape, contiguousStrides, isContiguous, type Shape, showShape, sizeOf } from "./shape.ts";

/** A buffer shared by a tensor and its views; it returns to the pool when the last of them is disposed. */
interface Storage {
  readonly block: Block;
  owners: number;
}

/** How a tensor came to be, as `backward` needs it. See autograd.ts. */
export interface TapeNode {
  /** Later nodes have larger ids: descending ids are an order in which gradients are complete. */
  readonly id: number;
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** What only this node keeps for `backward`: statistics, contiguous copies of inputs. Nobody else sees them. */
  readonly saved: readonly Tensor[];
  /** Whether `backward` has freed what the node needs. */
  released: boolean;
  /** Gradients of the outputs to gradients of the inputs; undefined where one is not needed. */
  backward(outputGradients: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[];
}

export class Tensor {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: Dtype;
  /** In elements; a view may have any strides, 0 along repeated axes. */
  readonly strides: Shape;
  /** Of the first element, in elements. */
  readonly offset: number;
  /** Leaves that are trained; set on everything computed from them while gradients are enabled. */
  requiresGrad = false;
  /** d(loss)/d(this), on leaves after `backward`. */
  grad: Tensor | undefined;
  node: TapeNode | undefined;
  label: string;
  readonly #storage: Storage;
  #disposed = false;

  constructor(
    device: Device,
    shape: Shape,
    dtype: Dtype,
    label: string,
    view?: { of: Tensor; strides: Shape; offset: number },
  ) {
    checkShape(label, shape);
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.label = label;
    this.strides = view?.strides ?? contiguousStrides(shape);
    this.offset = view?.offset ?? 0;
    this.#storage = view
      ? view.of.#storage
      : { block: device.allocate(sizeOf(shape) * bytesPerElement[dtype], label), owners: 0 };
    this.#storage.owners++;
    device.scopes.at(-1)?.add(this);
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** True while another tensor owns the same buffer: writing to it would change that one too. */
  get shared(): boolean {
    return this.#storage.owners > 1;
  }

  /** True when the elements lie from the start of the buffer in row-major order: kernels take such tensors as they are. */
  get contiguous(): boolean {
    return this.offset === 0 && isContiguous(this.shape, this.strides);
  }

  /** The buffer. Throws DisposedError after `dispose` or the end of the tensor's scope. */
  get block(): Block {
    if (this.#disposed)
      throw new DisposedError(
        `${this.label} ${showShape(this.shape)} was freed, by dispose() or because its scope ended. Return it from the scope, or keep() it.`,
        { label: this.label },
      );
    return this.#storage.block;
  }

  /** The values in row-major order; f16 is widened to f32. Submits and waits for all recorded work. */
  async read(): Promise<TensorData> {
    return (await readAll([this]))[0]!;
  }

  /** The value of a one-element tensor. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(
        `item: the tensor must have one element; ${this.label} is ${showShape(this.shape)}. Use read().`,
        { shape: this.shape },
      );
    return (await this.read())[0]!;
  }

  /** Replaces the values of a contiguous tensor, in order with the work recorded before and after. */
  write(values: ArrayLike<number>): void {
    if (!this.contiguous || values.length !== this.size)
      throw new ShapeError(
        `write: ${this.label} ${showShape(this.shape)} takes ${this.size} values in order; ${values.length} were given.`,
        {
          shape: this.shape,
        },
      );
    this.device.recorder.upload(this.block, padded(toBytes(this.dtype, values)));
  }

  /** Lets go of the buffer now instead of at the end of the scope. Calling it twice is allowed. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.node = undefined;
    if (--this.#storage.owners === 0) this.device.pool.release(this.#storage.block);
  }
}

/** The values of each tensor, as `read` gives them, with one wait for all. They are on one device. */
export async function readAll(tensors: readonly Tensor[]): Promise<TensorData[]> {
  const [first] = tensors;
  if (!first) return [];
  const stored = await first.device.readBuffers(tensors.map(storedRange));
  return tensors.map((tensor, i) => inOrder(tensor, stored[i]!));
}

/** The elements from a view's first to its last, on a boundary of four bytes. */
function storedRange({ block, shape, strides, offset, dtype }: Tensor): BufferRange {
  const width = bytesPerElement[dtype];
  const start = Math.floor((offset * width) / 4) * 4;
  const last = shape.reduce((sum, n, i) => sum + (n - 1) * strides[i]!, offset);
  return { buffer: block.buffer, offset: start, bytes: (last + 1) * width - start };
}

/** The elements of a view in row-major order, from the bytes of its `storedRange`. */
function inOrder({ shape, strides, offset, dtype, size }: Tensor, bytes: ArrayBuffer): TensorData {
  const width = bytesPerElement[dtype];
  const before = (offset * width) % 4;
  const from = before ? bytes.slice(before) : bytes;
  if (isContiguous(shape, strides)) return fromBytes(dtype, from, size);
  const all = fromBytes(dtype, from, Math.floor(from.byteLength / width));
  const data = fromBytes(dtype === "f16" ? "f32" : dtype, new ArrayBuffer(4 * size), size);
  const index = Array.from(shape, () => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = all[index.reduce((sum, n, axis) => sum + n * strides[axis]!, 0)]!;
    for (let axis = index.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return data;
}

/** `writeBuffer` takes multiples of four bytes; an odd number of f16 values has two bytes more. */
function padded(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes;
  const longer = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  longer.set(bytes);
  return longer;
}

/** A new tensor with undefined content. */
export function empty(device: Device, shape: Shape, dtype: Dtype = "f32", label = "empty"): Tensor {
  return new Tensor(device, shape, dtype, label);
}

/** A new tensor with these values in row-major order. PyTorch: torch.tensor. */
export function tensor(
  device: Device,
  values: ArrayLike<number>,
  shape: Shape,
  dtype: Dtype = "f32",
  label = "tensor",
): Tensor {
  checkShape(label, shape);
  if (values.length !== sizeOf(shape))
    throw new ShapeError(
      `${label}: shape ${showShape(shape)} takes ${sizeOf(shape)} values; ${values.length} were given.`,
      { shape },
    );
  const result = empty(device, shape, dtype, label);
  result.write(values);
  return result;
}

/** A new tensor of zeros. PyTorch: torch.zeros. */
export function zeros(device: Device, shape: Shape, dtype: Dtype = "f32", label = "zeros"): Tensor {
  const result = empty(device, shape, dtype, label);
  device.recorder.clear(result.block);
  return result;
}

/** Takes a tensor out of all scopes: it lives until it is disposed. */
export function keep<T extends Tensor>(tensor: T): T {
  for (const scope of tensor.device.scopes) scope.delete(tensor);
  return tensor;
}

/**
 * Runs `body` and frees every tensor that it made and did not return (alone, or anywhere in arrays and plain objects).
 * What it returns belongs to the surrounding scope. Scopes nest; two asynchronous ones must not overlap on one device.
 */
export function scope<R>(device: Device, body: () => R): R {
  const made = new Set<{ dispose(): void }>();
  device.scopes.push(made);
  const leave = (result?: unknown) => {
    device.scopes.splice(device.scopes.lastIndexOf(made), 1);
    for (const tensor of tensorsIn(result)) {
      if (made.delete(tensor)) device.scopes.at(-1)?.add(tensor);
    }
    // Newest first: blocks then join the sorted pool at its end.
    for (const tensor of [...made].toReversed()) tensor.dispose();
  };
  let result: R;
  try {
    result = body();
  } catch (error) {
    leave();
    throw error;
  }
  if (result instanceof Promise)
    return result.then(
      (value: unknown) => (leave(value), value),
      (error: unknown) => {
        leave();
        throw error;
      },
    ) as R;
  leave(result);
  return result;
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (value && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* tensorsIn(item);
}
