"""Writes nano.json: loss and gradients of the nano model on one batch, from PyTorch in f64.

The weights are values of a formula that both sides know, so no file of weights is needed. The model is written with
torch.nn.functional from the architecture's description (SigLIP without its last norm, mlp2x_gelu, LLaMA without a causal mask).

    python test/goldens/nano.py 2026-11-23 > test/goldens/nano.json
"""
import json
import math
import sys

import torch
import torch.nn.functional as F

S, PATCH, VC, VH, VM = 16, 8, 16, 2, 32
V, C, H, M, LAYERS, BASE, EPS = 1024, 32, 2, 64, 2, 10_000.0, 1e-5
B, T = 2, 24
BEFORE, AFTER = [1018, 5], [6, 7, 8]


def wave(seed, count):
    """The formula: a number in [-1, 1] for each index."""
    return torch.tensor([math.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed) for i in range(count)], dtype=torch.float64)


VT = "model.vision_tower.vision_tower.vision_model."
shapes = {
    f"{VT}embeddings.patch_embedding.weight": (VC, 3, PATCH, PATCH),
    f"{VT}embeddings.patch_embedding.bias": (VC,),
    f"{VT}embeddings.position_embedding.weight": ((S // PATCH) ** 2, VC),
}
layer = f"{VT}encoder.layers.0."
for norm in ("layer_norm1", "layer_norm2"):
    shapes |= {f"{layer}{norm}.weight": (VC,), f"{layer}{norm}.bias": (VC,)}
for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
    shapes |= {f"{layer}self_attn.{name}.weight": (VC, VC), f"{layer}self_attn.{name}.bias": (VC,)}
shapes |= {f"{layer}mlp.fc1.weight": (VM, VC), f"{layer}mlp.fc1.bias": (VM,), f"{layer}mlp.fc2.weight": (VC, VM), f"{layer}mlp.fc2.bias": (VC,)}
shapes |= {"model.mm_projector.0.weight": (C, VC), "model.mm_projector.0.bias": (C,), "model.mm_projector.2.weight": (C, C), "model.mm_projector.2.bias": (C,)}
shapes |= {"model.embed_tokens.weight": (V, C)}
for i in range(LAYERS):
    layer = f"model.layers.{i}."
    shapes |= {f"{layer}input_layernorm.weight": (C,), f"{layer}post_attention_layernorm.weight": (C,)}
    shapes |= {f"{layer}self_attn.{name}.weight": (C, C) for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
    shapes |= {f"{layer}mlp.gate_proj.weight": (M, C), f"{layer}mlp.up_proj.weight": (M, C), f"{layer}mlp.down_proj.weight": (C, M)}
shapes |= {"model.norm.weight": (C,), "lm_head.weight": (V, C)}

# The seed is the number of letters of the name; gains lie around 1, everything else is scaled by its fan-in.
p = {}
for name, shape in shapes.items():
    values = wave(len(name), math.prod(shape)).reshape(shape)
    gain = len(shape) == 1 and name.endswith("weight")
    p[name] = (1 + 0.2 * values if gain else values / math.sqrt(math.prod(shape[1:]) or 1)).requires_grad_()


def attend(x, prefix, heads, out, bias, rope):
    batch, length, width = x.shape
    d = width // heads
    linear = lambda name, y: F.linear(y, p[f"{prefix}{name}.weight"], p[f"{prefix}{name}.bias"] if bias else None)
    q, k, v = (linear(name, x).view(batch, length, heads, d).transpose(1, 2) for name in ("q_proj", "k_proj", "v_proj"))
    if rope:
        angle = torch.arange(length, dtype=torch.float64)[:, None] * BASE ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)[None]
        cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
        half = lambda y: torch.cat([-y[..., d // 2 :], y[..., : d // 2]], -1)
        q, k = q * cos + half(q) * sin, k * cos + half(k) * sin
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
    return linear(out, mixed)


pixels = wave(1, B * 3 * S * S).reshape(B, 3, S, S)
answer = torch.tensor([(7 * i) % 1000 for i in range(B * T)]).reshape(B, T)
weights = torch.tensor([0.0 if i % 3 == 0 else (1 + i % 5) / 100 for i in range(B * T)], dtype=torch.float64).reshape(B, T)
canvas = torch.where(weights > 0, torch.tensor(1019), answer)

x = F.conv2d(pixels, p[f"{VT}embeddings.patch_embedding.weight"], p[f"{VT}embeddings.patch_embedding.bias"], stride=PATCH).flatten(2).transpose(1, 2)
x = x + p[f"{VT}embeddings.position_embedding.weight"]
layer = f"{VT}encoder.layers.0."
norm = lambda name, y: F.layer_norm(y, (VC,), p[f"{layer}{name}.weight"], p[f"{layer}{name}.bias"], 1e-6)
x = x + attend(norm("layer_norm1", x), f"{layer}self_attn.", VH, "out_proj", True, False)
y = F.gelu(F.linear(norm("layer_norm2", x), p[f"{layer}mlp.fc1.weight"], p[f"{layer}mlp.fc1.bias"]), approximate="tanh")
x = x + F.linear(y, p[f"{layer}mlp.fc2.weight"], p[f"{layer}mlp.fc2.bias"])
image = F.linear(F.gelu(F.linear(x, p["model.mm_projector.0.weight"], p["model.mm_projector.0.bias"])), p["model.mm_projector.2.weight"], p["model.mm_projector.2.bias"])

table = p["model.embed_tokens.weight"]
prompt = lambda ids: table[torch.tensor(ids)].expand(B, -1, -1)
h = torch.cat([prompt(BEFORE), image, prompt(AFTER), table[canvas]], 1)
for i in range(LAYERS):
    layer = f"model.layers.{i}."
    h = h + attend(F.rms_norm(h, (C,), p[f"{layer}input_layernorm.weight"], EPS), f"{layer}self_attn.", H, "o_proj", False, True)
    y = F.rms_norm(h, (C,), p[f"{layer}post_attention_layernorm.weight"], EPS)
    y = F.silu(F.linear(y, p[f"{layer}mlp.gate_proj.weight"])) * F.linear(y, p[f"{layer}mlp.up_proj.weight"])
    h = h + F.linear(y, p[f"{layer}mlp.down_proj.weight"])
logits = F.linear(F.rms_norm(h, (C,), p["model.norm.weight"], EPS)[:, -T:], p["lm_head.weight"])
loss = (F.cross_entropy(logits.reshape(-1, V), answer.reshape(-1), reduction="none") * weights.reshape(-1)).sum()
loss.backward()

print(
    json.dumps(
        {
            "made": f"python test/goldens/nano.py, torch {torch.__version__}, {sys.argv[1]}",
            "loss": loss.item(),
            "logits": logits[1, 5, :8].tolist(),
            # Norm, and projection on a wave of another seed, of every gradient.
            "gradients": {name: [v.grad.norm().item(), (v.grad.flatten() * wave(99, v.numel())).sum().item()] for name, v in p.items()},
        },
        indent=1,
    )
)
