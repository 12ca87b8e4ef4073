/** Writes ONNX models: graphs of constants and operators, in the few protobuf messages that takes. Source: onnx.proto. */
import { bytes, float, integer, message, nested, text } from "../../src/train/protobuf.ts";

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
  const graph = nested(
    7,
    ...nodes.map((node, i) => nested(1, ...nodeFields(node, i))),
    text(2, "bench"),
    ...Object.entries(constants).map(([name, tensor]) => nested(5, ...tensorFields(name, tensor))),
    nested(12, ...valueFields(output.name, output.shape)),
  );
  const operators = (domain: string, version: number): Uint8Array => nested(8, text(1, domain), integer(2, version));
  return message(integer(1, 9), graph, operators("", 20), operators("com.microsoft", 1));
}

function nodeFields({ op, inputs, outputs, attributes = {}, domain }: OnnxNode, index: number): Uint8Array[] {
  return [
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(3, `${op} ${index}`),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => nested(5, text(1, name), ...attributeFields(value))),
    ...(domain ? [text(7, domain)] : []),
  ];
}

/** The value of an AttributeProto and its type: 1 float, 2 int, 3 string, 7 ints. */
function attributeFields(value: Attribute): Uint8Array[] {
  if (typeof value === "string") return [text(4, value), integer(20, 3)];
  if (typeof value !== "number") return [...value.map((one) => integer(8, one)), integer(20, 7)];
  return Number.isInteger(value) ? [integer(3, value), integer(20, 2)] : [float(2, value), integer(20, 1)];
}

/** Types of TensorProto: 1 f32, 6 i32, 7 i64. */
function tensorFields(name: string, { shape, data }: OnnxTensor): Uint8Array[] {
  const type = data instanceof Float32Array ? 1 : data instanceof Int32Array ? 6 : 7;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [...shape.map((n) => integer(1, n)), integer(2, type), text(8, name), bytes(9, raw)];
}

/** An f32 tensor: its type is 1, its axes are known. */
function valueFields(name: string, shape: readonly number[]): Uint8Array[] {
  const axes = shape.map((n) => nested(1, integer(1, n)));
  return [text(1, name), nested(2, nested(1, integer(1, 1), nested(2, ...axes)))];
}
