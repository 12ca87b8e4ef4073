"""Writes jpeg.json: small JPEGs of every subsampling, baseline and progressive, and the checksum of what Pillow reads of each.

    python test/goldens/jpeg.py 2026-11-24 > test/goldens/jpeg.json
"""
import base64
import io
import json
import sys
import zlib

import numpy as np
import PIL
from PIL import Image, features


def picture(width, height):
    """Waves, noise and a red square, whose edges show how chroma is interpolated."""
    y, x = np.mgrid[:height, :width].astype(float)
    waves = np.stack([127 + 120 * np.sin(x / 5), 127 + 120 * np.sin(y / 7), 127 + 120 * np.sin((x + y) / 9)], -1)
    waves[height // 4 : height // 2, width // 4 : width // 2] = (255, 0, 0)
    noise = np.random.default_rng(width).normal(0, 8, waves.shape)
    return Image.fromarray(np.clip(waves + noise, 0, 255).astype(np.uint8))


def saved(mode, size, **options):
    file = io.BytesIO()
    picture(*size).convert(mode).save(file, "JPEG", **options)
    pixels = np.asarray(Image.open(file).convert("RGB"))
    return {"mode": mode, "size": size, **options, "file": base64.b64encode(file.getvalue()).decode(), "crc32": zlib.crc32(pixels.tobytes())}


files = [
    saved("RGB", size, quality=quality, subsampling=subsampling, progressive=progressive)
    for size, quality in (((37, 29), 92), ((16, 33), 45))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0")
    for progressive in (False, True)
]
files.append(saved("L", (19, 23), quality=80))
made = f"python test/goldens/jpeg.py, Pillow {PIL.__version__}, libjpeg-turbo {features.version_feature('libjpeg_turbo')}, numpy {np.__version__}, {sys.argv[1]}"
print(json.dumps({"made": made, "files": files}).replace("}, {", "},\n{"))
