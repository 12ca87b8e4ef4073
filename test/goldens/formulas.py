"""Numbers that the scripts and the tests make alike, and random numbers that are recorded."""
import numpy as np
import torch


def lehmer(seed, count):
    """Numbers in (-1, 1) that any language with 53-bit integers makes alike."""
    x, out = seed % 2147483646 + 1, []
    for _ in range(count):
        x = x * 48271 % 2147483647
        out.append(x / 1073741823.5 - 1)
    return out


def tensor(seed, *shape):
    return torch.tensor(lehmer(seed, torch.Size(shape).numel()), dtype=torch.float64).reshape(shape).float()


def name_seed(name):
    return sum((i + 1) * ord(c) for i, c in enumerate(name)) * 7919


def sketch(t, seed=99):
    """Norm, and projection on random numbers."""
    t = t.detach().double().flatten()
    return [t.norm().item(), (t * torch.tensor(lehmer(seed, t.numel()), dtype=torch.float64)).sum().item()]


def pattern(width, height):
    """A picture (height, width, 3) with sharp edges and smooth parts: bits over a gradient."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    bits = ((x * 37 + y * 91 + c * 17 + x * y * 53) >> 3) & 1
    return ((x * x * 5 + y * 11 + c * 40 + bits * 170) % 256).astype(np.uint8)


def with_draws(seed, call):
    """Runs `call` with reproducible random numbers, and a list for what it wants to show; returns its result and the uniform numbers."""
    draws, shown = [], []
    generator = torch.Generator().manual_seed(seed)
    originals = torch.rand, torch.randint
    torch.rand = lambda *size, device=None, **_: draws.append(originals[0](*size, generator=generator)) or draws[-1]
    torch.randint = lambda low, high, size, device=None: originals[1](low, high, size, generator=generator)
    try:
        return call(shown), draws
    finally:
        torch.rand, torch.randint = originals
