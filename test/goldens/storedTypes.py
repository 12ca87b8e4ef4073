"""Writes storedTypes.safetensors: every type that PyTorch and the library write, and PyTorch's roundings of the same f32 values.

    python test/goldens/storedTypes.py 2026-11-23
"""
import pathlib
import sys

import safetensors
import torch
from safetensors.torch import save_file

# Ties to even both ways, the largest finite values, what overflows f16, subnormals of each type, signed zero, not finite.
values = [1 + 2**-9, 1 + 3 * 2**-9, 1 + 2**-11, 1 + 3 * 2**-11, 65504, 65519.9, 65520, 3.3895e38, 3.4028e38, 2**-14, 2**-24, 2**-25,
          1.5 * 2**-25, 1e-8, 1e-40, 2**-133, -0.0, 0.0, float("inf"), float("-inf"), float("nan"), -3.14159, 0.1]
f32 = torch.tensor(values, dtype=torch.float32)
tensors = {
    "f32": f32,
    "f16": f32.half(),
    "bf16": f32.bfloat16(),
    "f64": f32.double(),
    "i8": torch.tensor([[-128, 127], [0, 1]], dtype=torch.int8),
    "scalar": torch.tensor(2.5),
    "none": torch.zeros(0, 3),
    **{str(t)[6:]: torch.arange(3).to(t) for t in (torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2)},
    "of umlauts ä and \"quotes\" \\": torch.ones(1, dtype=torch.bfloat16),
}
made = f"python test/goldens/storedTypes.py, torch {torch.__version__}, safetensors {safetensors.__version__}, {sys.argv[1]}"
save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"), metadata={"made": made})
