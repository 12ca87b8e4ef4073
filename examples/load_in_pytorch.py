"""Loads what `rediff export` wrote and runs it in PyTorch, from the names and sizes in the files alone.

    npm run rediff -- export --out exported --logits
    python examples/load_in_pytorch.py exported

Needs torch and safetensors. With logits.safetensors in the folder it shows that the logits here are those of rediff: the
largest difference, and how often the most probable token is the same. It exits with 1 where they are not.
"""
import ast
import json
import math
import pathlib
import re
import sys

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

VISION = "model.vision_tower.vision_tower.vision_model."
# Names of LLaDA's own layout below model.transformer., as LLaDA-V's.
LLADA = {
    "attn_norm": "input_layernorm", "ff_norm": "post_attention_layernorm", "attn_out": "self_attn.o_proj",
    "q_proj": "self_attn.q_proj", "k_proj": "self_attn.k_proj", "v_proj": "self_attn.v_proj",
    "ff_proj": "mlp.gate_proj", "up_proj": "mlp.up_proj", "ff_out": "mlp.down_proj",
}
LLADA_TOP = {"wte": "model.embed_tokens", "ln_f": "model.norm", "ff_out": "lm_head"}


def llava_name(name):
    """A name of either layout in LLaDA-V's."""
    parts = name.split(".")
    if parts[:2] != ["model", "transformer"]:
        return name
    if parts[2] == "blocks":
        return f"model.layers.{parts[3]}.{LLADA[parts[4]]}.{parts[5]}"
    return f"{LLADA_TOP[parts[2]]}.{parts[3]}"


