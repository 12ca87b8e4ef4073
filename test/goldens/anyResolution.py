"""Writes anyResolution.json: grids, token counts, pixels and packed tokens from LLaDA-V's own code.

Runs `process_anyres_image` and `prepare_inputs_labels_for_multimodal` of the published training code as they are, in f64,
with a vision tower that only knows its sizes. Features and newline are values of a formula that both sides know.

    python test/goldens/anyResolution.py LLaDA-V/train 2026-11-23 > test/goldens/anyResolution.json
"""
import json
import math
import sys
import types
import zlib

import numpy as np
import PIL
import torch
from formulas import pattern
from PIL import Image

train = f"{sys.argv[1]}/llava"


def package(name, path=(), **members):
    """A package without its __init__, which would load language models."""
    module = types.ModuleType(name)
    module.__path__ = list(path)
    module.__dict__.update(members)
    sys.modules[name] = module


package("llava", [train])
package("llava.model", [f"{train}/model"])
quiet = lambda *_: None
package("llava.utils", rank0_print=quiet, rank_print=quiet, process_video_with_pyav=None, process_video_with_decord=None)
for part, builds in (("encoder", "vision_tower"), ("resampler", "vision_resampler"), ("projector", "vision_projector")):
    package(f"llava.model.multimodal_{part}", [f"{train}/model/multimodal_{part}"])
    package(f"llava.model.multimodal_{part}.builder", **{f"build_{builds}": None})

from llava.constants import IMAGE_TOKEN_INDEX
from llava.mm_utils import get_anyres_image_grid_shape, process_anyres_image
from llava.model.llava_arch import LlavaMetaForCausalLM
from llava.model.multimodal_encoder.siglip_encoder import SigLipImageProcessor

RANGE = "(1x1),...,(6x6)"


def wave(seed, *shape):
    """The formula: a number in [-1, 1] for each index."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed).reshape(shape)


class Model(LlavaMetaForCausalLM):
    """The smallest object that the merging code accepts."""

    def __init__(self, side, patch, pinpoints, aspect, newline):
        self.tower = types.SimpleNamespace(num_patches_per_side=side // patch, image_size=side)
        self.config = types.SimpleNamespace(
            mm_patch_merge_type="spatial_unpad", image_aspect_ratio=aspect, image_grid_pinpoints=pinpoints, tokenizer_model_max_length=None
        )
        table = torch.zeros(1, newline.numel(), dtype=torch.float64)
        self.model = types.SimpleNamespace(image_newline=newline, embed_tokens=lambda ids: table[ids * 0])
        self.device = torch.device("cpu")

    get_model = lambda self: self.model
    get_vision_tower = lambda self: self.tower
    encode_images = lambda self, images: images

    def merge(self, features, size):
        """features (views, P, C) to tokens, spliced in place of the one id of the prompt."""
        self.encode_images = lambda _: features
        ids = torch.tensor([[IMAGE_TOKEN_INDEX, 0]])
        images = [torch.zeros(features.shape[0], 3, 1, 1)]
        out = self.prepare_inputs_labels_for_multimodal(ids, None, None, None, None, images, ["image"], [size])
        return out[4][0, :-1]


SIZES = [
    (384, 384), (768, 384), (384, 768), (768, 768), (1152, 768), (768, 1152), (1536, 1152), (2304, 2304), (4000, 3000),
    (3000, 4000), (640, 480), (480, 640), (1920, 1080), (1080, 1920), (100, 75), (1, 1), (37, 41), (250, 167), (500, 500),
    (1000, 300), (300, 1000), (2000, 200), (200, 2000), (5000, 100), (100, 5000), (10000, 1), (1, 10000), (3, 700), (700, 3),
    (383, 385), (385, 383), (769, 767), (1024, 1024), (1280, 720), (720, 1280), (612, 612), (799, 533), (1023, 681),
    (2048, 1536), (2560, 1440), (333, 1999), (1999, 333), (1536, 384), (384, 1536), (2304, 384), (1153, 770), (6000, 4000),
]


def geometry(size, aspect):
    columns, rows = get_anyres_image_grid_shape(size, RANGE, 384)
    newline = torch.full((1,), -1.0, dtype=torch.float64)
    tokens = Model(384, 14, RANGE, aspect, newline).merge(torch.ones(1 + columns * rows, 729, 1, dtype=torch.float64), size)
    return {"size": size, "grid": [columns, rows], "tokens": len(tokens), "newlines": int((tokens == -1).sum())}


def pixels(size, side, grid):
    picture = Image.fromarray(pattern(*size))
    processor = SigLipImageProcessor(size=(side, side), crop_size={"height": side, "width": side})
    views = process_anyres_image(picture, processor, [[side * i, side * j] for i in range(1, grid + 1) for j in range(1, grid + 1)])
    return {"size": size, "side": side, "grid": grid, "views": len(views), "crc32": zlib.crc32(views.numpy().astype(np.float32).tobytes())}


def packing(size, grid, aspect, side=12, patch=4, width=3):
    pinpoints = [[side * i, side * j] for i in range(1, grid + 1) for j in range(1, grid + 1)]
    columns, rows = get_anyres_image_grid_shape(size, pinpoints, side)
    features = wave(3, 1 + columns * rows, (side // patch) ** 2, width).requires_grad_()
    newline = wave(5, width).requires_grad_()
    tokens = Model(side, patch, pinpoints, aspect, newline).merge(features, size)
    (tokens * wave(7, *tokens.shape)).sum().backward()
    digest = lambda x, seed: [x.norm().item(), (x * wave(seed, *x.shape)).sum().item()]
    return {
        "size": size, "grid": grid, "maxTiles": int(aspect[-1]) if aspect[-1].isdigit() else None, "tokens": len(tokens),
        "values": digest(tokens.detach(), 11), "last": tokens[-2].tolist(),
        "features": digest(features.grad, 13), "newline": digest(newline.grad, 17),
    }


print(
    json.dumps(
        {
            "made": f"python test/goldens/anyResolution.py, LLaDA-V 2252769, torch {torch.__version__}, Pillow {PIL.__version__}, {sys.argv[2]}",
            "max4": [geometry(size, "anyres_max_4") for size in SIZES],
            "unlimited": [geometry(size, "anyres") for size in SIZES[:20]],
            "pixels": [pixels(*case) for case in [((50, 23), 14, 3), ((23, 50), 14, 3), ((9, 9), 30, 2), ((100, 31), 16, 4), ((77, 5), 8, 6)]],
            "packing": [
                packing(*case)
                for case in [
                    ((12, 12), 6, "anyres_max_4"), ((50, 23), 6, "anyres_max_4"), ((23, 50), 6, "anyres_max_4"),
                    ((72, 72), 6, "anyres_max_4"), ((72, 60), 6, "anyres_max_4"), ((300, 41), 6, "anyres_max_2"),
                    ((41, 300), 6, "anyres_max_1"), ((60, 72), 6, "anyres"), ((25, 24), 3, "anyres_max_4"), ((1, 400), 2, "anyres_max_4"),
                ]
            ],
        },
    ).replace("}, {", "},\n {").replace(", \"max4", ",\n\"max4").replace("}], ", "}],\n")
)
