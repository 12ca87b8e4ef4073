/** Writes ONNX models: graphs of constants and operators, in the few protobuf messages that takes. */

export interface OnnxTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array;
}

type Attribute = number | string | readonly number[];

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Strings, integers and lists of integers; a fraction is stored as a float. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Default: ONNX's own operators. */
  readonly domain?: "com.microsoft";
}

export interface OnnxGraph {
  readonly constants: Readonly<Record<string, OnnxTensor>>;
  readonly nodes: readonly OnnxNode[];
  /** Name and shape of the f32 result. */
  readonly output: { readonly name: string; readonly shape: readonly number[] };
}

/** ONNX's own operators at version 20 (Gelu is the newest that is used), those of onnxruntime at 1. */
export function onnxModel({ constants, nodes, output }: OnnxGraph): Uint8Array {
  const graph = message(
    ...nodes.map((node, i) => field(1, nodeMessage(node, i))),
    field(2, text("bench")),
    ...Object.entries(constants).map(([name, tensor]) => field(5, tensorMessage(name, tensor))),
    field(12, valueMessage(output.name, output.shape)),
  );
  const operators = (domain: string, version: number): Uint8Array =>
    message(field(1, text(domain)), number(2, version));
  return message(number(1, 9), field(7, graph), field(8, operators("", 20)), field(8, operators("com.microsoft", 1)));
}

function nodeMessage({ op, inputs, outputs, attributes = {}, domain }: OnnxNode, index: number): Uint8Array {
  return message(
    ...inputs.map((name) => field(1, text(name))),
    ...outputs.map((name) => field(2, text(name))),
    field(3, text(`${op} ${index}`)),
    field(4, text(op)),
    ...Object.entries(attributes).map(([name, value]) => field(5, attributeMessage(name, value))),
    ...(domain ? [field(7, text(domain))] : []),
  );
}

/** Types of AttributeProto: 1 float, 2 int, 3 string, 7 ints. */
function attributeMessage(name: string, value: Attribute): Uint8Array {
  if (typeof value === "string") return message(field(1, text(name)), field(4, text(value)), number(20, 3));
  if (typeof value !== "number")
    return message(field(1, text(name)), ...value.map((one) => number(8, one)), number(20, 7));
  if (Number.isInteger(value)) return message(field(1, text(name)), number(3, value), number(20, 2));
  const bits = new Uint8Array(Float32Array.of(value).buffer);
  return message(field(1, text(name)), message(varint((2 << 3) | 5), bits), number(20, 1));
}

/** Types of TensorProto: 1 f32, 6 i32, 7 i64. */
function tensorMessage(name: string, { shape, data }: OnnxTensor): Uint8Array {
  const type = data instanceof Float32Array ? 1 : data instanceof Int32Array ? 6 : 7;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...shape.map((n) => number(1, n)), number(2, type), field(8, text(name)), field(9, bytes));
}

function valueMessage(name: string, shape: readonly number[]): Uint8Array {
  const dimensions = message(...shape.map((n) => field(1, number(1, n))));
  return message(field(1, text(name)), field(2, field(1, message(number(1, 1), field(2, dimensions)))));
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const message = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
/** A field of bytes: a string, a message, raw data. */
const field = (id: number, bytes: Uint8Array): Uint8Array =>
  message(varint((id << 3) | 2), varint(bytes.length), bytes);
/** A field that holds an integer from 0 up. */
const number = (id: number, value: number): Uint8Array => message(varint(id << 3), varint(value));

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Uint8Array.of(...bytes, rest);
}
