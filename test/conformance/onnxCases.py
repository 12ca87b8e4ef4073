"""Converts ONNX's public conformance cases of operators that the engine has or can compose into onnxCases.json, for onnx.test.ts.

    python test/conformance/onnxCases.py > test/conformance/onnxCases.json

Made with onnx 1.23.2, numpy 2.4.6, Python 3.11, 2026-11-28. The cases are `onnx.backend.test`'s node tests, Apache-2.0: inputs,
attributes, and the outputs that ONNX's reference implementation gives. Only the first output is kept: the engine does not
return statistics. A case that is left out is listed with the reason.
"""

import base64
import json
import sys
import warnings

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

warnings.simplefilter("ignore")

# Operators of ONNX that the engine has, alone or as one line of its operations.
UNARY = ["Abs", "Clip", "Cos", "Exp", "Gelu", "Log", "Neg", "Reciprocal", "Relu", "Sigmoid", "Sin", "Sqrt", "Swish", "Tanh"]
BINARY = ["Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum"]
REDUCTIONS = [
    "ArgMax", "GlobalAveragePool", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "ReduceSumSquare",
]
VIEWS = [
    "Concat", "Expand", "Flatten", "Gather", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
]
LAYERS = [
    "Attention", "Conv", "Gemm", "LayerNormalization", "LogSoftmax", "MatMul", "RMSNormalization", "RotaryEmbedding", "Softmax",
    "SoftmaxCrossEntropyLoss",
]
OPERATORS = set(UNARY + BINARY + REDUCTIONS + VIEWS + LAYERS)
LARGEST = 4000  # elements of all tensors of a case: the file is small


def why_not(op, attributes, names, inputs, output):
    """Why the engine does not compute a case, or None."""
    given = dict(zip(names, inputs))
    floats = [x.dtype for x in inputs if x.dtype.kind not in "ib" or op in UNARY + BINARY]
    if any(dtype != np.float32 for dtype in floats) or output.dtype != (np.int64 if op == "ArgMax" else np.float32):
        return "arithmetic is f32"
    if any(x.size == 0 for name, x in given.items() if name in ("data", "x", "X", "input")) or output.size == 0:
        return "an empty tensor: every size is at least 1"
    if sum(x.size for x in inputs) + output.size > LARGEST:
        return f"more than {LARGEST} elements: left out of the file"
    if op == "Pad" and attributes["mode"] != b"constant":
        return "pads with one value only"
    if op == "ArgMax" and attributes.get("select_last_index"):
        return "of equal ones the first"
    if op == "Slice" and "steps" in given and any(step != 1 for step in given["steps"]):
        return "steps of 1 only"
    if op == "Swish" and attributes["alpha"] != 1:
        return "silu has alpha 1"
    return why_not_attention(attributes, given) if op == "Attention" else None


def why_not_attention(attributes, given):
    if any(name.endswith("window_size") for name in attributes):
        return "no windows"
    if "nonpad_kv_seqlen" in given:
        return "padded keys beside a mask or a causal one: attention takes lengths alone"
    if "attn_mask" in given:
        mask = given["attn_mask"]
        seen = mask if mask.dtype == bool else mask > -np.inf
        if attributes.get("is_causal"):
            past = given["past_key"].shape[2] if "past_key" in given else 0
            seen = seen & np.tril(np.ones(seen.shape[-2:], dtype=bool), k=past)
        if not seen.any(axis=-1).all():
            return "a query that sees no key: masks are finite"
    return None


def stored(x):
    if x.dtype.kind in "ib":
        return {"shape": list(x.shape), "ints": [int(n) for n in x.ravel()]}
    data = np.ascontiguousarray(x, dtype="<f4").tobytes()
    return {"shape": list(x.shape), "f32": base64.b64encode(data).decode()}


def plain(value):
    return value.decode() if isinstance(value, bytes) else value


def main():
    cases, skipped = [], []
    tests = load_model_tests(kind="node")
    for test in tests:
        model = test.model or onnx.load(test.model_dir + "/model.onnx")
        nodes = model.graph.node
        op = nodes[0].op_type
        if len(nodes) != 1 or op not in OPERATORS:
            continue
        name = test.name.removeprefix("test_")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in nodes[0].attribute}
        if op == "Split":
            attributes.setdefault("num_outputs", len(nodes[0].output))
        names = list(nodes[0].input)
        inputs, outputs = test.data_sets[0]
        values = iter(inputs)
        slots = [next(values) if given else None for given in names]
        present = [(given, x) for given, x in zip(names, slots) if x is not None]
        reason = why_not(op, attributes, [n for n, _ in present], [x for _, x in present], outputs[0])
        if reason:
            skipped.append({"name": name, "op": op, "reason": reason})
            continue
        cases.append({
            "name": name,
            "op": op,
            "attributes": {key: plain(value) for key, value in attributes.items()},
            "inputs": {given: stored(x) for given, x in present},
            "output": stored(outputs[0]),
        })
    source = f"onnx {onnx.__version__} backend node tests: {len(tests)} in all, {len(cases) + len(skipped)} of operators that we have"
    json.dump({"source": source, "cases": cases, "skipped": skipped}, sys.stdout, separators=(",", ":"))
    print()


main()
