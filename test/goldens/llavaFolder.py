"""Writes test/goldens/llavaFolder/: a small random LLaDA-V as its folder is published, two photos, and what the released code says of them.

- config.json, safetensors in shards with their index: LLaDA-V's own classes, bf16. The tower's sizes, which the published code knows by
  the tower's name, stand in `vision_config`.
- tokenizer.json, tokenizer_config.json, special_tokens_map.json: a byte-level BPE trained on a few sentences, with LLaDA's splitting
  expression, chat template and special tokens. LLaDA's own tokenizer.json is no part of the repository.
- photo.png, photo.jpg: drawn here.
- golden.json: for each run, by the calls of generate_demo.py (process_images, conv_templates, tokenizer_image_token, generate): prompt
  ids, embeddings after the splice (length, norm, projection), the answer's ids and its text. `mask` is LLaDA-V's code, `refine` ReDiff's.
  `stop` are its stopping criteria, the end of turn where there are none.

The released code runs as released.py has it, without the cast of pixels to f16. f32, CPU. A seed counts only if no run changes when the logits are disturbed. It takes a
Pillow before 13, which resizes some shapes otherwise.

    python test/goldens/llavaFolder.py LLaDA-V/train ReDiff/train LLADA_V_COMMIT REDIFF_COMMIT DATE
"""
import copy
import json
import pathlib
import shutil
import sys

from released import PUBLISHED, make, released, use_ids  # First: it keeps transformers off the network.
import numpy as np
import PIL
import tokenizers
import torch
import transformers
from PIL import Image
from shared import SPECIAL, byte_level_bpe

LLAVA, REDIFF, LLAVA_COMMIT, REDIFF_COMMIT, DATE = sys.argv[1:]
torch.set_num_threads(1)
out = pathlib.Path(__file__).parent / "llavaFolder"
shutil.rmtree(out, ignore_errors=True)
out.mkdir()

# The tokenizer.
CORPUS = [
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides.",
    "system user assistant\n\n",
    "Please describe the image in detail.\nWhat is the colour of the field?\n\nAnd of the star? Which of the two is older?",
    "The image shows a red field with a white star in the centre. Below it, a blue stripe runs from the left to the right.\n\nIt is large.",
]
bpe = byte_level_bpe(CORPUS, 400)
wrapped = transformers.PreTrainedTokenizerFast(
    tokenizer_object=bpe, bos_token=SPECIAL[0], eos_token=SPECIAL[1], pad_token=SPECIAL[1], additional_special_tokens=[SPECIAL[2]],
    clean_up_tokenization_spaces=False,
)
wrapped.chat_template = json.load(open(f"{LLAVA}/llada_v_prepare/files/tokenizer_config.json"))["chat_template"]
# One file, as older versions of transformers wrote it; newer ones put the template into a file of its own.
wrapped.save_pretrained(out, save_jinja_files=False)
tokenizer = transformers.AutoTokenizer.from_pretrained(out)
IDS = dict(zip(PUBLISHED, (str(tokenizer.convert_tokens_to_ids(name)) for name in SPECIAL)))
VOCAB = len(tokenizer)


# The photos: a gradient, two discs and a little noise.
def photo(width, height, seed):
    y, x = np.mgrid[:height, :width].astype(float)
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    picture = np.stack([255 * x / width, 255 * y / height, 128 + 100 * np.sin(x / 7 + seed)], -1)
    for centre, radius, colour in (((0.3, 0.4), 0.25, (230, 40, 30)), ((0.7, 0.65), 0.2, (250, 245, 200))):
        inside = (x - centre[0] * width) ** 2 + (y - centre[1] * height) ** 2 < (radius * min(width, height)) ** 2
        picture[inside] = colour
    return Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8))


photo(97, 61, 1).save(out / "photo.png", optimize=True)
photo(52, 120, 2).save(out / "photo.jpg", quality=95, subsampling=0)
use_ids(IDS)


