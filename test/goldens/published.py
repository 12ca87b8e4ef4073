"""Writes test/goldens/published/: small random checkpoints in the layouts of real ones, and what the published code makes of them.

- llada/: LLaDA's own release (model.transformer.…, its config.json), bf16, in shards with an index: LLaDA's classes, as dllm
  (ZHZisZZ/dllm, ca17675) keeps them.
- siglip/: SigLIP2's release (vision_model.…, text_model.…), f32, one file: transformers' SiglipModel.
- llava/: LLaDA-V and ReDiff (model.…, with the tower inside), bf16, in shards: LLaDA-V's own classes, from siglip/ and new weights.
- golden.json: image tokens and logits in f32 from those classes, for inputs of a formula that both sides know.

Arguments: the folder `train` of LLaDA-V's repository; a folder with modeling_llada.py and configuration_llada.py of dllm and
config.json of LLaDA-8B-Instruct; the date.

    python test/goldens/published.py LLaDA-V/train llada 2026-11-23
"""
import copy
import json
import math
import pathlib
import shutil
import sys
import types

import torch
import transformers
from shared import Absent

llava_train, llada_code, date = sys.argv[1:4]
out = pathlib.Path(__file__).parent / "published"
torch.manual_seed(0)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, llava_train)
from llava.model.language_model.llava_llada import LlavaLLaDAConfig, LlavaLLaDAModelLM  # noqa: E402


def randomise(model):
    """Weights of a size that makes layers matter, and values that bf16 has."""
    for name, p in model.named_parameters():
        gain = p.dim() == 1 and name.endswith("weight")
        values = torch.randn(p.shape) * (0.2 if p.dim() == 1 else p[0].numel() ** -0.5 if "embed" not in name else 0.5)
        p.data = (values + 1 if gain else values).to(torch.bfloat16).float()
    return model


def wave(seed, count):
    """The formula: a number in [-1, 1] for each index."""
    return torch.tensor([math.sin(1.7 * i + 0.31 * seed + 0.013 * i * seed) for i in range(count)], dtype=torch.float64).float()


def save(model, name, shard, dtype=torch.bfloat16):
    shutil.rmtree(out / name, ignore_errors=True)
    # A copy: rounding a model rounds its table of angles too.
    copy.deepcopy(model).to(dtype).save_pretrained(out / name, max_shard_size=shard)
    (out / name / "generation_config.json").unlink(missing_ok=True)


S, HIDDEN, VOCAB, LAYERS, HEADS, MLP = 21, 32, 72, 2, 2, 48

# SigLIP2: three layers, of which LLaVA uses two.
vision = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2, image_size=S, patch_size=7)
text = dict(vocab_size=8, hidden_size=32, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=4, projection_size=32)
siglip = randomise(transformers.SiglipModel(transformers.SiglipConfig(vision_config=vision, text_config=text)))
save(siglip, "siglip", "1GB", torch.float32)

# LLaDA-V, with the tower from that folder.
config = LlavaLLaDAConfig(
    vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=MLP, num_hidden_layers=LAYERS, num_attention_heads=HEADS, rms_norm_eps=1e-5,
    rope_theta=500000.0, bos_token_id=128000, eos_token_id=65, tie_word_embeddings=False,
    mm_vision_tower=str(out / "siglip"), mm_hidden_size=32, mm_projector_type="mlp2x_gelu", mm_patch_merge_type="spatial_unpad",
    mm_vision_select_layer=-2, mm_vision_select_feature="patch", image_aspect_ratio="anyres_max_4",
    image_grid_pinpoints=[[a * S, b * S] for a in (1, 2) for b in (1, 2)], mm_resampler_type=None, use_mm_proj=True,
)
config._attn_implementation = "eager"
llava = randomise(LlavaLLaDAModelLM(config)).eval()
save(llava, "llava", "40KB")
described = json.loads((out / "llava" / "config.json").read_text())
# The tower's sizes, which the published file leaves to the code, and its name without this machine's folders.
described["vision_config"] = json.loads((out / "siglip" / "config.json").read_text())["vision_config"]
described["mm_vision_tower"] = "siglip"
(out / "llava" / "config.json").write_text(json.dumps(described, indent=2) + "\n")

# LLaDA's own classes.
package = types.ModuleType("llada")
package.__path__ = [llada_code]
sys.modules["llada"] = package
from llada.configuration_llada import LLaDAConfig  # noqa: E402
from llada.modeling_llada import LLaDAModel, LLaDAModelLM, create_model_config_from_pretrained_config  # noqa: E402

given = json.loads((pathlib.Path(llada_code) / "config.json").read_text())
given |= dict(d_model=HIDDEN, n_layers=LAYERS, n_heads=HEADS, n_kv_heads=HEADS, mlp_hidden_size=MLP, vocab_size=VOCAB, embedding_size=VOCAB)
given |= dict(max_sequence_length=64, init_device="cpu", mask_token_id=70, eos_token_id=65, pad_token_id=65)
llada_config = LLaDAConfig(**{k: v for k, v in given.items() if k != "model_type"})
trunk = LLaDAModel(create_model_config_from_pretrained_config(llada_config), init_params=True)
llada = randomise(LLaDAModelLM(llada_config, model=trunk)).eval()
save(llada, "llada", "40KB")

ids = torch.tensor([[(7 * i) % VOCAB for i in range(20)]])
pixels = wave(1, 3 * S * S).reshape(1, 3, S, S)
with torch.no_grad():
    tower = llava.get_model().get_vision_tower().vision_tower
    image = llava.get_model().mm_projector(tower(pixels, output_hidden_states=True).hidden_states[-1])
    embeds = torch.cat([llava.get_model().embed_tokens(ids[:, :4]), image, llava.get_model().embed_tokens(ids[:, 4:])], 1)
    mask = torch.ones(embeds.shape[:2], dtype=torch.long)
    hidden = llava.get_model()(inputs_embeds=embeds, attention_mask=None).last_hidden_state
    golden = {
        "made": f"python test/goldens/published.py, torch {torch.__version__}, transformers {transformers.__version__}, {date}",
        "image": image[0].flatten().tolist(),
        # 20 ids of which 4 stand before the image; logits of the last 3 places.
        "llava": llava.lm_head(hidden)[0, -3:].flatten().tolist(),
        "llada": llada(ids).logits[0, -3:].flatten().tolist(),
    }
(out / "golden.json").write_text(json.dumps({k: v if isinstance(v, str) else [float(f"{x:.7g}") for x in v] for k, v in golden.items()}) + "\n")
