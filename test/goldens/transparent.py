"""Writes transparent.json: small PNGs and WebPs with transparency of every kind, and what Pillow's convert("RGB"), which drops it, leaves.

    python test/goldens/transparent.py 2026-11-28 > test/goldens/transparent.json
"""
import base64
import io
import json
import sys

import numpy as np
import PIL
from PIL import Image

WIDTH, HEIGHT = 7, 5
y, x = np.mgrid[:HEIGHT, :WIDTH]
colours = np.stack([(x * 37 + y * 11) % 256, (x * 5 + y * 71) % 256, (x * 91 + y * 29) % 256], -1).astype(np.uint8)
alpha = ((x * 60 + y * 45) % 256).astype(np.uint8)
rgba = Image.fromarray(np.dstack([colours, alpha]))
grey = Image.fromarray(np.dstack([colours[..., 0], alpha]), "LA")
palette = Image.fromarray(colours).quantize(8)


def saved(name, image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    rgb = np.asarray(Image.open(file).convert("RGB"))
    return {"name": name, "file": base64.b64encode(file.getvalue()).decode(), "rgb": rgb.ravel().tolist()}


files = [
    saved("colour and alpha.png", rgba, "PNG"),
    saved("grey and alpha.png", grey, "PNG"),
    saved("palette with alphas.png", palette, "PNG", transparency=bytes([0, 40, 90, 255])),
    saved("one transparent colour.png", Image.fromarray(colours), "PNG", transparency=tuple(map(int, colours[1, 2]))),
    saved("one transparent grey.png", Image.fromarray(colours[..., 0]), "PNG", transparency=int(colours[1, 2, 0])),
    saved("lossless.webp", rgba, "WEBP", lossless=True, exact=True),
    saved("lossy.webp", rgba, "WEBP", quality=90, exact=True),
]
made = f"python test/goldens/transparent.py, Pillow {PIL.__version__}, numpy {np.__version__}, {sys.argv[1]}"
print(json.dumps({"made": made, "width": WIDTH, "height": HEIGHT, "files": files}).replace("}, {", "},\n{"))