S, WIDTH = 30, 32
TOWER = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2, image_size=S, patch_size=7)
TEXT = dict(
    vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16384,
    eos_token_id=int(IDS["126081"]), image_grid_pinpoints=[[a * S, b * S] for a in range(1, 7) for b in range(1, 7)],
)


def randomise(model, seed):
    """Weights of a size that makes layers matter, and values that bf16 has. Masks say little and attention is sharp, so that places
    differ; bytes are less likely than words."""
    torch.manual_seed(seed)
    for name, p in model.named_parameters():
        gain = p.dim() == 1 and name.endswith("weight")
        values = torch.randn(p.shape) * (0.2 if p.dim() == 1 else 1.4 * p[0].numel() ** -0.5)
        if "embed_tokens" in name:
            values *= WIDTH**0.5 / 1.4
            values[int(IDS["126336"])] *= 0.1
        if "lm_head" in name:
            values *= 4
            values[:256] *= 0.5
        if "layers" in name and ("q_proj.weight" in name or "k_proj.weight" in name):
            values *= 2
        p.data = (values + 1 if gain else values).to(torch.bfloat16).float()
    return model.eval()


def sketch(t):
    """Length, norm, and projection on numbers of a formula."""
    flat = t.double().flatten()
    i = torch.arange(flat.numel(), dtype=torch.float64)
    return [t.shape[0], flat.norm().item(), (flat * torch.sin(1.7 * i + 0.013 * i * i % 6.25)).sum().item()]


def caption(code, model, run, noise=0):
    """The steps of generate_demo.py."""
    pictures = [Image.open(out / name) for name in run["pictures"]]
    processor = model.get_model().get_vision_tower().image_processor
    views = [view for view in code.mm.process_images(pictures, processor, model.config)]
    conversation = copy.deepcopy(code.conversation.conv_templates["llava_llada"])
    conversation.tokenizer = tokenizer
    conversation.append_message(conversation.roles[0], "<image>\n" * len(pictures) + run["question"])
    conversation.append_message(conversation.roles[1], None)
    ids = code.mm.tokenizer_image_token(conversation.get_prompt(), tokenizer, -200, return_tensors="pt")[None]
    sizes = [picture.size for picture in pictures]
    shown = []
    generator = torch.Generator().manual_seed(noise)
    hooks = [model.model.register_forward_pre_hook(lambda _, __, kwargs: shown.append(kwargs["inputs_embeds"][0]), with_kwargs=True)]
    if noise:
        hooks.append(model.lm_head.register_forward_hook(lambda _, __, y: y + NOISE * torch.randn(y.shape, generator=generator)))
    answer = model.generate(
        ids, images=views, image_sizes=sizes, **({"revise": True, "fake_ans": None} if run["decoder"] == "refine" else {}),
        steps=run["steps"], gen_length=run["tokens"], block_length=run["block"], tokenizer=tokenizer, stopping_criteria=run.get("stop", ["<|eot_id|>"]),
    )[0].tolist()
    for hook in hooks:
        hook.remove()
    prompt = shown[0][: -run["tokens"]]
    text = tokenizer.decode(answer, skip_special_tokens=True).strip()
    return {"prompt": ids[0].tolist(), "spliced": sketch(prompt), "forwards": len(shown), "ids": answer, "text": text}


DESCRIBE = "Please describe the image in detail."
DEMO = {"steps": 128, "tokens": 128, "block": 128}
RUNS = [
    {"decoder": "mask", "pictures": ["photo.png"], "question": DESCRIBE, **DEMO},
    {"decoder": "refine", "pictures": ["photo.png"], "question": DESCRIBE, **DEMO},
    {"decoder": "refine", "pictures": ["photo.jpg"], "question": DESCRIBE, **DEMO, "steps": 32},
    {"decoder": "mask", "pictures": ["photo.png", "photo.jpg"], "question": "Which of the two is older?", "steps": 12, "tokens": 48, "block": 16},
]
NOISE = 1e-4

