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


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011): four arrays of 32-bit words for each counter of four, under a key of two."""
    c, k = [np.asarray(word, dtype=np.uint64) for word in counter], list(key)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), b & low, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def vocabulary_uniforms(seed, step, rows, width):
    """What kernels/confidence.wgsl makes its Gumbel noise of at a step: uniform numbers (rows, width), by number of the row."""
    n, block = np.meshgrid(rows, np.arange(-(-width // 4)), indexing="ij")
    words = np.stack(philox([n, block, 0 * n, 0 * n], (seed, step)), -1).reshape(len(rows), -1)[:, :width]
    return torch.from_numpy(1 - ((words >> np.uint64(9)).astype(np.float64) + 0.5) * 2.0**-23)


class Stream:
    """randomStream(seed, path...) of src/tensor/philox.ts: uniform numbers one after the other."""

    def __init__(self, *path):
        self.key, self.drawn = (0, 0), 0
        for depth, step in enumerate(path):
            self.key = tuple(int(word) for word in philox([step, 0, depth, 1], self.key)[:2])

    def uniform(self, count):
        at = np.arange(self.drawn, self.drawn + count)
        self.drawn += count
        words = np.stack(philox([at // 4, 0 * at, 0 * at, 0 * at], self.key), -1)
        return torch.from_numpy(words[np.arange(count), at % 4].astype(np.float64) / 2.0**32)
