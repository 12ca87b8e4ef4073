"""PyTorch on the processor: the same requests as worker.ts, one JSON line each, and the same answers."""
import ctypes
import json
import sys
import time

import torch
import torch.nn.functional as F

PARAMETER = "parameter."


def read(spec):
    dtype = torch.int32 if spec["dtype"] == "u32" else torch.float32
    with open(spec["file"], "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=dtype).reshape(spec["shape"])


def write(path, x):
    x = x.detach().contiguous().to(torch.float32)
    with open(path, "wb") as file:
        file.write(ctypes.string_at(x.data_ptr(), 4 * x.numel()))


def chain(x, b, steps):
    for _ in range(steps):
        x = x + b
    return x


CALLS = {
    "matmul": lambda x, p: x["a"] @ x["b"],
    "softmax": lambda x, p: F.softmax(x["x"], -1),
    "layerNorm": lambda x, p: F.layer_norm(x["x"], [p["C"]], x["g"], x["b"], 1e-6),
    # (B, H, T, D), which PyTorch prefers.
    "attention": lambda x, p: F.scaled_dot_product_attention(x["q"], x["k"], x["v"]),
    "add": lambda x, p: x["a"] + x["b"],
    "gelu": lambda x, p: F.gelu(x["x"], approximate="tanh"),
    "embedding": lambda x, p: F.embedding(x["ids"], x["table"]),
    "crossEntropy": lambda x, p: F.cross_entropy(x["logits"], x["targets"].long(), reduction="none") * x["weights"],
    "sum": lambda x, p: x["x"].sum(),
    "chain": lambda x, p: chain(x["x"], x["b"], p["steps"]),
}


class Operation:
    def __init__(self, row):
        self.call, self.params = CALLS[row["work"]], row["params"]
        self.heads = row["work"] == "attention"
        self.x = {name: read(spec) for name, spec in row["inputs"].items()}
        if self.heads:
            self.x = {name: value.transpose(1, 2).contiguous() for name, value in self.x.items()}

    def run(self, calls):
        with torch.no_grad():
            for _ in range(calls):
                self.call(self.x, self.params)

    def answer(self):
        with torch.no_grad():
            y = self.call(self.x, self.params)
        return y.transpose(1, 2) if self.heads else y


class Training:
    def __init__(self, row, dtype=torch.float32):
        self.row, self.params, self.losses = row, row["params"], []
        x = {name: read(spec) for name, spec in row["inputs"].items()}
        self.ids, self.targets = x["ids"], x["targets"].long().flatten()
        self.p = {
            name[len(PARAMETER) :]: value.to(dtype).clone().requires_grad_()
            for name, value in x.items()
            if name.startswith(PARAMETER)
        }
        self.optimizer = torch.optim.Adam(self.p.values(), lr=self.params["learningRate"], eps=1e-8)

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.p[name + ".gain"], self.p[name + ".bias"], 1e-6)

    def loss(self):
        p, heads = self.p, self.params["heads"]
        x = F.embedding(self.ids, p["tokens"]) + p["positions"]
        for i in range(self.params["layers"]):
            h = self.norm(x, f"{i}.attentionNorm")
            q, k, v = ((h @ p[f"{i}.{name}"]).unflatten(-1, (heads, -1)).transpose(1, 2) for name in "qkv")
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + mixed @ p[f"{i}.o"]
            x = x + F.gelu(self.norm(x, f"{i}.mlpNorm") @ p[f"{i}.up"], approximate="tanh") @ p[f"{i}.down"]
        return F.cross_entropy((self.norm(x, "norm") @ p["head"]).flatten(0, 1), self.targets)

    def run(self, calls):
        for _ in range(calls):
            self.optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            self.optimizer.step()
        self.losses.append(loss.item())

    def answer(self):
        """Losses of the first three steps in f32, and behind them the same in f64: the truth for all libraries."""
        exact = Training(self.row, torch.float64)
        for training in (self, exact):
            while len(training.losses) < 3:
                training.run(1)
        return torch.tensor(self.losses[:3] + exact.losses)


def main():
    # Whatever PyTorch prints must not come between the answers.
    replies, sys.stdout = sys.stdout, sys.stderr
    send = lambda reply: print(json.dumps(reply), file=replies, flush=True)
    threads = f"processor, {torch.get_num_threads()} threads"
    send({"ok": True, "peer": "PyTorch CPU", "version": torch.__version__, "adapter": threads})
    job = None
    for line in sys.stdin:
        try:
            start = time.perf_counter()
            request = json.loads(line)
            if request["do"] == "prepare":
                row = request["row"]
                job = Training(row) if row["work"] == "trainingStep" else Operation(row)
                job.run(1)
            elif request["do"] == "sample":
                job.run(request["calls"])
            elif request["do"] == "answer":
                write(request["file"], job.answer())
            else:
                job = None
            send({"ok": True, "ms": 1000 * (time.perf_counter() - start)})
        except Exception as error:
            send({"ok": False, "error": f"{type(error).__name__}: {error}"})


main()