def attend(x, heads, q, k, v, rope_base=None):
    """Bidirectional attention. x is (B, T, C); q, k and v are functions of it."""
    B, T, C = x.shape
    q, k, v = (f(x).view(B, T, heads, C // heads).transpose(1, 2) for f in (q, k, v))
    if rope_base:
        half = C // heads // 2
        frequency = rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(T, dtype=torch.float64)[:, None] * frequency
        cos, sin = angle.cos().float(), angle.sin().float()

        def rotate(y):
            a, b = y[..., :half], y[..., half:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        q, k = rotate(q), rotate(k)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, C)


class Rediff:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        index = folder / "model.safetensors.index.json"
        names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
        self.weights = {llava_name(k): v.float() for name in names for k, v in load_file(folder / name).items()}

    def linear(self, name):
        return lambda x: F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def image_tokens(self, pixels):
        """Pixels (B, 3, S, S) in [-1, 1] of square views to their features (B, P, C): of one view, these are the image tokens."""
        vision, w = self.config["vision_config"], self.weights
        eps, heads = vision["layer_norm_eps"], vision["num_attention_heads"]
        for i in range(len(vision.get("stem_widths") or [])):
            stem = f"{VISION}embeddings.stem.{i}."
            pixels = F.gelu(F.conv2d(pixels, w[f"{stem}weight"], w[f"{stem}bias"], stride=2, padding=1), approximate="tanh")
        patch = w[f"{VISION}embeddings.patch_embedding.weight"]
        x = F.conv2d(pixels, patch, w[f"{VISION}embeddings.patch_embedding.bias"], stride=patch.shape[-1])
        x = x.flatten(2).transpose(1, 2) + w[f"{VISION}embeddings.position_embedding.weight"]
        # The last layer of the tower is counted but not used, nor is its final norm: LLaVA takes the states before.
        for i in range(vision["num_hidden_layers"] - 1):
            layer = f"{VISION}encoder.layers.{i}."
            norm = lambda name, y: F.layer_norm(y, y.shape[-1:], w[f"{layer}{name}.weight"], w[f"{layer}{name}.bias"], eps)
            project = [self.linear(f"{layer}self_attn.{name}") for name in ("q_proj", "k_proj", "v_proj")]
            x = x + self.linear(f"{layer}self_attn.out_proj")(attend(norm("layer_norm1", x), heads, *project))
            hidden = F.gelu(self.linear(f"{layer}mlp.fc1")(norm("layer_norm2", x)), approximate="tanh")
            x = x + self.linear(f"{layer}mlp.fc2")(hidden)
        return self.linear("model.mm_projector.2")(F.gelu(self.linear("model.mm_projector.0")(x)))

    def grid(self, width, height):
        """Columns and rows of tiles for a picture: the canvas that keeps most of its pixels, and of those the smallest."""
        side, points = self.config["vision_config"]["image_size"], self.config["image_grid_pinpoints"]
        if isinstance(points, str) and "x" in points:
            corners = [(int(a), int(b)) for a, b in re.findall(r"\((\d+)x(\d+)\)", points)]
            (a, b), (c, d) = corners[0], corners[-1]
            points = [(side * x, side * y) for x in range(a, c + 1) for y in range(b, d + 1)]
        elif isinstance(points, str):
            points = ast.literal_eval(points)

        def worth(canvas):
            scale = min(canvas[0] / width, canvas[1] / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, -canvas[0] * canvas[1]

        best = max(points, key=worth)
        return best[0] // side, best[1] // side

    def pack(self, features, width, height):
        """Features (1 + tiles, P, C), of the whole picture and of its tiles row by row, to tokens (P', C)."""
        vision = self.config["vision_config"]
        n = vision["image_size"] // vision["patch_size"]
        columns, rows = self.grid(width, height)
        plane = features[1:].view(rows, columns, n, n, -1).permute(0, 2, 1, 3, 4).reshape(rows * n, columns * n, -1)
        # Without what shows only letterbox.
        H, W = plane.shape[:2]
        if width / height > W / H:
            cut = (H - int(height * (W / width))) // 2
            plane = plane[cut : H - cut]
        else:
            cut = (W - int(width * (H / height))) // 2
            plane = plane[:, cut : W - cut]
        most = re.fullmatch(r"anyres_max_(\d+)", self.config["image_aspect_ratio"])
        if most:
            H, W = plane.shape[:2]
            times = math.sqrt(H * W / (int(most[1]) * n * n))
            if times > 1.1:
                smaller = [int(H // times), int(W // times)]
                plane = F.interpolate(plane.permute(2, 0, 1)[None], smaller, mode="bilinear")[0].permute(1, 2, 0)
        newline = self.weights["model.image_newline"].expand(plane.shape[0], 1, -1)
        return torch.cat([features[0], torch.cat([plane, newline], 1).flatten(0, 1)])

    def sample(self, given):
        """What `rediff export --logits` wrote of one pass, computed here: image tokens (P, C), and logits (T, V) of the canvas."""
        embed = lambda name: F.embedding(given[name].long(), self.weights["model.embed_tokens.weight"])
        features = self.image_tokens(given["pixels"])
        image = self.pack(features, *given["size"].tolist()) if "size" in given else features[0]
        hidden = torch.cat([embed("before"), image, embed("after"), embed("canvas")])
        return image, self.logits(hidden[None])[0, -given["canvas"].numel() :]

    def logits(self, embeddings):
        """Embeddings (B, L, C) of prompt, image and canvas to logits (B, L, V)."""
        c, w = self.config, self.weights
        heads = c.get("num_attention_heads", c.get("n_heads"))
        norm = lambda name, y: F.rms_norm(y, y.shape[-1:], w[f"{name}.weight"], c["rms_norm_eps"])
        x = embeddings
        for i in range(c.get("num_hidden_layers", c.get("n_layers"))):
            layer = f"model.layers.{i}."
            project = [self.linear(f"{layer}self_attn.{name}") for name in ("q_proj", "k_proj", "v_proj")]
            mixed = attend(norm(f"{layer}input_layernorm", x), heads, *project, rope_base=c["rope_theta"])
            x = x + self.linear(f"{layer}self_attn.o_proj")(mixed)
            y = norm(f"{layer}post_attention_layernorm", x)
            gate, up = self.linear(f"{layer}mlp.gate_proj")(y), self.linear(f"{layer}mlp.up_proj")(y)
            x = x + self.linear(f"{layer}mlp.down_proj")(F.silu(gate) * up)
        return self.linear("lm_head")(norm("model.norm", x))


def read(folder):
    """The model of a folder; ends with one sentence where it holds none that this file can run."""
    try:
        model = Rediff(folder)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        sys.exit(f"{folder} is no folder that `rediff export` wrote ({type(error).__name__}: {error}).")
    if "vision_config" not in model.config or "model.embed_tokens.weight" not in model.weights:
        sys.exit(f"{folder} is no folder that `rediff export` wrote: it lacks a language model or vision_config.")
    return model


@torch.no_grad()
def main(folder):
    model = read(folder)
    print(f"{folder}: {sum(v.numel() for v in model.weights.values()):,} parameters in {len(model.weights)} tensors")
    path = pathlib.Path(folder) / "logits.safetensors"
    if not path.exists():
        return print("no logits.safetensors to compare with; `rediff export --logits` writes it")
    given = load_file(path)
    image, logits = model.sample(given)
    for name, ours in ("image", image), ("logits", logits):
        largest = (ours - given[name]).abs().max().item()
        size = given[name].abs().max().item()
        print(f"{name} {tuple(ours.shape)}: largest difference {largest:.2g}, of values up to {size:.3g}")
        if not largest <= 1e-4 * size:
            sys.exit(f"{name} differ")
    same = (logits.argmax(-1) == given["logits"].argmax(-1)).float().mean().item()
    print(f"most probable token the same at {100 * same:.1f} % of {len(logits)} places")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