code = {"mask": released(LLAVA)}
model = {"mask": make(code["mask"], TOWER, TEXT)}
code["refine"] = released(REDIFF)
model["refine"] = make(code["refine"], TOWER, TEXT)


def disturbed(made, noise):
    """Whether an answer is another one under noise on the logits."""
    return caption(code[made["decoder"]], model[made["decoder"]], made, noise)["ids"] != made["ids"]


for seed in range(1000):
    randomise(model["mask"], seed)
    model["refine"].load_state_dict(model["mask"].state_dict())
    model["refine"].eval()
    golden = []
    with torch.no_grad():
        for run in RUNS:
            golden.append({**run, **caption(code[run["decoder"]], model[run["decoder"]], run)})
        lengths = [len(run["ids"]) for run in golden]
        print(f"seed {seed}: {lengths} tokens, {[len(set(run['ids'])) for run in golden]} of them different", file=sys.stderr)
        # Both of refining end before the canvas does, none at once, and none says one word again and again.
        if min(lengths) < 8 or max(lengths[1:3]) == DEMO["tokens"] or any(len(set(run["ids"])) < len(run["ids"]) / 4 for run in golden):
            continue
        tied = next((i for i, made in enumerate(golden) if any(disturbed(made, noise) for noise in (1, 2, 3))), None)
    if tied is None:
        break
    print(f"seed {seed}: run {tied} is near a tie", file=sys.stderr)
else:
    raise SystemExit("no seed without near-ties")

# The last run again, ended by a text of several tokens that it says; found when all is done, so the seed does not hang on it.
def stopped(run):
    for at in range(8, len(run["ids"]) - 3):
        ids = run["ids"][at : at + 3]
        text = tokenizer.decode(ids)
        if tokenizer.encode(text, add_special_tokens=False) == ids and len(set(ids)) > 1:
            asked = {**{key: run[key] for key in RUNS[0]}, "stop": [text]}
            made = {**asked, **caption(code[run["decoder"]], model[run["decoder"]], asked)}
            if 4 <= len(made["ids"]) <= at and not any(disturbed(made, noise) for noise in (1, 2, 3)):
                return made
    raise SystemExit("no text to stop at")


# Three pictures, in the first number of steps that leaves no near-tie; likewise after the search.
def of_three():
    asked = {"decoder": "refine", "pictures": ["photo.jpg", "photo.png", "photo.jpg"], "question": "What is in them?", "tokens": 32, "block": 32}
    for steps in (16, 8, 32, 12, 20):
        made = {**asked, "steps": steps, **caption(code["refine"], model["refine"], {**asked, "steps": steps})}
        if len(made["ids"]) >= 8 and not any(disturbed(made, noise) for noise in (1, 2, 3)):
            return made
    raise SystemExit("no run of three pictures without near-ties")


with torch.no_grad():
    golden.append(stopped(golden[-1]))
    golden.append(of_three())

saved = copy.deepcopy(model["mask"]).to(torch.bfloat16)  # A copy: rounding a model rounds its table of angles too.
saved.save_pretrained(out, max_shard_size="60KB")
described = json.loads((out / "config.json").read_text())
described["mm_vision_tower"] = "google/siglip2-so400m-patch14-384"
described["vision_config"] = {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, **TOWER}
(out / "config.json").write_text(json.dumps(described, indent=2) + "\n")
versions = f"torch {torch.__version__}, transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, Pillow {PIL.__version__}"
made = f"python test/goldens/llavaFolder.py, LLaDA-V {LLAVA_COMMIT}, ReDiff {REDIFF_COMMIT}, {versions}, {DATE}"
(out / "golden.json").write_text(json.dumps({"made": made, "seed": seed, "noise": NOISE, "runs": golden}).replace('}, {"dec', '},\n{"dec') + "\n")
