"""Writes pillow.json: pictures resized, pasted and read by Pillow, and SigLIP's preprocessing as LLaDA-V has it.

The pictures are values of a formula that both sides know. Results are given as CRC-32 of their bytes, and of their first
bytes in full. `resize` of transformers is what LLaDA-V's processor calls; it is called here in the same order.

    python test/goldens/pillow.py 2026-11-23 > test/goldens/pillow.json
"""
import base64
import io
import json
import sys
import zlib

import numpy as np
import PIL
import transformers
from formulas import pattern
from PIL import Image, features
from transformers.image_transforms import normalize, rescale, resize
from transformers.image_utils import ChannelDimension, PILImageResampling


def digest(array):
    data = np.ascontiguousarray(array)
    return {"crc32": zlib.crc32(data.tobytes()), "first": data.flatten()[:6].tolist()}


FILTERS = {"bicubic": Image.BICUBIC, "area": Image.BOX}
SIZES = [
    ((7, 5), (3, 2)), ((7, 5), (11, 9)), ((1, 1), (5, 4)), ((5, 1), (9, 4)), ((1, 6), (3, 13)), ((64, 48), (17, 13)),
    ((33, 21), (70, 50)), ((100, 75), (20, 20)), ((200, 3), (8, 8)), ((3, 200), (8, 8)), ((37, 41), (37, 20)),
    ((37, 41), (20, 41)), ((37, 41), (37, 41)), ((250, 167), (72, 72)), ((90, 60), (384, 384)), ((640, 427), (384, 384)),
    ((61, 59), (60, 60)), ((2, 2), (301, 3)), ((1000, 17), (31, 64)),
]
resized = [
    {"from": a, "to": b, "filter": name, **digest(np.asarray(Image.fromarray(pattern(*a)).resize(b, kind)))}
    for a, b in SIZES
    for name, kind in FILTERS.items()
]

canvas = Image.new("RGB", (40, 30), (0, 0, 0))
canvas.paste(Image.fromarray(pattern(21, 30)), (9, 0))

pixels = []
for size, side in [((50, 23), 14), ((9, 16), 30), ((384, 384), 384)]:
    x = resize(pattern(*size), size=(side, side), resample=PILImageResampling.BICUBIC, data_format=ChannelDimension.FIRST)
    x = rescale(x, scale=1 / 255, data_format=ChannelDimension.FIRST)
    x = normalize(x, mean=(0.5,) * 3, std=(0.5,) * 3, data_format=ChannelDimension.FIRST)
    pixels.append({"from": size, "side": side, **digest(x.astype(np.float32))})
every = normalize(
    rescale(np.arange(256, dtype=np.uint8).reshape(1, 16, 16).repeat(3, 0), scale=1 / 255),
    mean=(0.5,) * 3,
    std=(0.5,) * 3,
    data_format=ChannelDimension.FIRST,
)


def webp(array, mode, **options):
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "webp", **options)
    file.seek(0)
    return {"file": base64.b64encode(file.getvalue()).decode(), **digest(np.asarray(Image.open(file)))}


rgb = pattern(13, 9)
alpha = (np.add.outer(np.arange(9) * 20, np.arange(13) * 5) % 256).astype(np.uint8)
rgba = np.concatenate([rgb, alpha[..., None]], -1)
moving = io.BytesIO()
Image.fromarray(rgb).save(moving, "webp", save_all=True, append_images=[Image.fromarray(255 - rgb)], lossless=True)

print(
    json.dumps(
        {
            "made": f"python test/goldens/pillow.py, Pillow {PIL.__version__} (libwebp {features.version('webp')}), transformers {transformers.__version__}, {sys.argv[1]}",
            "resized": resized,
            "pasted": digest(np.asarray(canvas)),
            "cropped": digest(np.asarray(canvas.crop((5, 3, 22, 17)))),
            "pixels": pixels,
            "everyLevel": digest(every[0].astype(np.float32)),
            "webp": {
                "lossy": webp(rgb, "RGB", quality=80),
                "lossless": webp(rgb, "RGB", lossless=True),
                "transparent": webp(rgba, "RGBA", lossless=True, exact=True),
                "transparentLossy": webp(rgba, "RGBA", quality=90),
            },
            "moving": base64.b64encode(moving.getvalue()).decode(),
        },
        indent=1,
    )
)
