"""Loads what `rediff export` wrote and runs it in PyTorch, from the names and sizes in the files alone.

    npm run rediff -- export --out exported --logits
    python examples/load_in_pytorch.py exported

Needs torch and safetensors. With logits.safetensors in the folder it shows that the logits here are those of rediff: the
largest difference, and how often the most probable token is the same. It exits with 1 where they are not.
"""
import json
import pathlib
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
        """Pixels (B, 3, S, S) in [-1, 1] to image tokens (B, P, C)."""
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
    embed = lambda name: F.embedding(given[name].long(), model.weights["model.embed_tokens.weight"])[None]
    image = model.image_tokens(given["pixels"])
    hidden = torch.cat([embed("before"), image, embed("after"), embed("canvas")], 1)
    logits = model.logits(hidden)[0, -given["canvas"].numel() :]
    for name, ours in ("image", image[0]), ("logits", logits):
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
