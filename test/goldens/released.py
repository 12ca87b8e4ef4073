"""LLaDA-V's and ReDiff's released code as modules that know small models: special ids, and sizes of the tower, stand written out in it.

It runs as it is, but for those ids, the range of random tokens, and a check for 729 patches.
"""
import functools
import importlib.abc
import importlib.machinery
import os
import sys
import tempfile
import types

os.environ["HF_HUB_OFFLINE"] = "1"  # conversation.py asks for LLaMA's tokenizer, and goes on without.
import torch
import transformers
from shared import Absent

# Start, end, mask, start of header, end of header, end of turn.
PUBLISHED = ["126080", "126081", "126336", "126346", "126347", "126348"]
small = {}


def use_ids(ids, above=1000):
    """Published special ids become these; random tokens are drawn from all but the last `above` ids."""
    small.update(ids)
    small["vocab_size-1000"] = f"vocab_size-{above}"


class Small(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        text = self.get_data(self.path).decode()
        for published, own in small.items():
            text = text.replace(published, own)
        return compile(text.replace("assert image_features.shape[-2] == 729", "pass"), self.path, "exec")


class SmallFinder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.endswith((".modeling_llada", ".siglip_encoder", ".llava_arch")):
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = Small(name, spec.origin)
            return spec


sys.meta_path[:0] = [Absent(), SmallFinder()]
for register in (transformers.AutoConfig, transformers.AutoModelForCausalLM):
    register.register = functools.partial(register.register, exist_ok=True)


def released(path):
    """What of a repository is used, as modules of its own. `path` is its folder `train`."""
    for name in [name for name in sys.modules if name.split(".")[0] == "llava"]:
        del sys.modules[name]
    sys.path.insert(0, path)
    from llava import conversation, mm_utils
    from llava.model.language_model import llava_llada
    from llava.model.multimodal_encoder import siglip_encoder

    sys.path.remove(path)
    return types.SimpleNamespace(conversation=conversation, mm=mm_utils, llava=llava_llada, siglip=siglip_encoder)


def make(code, tower, text, attention="eager"):
    """LLaDA-V's whole model with a tower and a language model of these sizes, any resolution in tiles, and new weights."""
    width = tower["hidden_size"]
    unused = dict(vocab_size=8, hidden_size=width, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=4, projection_size=width)
    config = code.llava.LlavaLLaDAConfig(
        rms_norm_eps=1e-5, rope_theta=500000.0, bos_token_id=128000, tie_word_embeddings=False, use_cache=False, mm_hidden_size=width,
        mm_projector_type="mlp2x_gelu", mm_patch_merge_type="spatial_unpad", mm_vision_select_layer=-2, mm_vision_select_feature="patch",
        image_aspect_ratio="anyres_max_4", mm_use_im_start_end=False, mm_use_im_patch_token=False, mm_resampler_type=None, use_mm_proj=True,
        tokenizer_padding_side="right", tokenizer_model_max_length=8192, **text,
    )
    config._attn_implementation = attention
    # The tower is built from a folder, by a name that tells its kind.
    with tempfile.TemporaryDirectory(suffix="siglip") as folder:
        transformers.SiglipModel(transformers.SiglipConfig(vision_config=tower, text_config=unused)).save_pretrained(folder)
        config.mm_vision_tower = folder
        model = code.llava.LlavaLLaDAModelLM(config)
    side = tower["image_size"]
    eye = model.get_model().get_vision_tower()
    eye.config = code.siglip.SigLipVisionConfig(**tower)
    eye.image_processor = code.siglip.SigLipImageProcessor(size=(side, side), crop_size={"height": side, "width": side})
    return model.eval()
