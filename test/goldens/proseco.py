"""Golden logits and ids of ProSeCo's sampler, on the small model in test/goldens/published/llada.

ProSeCo's LLaDA SFT (kuleshov-group/proseco-llada-sft) is LLaDA's own class with its names, so that folder is laid out as it is. The
released sampler, llada/generate.py, runs as it is; special ids are its arguments. A seed counts only if no run changes when the
logits are disturbed, the mask is never chosen, and a correction changes what the answer would be. f32, CPU.

Arguments: the folder `llada` of kuleshov-group/proseco; the folder with LLaDA's classes of published.py; the commit; the date.

    python test/goldens/proseco.py proseco/llada llada 69fe45d 2026-11-24 > test/goldens/proseco.json
"""
import json
import pathlib
import sys
import types

import torch
import transformers
from safetensors.torch import load_file

PROSECO, LLADA, COMMIT, DATE = sys.argv[1:]
for name, path in (("llada", LLADA), ("proseco", PROSECO)):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from llada.configuration_llada import LLaDAConfig  # noqa: E402
from llada.modeling_llada import LLaDAModel, LLaDAModelLM, create_model_config_from_pretrained_config  # noqa: E402
from proseco.generate import generate  # noqa: E402

folder = pathlib.Path(__file__).parent / "published" / "llada"
given = json.loads((folder / "config.json").read_text())
config = LLaDAConfig(**{k: v for k, v in given.items() if k not in ("model_type", "dtype")})
model = LLaDAModelLM(config, model=LLaDAModel(create_model_config_from_pretrained_config(config), init_params=True)).eval()
weights = {k: v.float() for shard in sorted(folder.glob("*.safetensors")) for k, v in load_file(shard).items()}
model.load_state_dict(weights, strict=True)
torch.set_num_threads(1)
MASK, END, V = given["mask_token_id"], given["eos_token_id"], given["vocab_size"]
NOISE = 1e-3


def decode(seed, noise=0, ban=False, **options):
    prompt = [[(11 * seed + 7 * i * i + 3 * i) % (V - 8) for i in range(6)]]
    generator = torch.Generator().manual_seed(noise)

    def forward(x):
        logits = model(x).logits
        if ban:
            logits[..., MASK] = -1e9
        return types.SimpleNamespace(logits=logits + NOISE * torch.randn(logits.shape, generator=generator) if noise else logits)

    forward.device = torch.device("cpu")
    tokenizer = types.SimpleNamespace(eos_token_id=END)
    x, counts, _ = generate(forward, torch.tensor(prompt), mask_id=MASK, tokenizer=tokenizer, **options)
    return {"prompt": prompt[0], "ids": x[0, len(prompt[0]) :].tolist(), "passes": [counts["predictor_nfe"], counts["corrector_nfe"]]}


def settings(gen_length, block_length, steps, every, most):
    return dict(gen_length=gen_length, block_length=block_length, steps=steps, apply_corrector_every_n_steps=every, max_corrector_steps_per_loop=most)


CASES = [
    ("one block", settings(16, 16, 8, 2, 4), False),
    ("blocks, at every step, ends early", settings(24, 8, 12, 1, 3), True),
    ("blocks, one pass at every third step", settings(24, 8, 18, 3, 1), False),
]
runs = []
with torch.no_grad():
    for name, options, ends in CASES:
        for seed in range(20_000):
            try:
                run = decode(seed, ban=True, **options)
                block = options["block_length"]
                closed = END in run["ids"][block - 1 : -1 : block]
                uncorrected = decode(seed, ban=True, **options | {"max_corrector_steps_per_loop": 0})["ids"]
                if closed != ends or run["ids"] == uncorrected or len(set(run["ids"])) < 6:
                    continue
                if decode(seed, **options) == run and all(decode(seed, noise, **options) == run for noise in (1, 2, 3)):
                    break
            except IndexError:  # The mask was chosen, and the original ran out of its schedule.
                continue
        else:
            raise SystemExit(f"no seed for {name}")
        print(name, seed, run, file=sys.stderr)
        runs.append({"name": name, "options": options, **run})
    last = model(torch.tensor([runs[0]["prompt"] + runs[0]["ids"]])).logits[0, -1].tolist()
made = f"python test/goldens/proseco.py, proseco {COMMIT}, torch {torch.__version__}, transformers {transformers.__version__}, {DATE}"
print(json.dumps({"made": made, "mask": MASK, "end": END, "logits": last, "runs": runs}))
