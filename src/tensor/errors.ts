/**
 * Every error of the engine. A message states the rule, the facts and the remedy; the facts stand as fields too.
 *
 * Shape, dtype and limit errors are thrown before any GPU work. What the device reports late (a shader that does not
 * compile, memory that runs out, a lost device, a value that is not finite) is collected and thrown at the next await
 * on the engine (`read`, `item`, `flush`), with the label of the operation that caused it.
 */
export class RediffError extends Error {
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(message: string, facts: Record<string, unknown> = {}) {
    super(message);
    this.name = new.target.name;
    this.facts = facts;
  }
}

/** Sizes that do not fit together. */
export class ShapeError extends RediffError {}
/** An element type that an operation does not take. */
export class DtypeError extends RediffError {}
/** A request over a limit of the adapter: buffer size, workgroup count, binding size. */
export class LimitError extends RediffError {}
/** No adapter, or one that lacks what the engine needs. */
export class AdapterError extends RediffError {}
/** The device ran out of memory. */
export class OutOfMemoryError extends RediffError {}
/** The device was lost: driver reset, or `close()` while work was pending. */
export class DeviceLostError extends RediffError {}
/** WGSL that does not compile, or a pipeline that cannot be made from it. */
export class ShaderError extends RediffError {}
/** The device refused a command: a fault of the engine, not of its user. */
export class GpuValidationError extends RediffError {}
/** A NaN or an infinity, found at debug level `finite`. */
export class NonFiniteError extends RediffError {}
/** A kernel wrote behind the end of a buffer, found at debug level `canary`. */
export class CanaryError extends RediffError {}
/** A tensor was used after its scope ended or after `dispose()`. */
export class DisposedError extends RediffError {}
