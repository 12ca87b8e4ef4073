"""Golden numbers of LLaDA-V's and ReDiff's own modelling code, on a small random model in the true layout.

    python test/goldens/llada.py PATH_OF_LLADA_V_TRAIN PATH_OF_REDIFF_TRAIN DATE > test/goldens/llada.json

The paths are the folders `train` of clones of ML-GSAI/LLaDA-V and jiyt17/ReDiff. Their modeling_llada.py is loaded with special ids
small enough for the vocabulary, and with stand-ins for what it imports from its own package and never uses here. Float32, CPU. Where its
samplers draw random numbers they are given those that the engine draws (formulas.py).
"""

import json
import logging
import sys
import types
import warnings

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from formulas import Stream, name_seed, sketch, tensor, vocabulary_uniforms, with_draws

LLADA, REDIFF, DATE = sys.argv[1:]
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

V, C, H, LAYERS, M = 320, 64, 4, 3, 128
START, END, MASK, HEADER, HEADER_END, EOT = 300, 301, 302, 303, 304, 305
IDS = {"126080": START, "126081": END, "126336": MASK, "126346": HEADER, "126347": HEADER_END, "126348": EOT}


def first_forward(text):
    """The forward pass of Stage I, which modeling_llada.py keeps as a comment above the later one, in the later one's place."""
    start = text.index("    # def forward(")
    end = text.index("    @add_start_docstrings_to_model_forward", start)
    old = [line[:4] + line[6:] if line.startswith("    # ") else line for line in text[start:end].split("\n")]
    return text[:start] + text[end:] + "\n" + "\n".join(line[4:] for line in old) + "\nLLaDAModelLM.forward = forward\n"


def load(path, package, change=lambda text: text):
    """modeling_llada.py as a module of a package of its own."""
    folder = f"{path}/llava/model/language_model"
    for name in ("llava", "llava.cache", "llava.utils", package):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["llava.cache"].dLLMCache = lambda: types.SimpleNamespace(reset_cache=lambda _: None)
    sys.modules["llava.cache"].dLLMCacheConfig = None
    sys.modules["llava.utils"].rank0_print = print
    for stem in ("configuration_llada", "modeling_llada"):
        text = open(f"{folder}/{stem}.py").read().replace("vocab_size-1000", "vocab_size-20")
        if stem == "modeling_llada":
            text = change(text)
        for published, small in IDS.items():
            text = text.replace(published, str(small))
        module = types.ModuleType(f"{package}.{stem}")
        module.__package__ = package
        sys.modules[module.__name__] = module
        exec(compile(text, f"{folder}/{stem}.py", "exec"), module.__dict__)
    config = sys.modules[f"{package}.configuration_llada"].LLaDAConfig(
        vocab_size=V, hidden_size=C, intermediate_size=M, num_hidden_layers=LAYERS, num_attention_heads=H, max_position_embeddings=512,
        rms_norm_eps=1e-5, rope_theta=500000.0, use_cache=False, attn_implementation="sdpa",
    )
    model = module.LLaDAModelLM(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = tensor(name_seed(name), *p.shape)
            gain = {"lm_head.weight": 5.0, "model.embed_tokens.weight": C**0.5}.get(name, 1.7)
            p.copy_(1 + 0.2 * values if p.ndim == 1 else gain * values / p.shape[1] ** 0.5)
    return model


llada, rediff, first = load(LLADA, "llada_v"), load(REDIFF, "rediff"), load(REDIFF, "rediff_first", first_forward)


# The forward pass: two rows of different length, with one and two images of different size, padded with zeros as llava_arch.py does.
table = llada.model.embed_tokens.weight
images = [tensor(1000 + i, P, C) for i, P in enumerate([5, 9, 4])]
ROWS = [[START, 7, 8, -200, 9, 10, 11, 12, 13, EOT], [START, -200, 20, 21, -200, 22, 23, 24, 25, 26, 27, EOT, END]]


def splice(rows, weights):
    at, out = 0, []
    for row in rows:
        parts = []
        for i in row:
            parts.append(images[at] if i == -200 else weights[[i]])
            at += i == -200
        out.append(torch.cat(parts))
    return out


def pad(rows, value=0.0):
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


spliced = splice(ROWS, table)
lengths = [len(row) for row in spliced]
embedded = pad(spliced).detach()
seen = torch.tensor([[int(i < n) for i in range(max(lengths))] for n in lengths])
forward = {}
for name, mask in (("attended", None), ("masked", seen)):
    with torch.no_grad():
        out = llada.model(inputs_embeds=embedded, attention_mask=mask, output_hidden_states=True)
        states = [llada.model.norm(h) for h in out.hidden_states[:-1]] + [out.hidden_states[-1]]
        logits = llada.lm_head(out.last_hidden_state)
    own = lambda h: torch.cat([h[b, :n] for b, n in enumerate(lengths)])
    forward[name] = {"states": [sketch(own(h)) for h in states], "logits": sketch(own(logits)), "row": own(logits)[-1, :6].tolist()}


# Losses, with every draw recorded: eq. 2 by LLaDA-V's forward; stage I without a phrase and stage II by ReDiff's; stage I with a false
# phrase, which no mask and no random token hits, by its first forward.
LABEL_FROM = [4, 3]  # Labels begin at this id of each row.
SPAN = {1: (7, 9, [30, 31])}  # Row 1: ids 7 and 8 are wrong, and should be these.


def training(model, seed, span, revise):
    labels, flags, ids = [], [], []
    for b, row in enumerate(ROWS):
        label, flag, own = [], [], []
        for i, id in enumerate(row):
            count = len(images[b if b == 0 else (1 if i < 3 else 2)]) if id == -200 else 1
            wrong = span and b in SPAN and SPAN[b][0] <= i < SPAN[b][1]
            right = SPAN[b][2][i - SPAN[b][0]] if wrong else id
            label += [right if id != -200 and i >= LABEL_FROM[b] else -100] * count
            flag += [bool(wrong)] * count
            own += [id] * count
        labels.append(torch.tensor(label)), flags.append(torch.tensor(flag)), ids.append(torch.tensor(own))
    labels, flags, ids = pad(labels, -100), pad(flags, False), pad(ids, -200)

    def call(shown):
        hook = model.model.register_forward_pre_hook(lambda _, __, kwargs: shown.append(kwargs["inputs_embeds"].detach()), with_kwargs=True)
        inputs = pad(splice(ROWS, model.model.embed_tokens.weight))
        more = {"revise": revise, "revise_indices": flags} if model is not llada else {}
        loss = model(inputs_embeds=inputs, labels=labels, **more).loss
        hook.remove()
        return loss, shown[0]

    (loss, noisy), draws = with_draws(seed, call)
    rows = []
    for b, row in enumerate(ROWS):
        positions = [i for i in range(lengths[b]) if ids[b, i] != -200]
        weights = model.model.embed_tokens.weight
        shown = [int((weights - noisy[b, i]).abs().sum(-1).argmin()) for i in positions]
        for at, i in enumerate(positions):
            assert torch.equal(weights[shown[at]], noisy[b, i])
        replaced = [s for s, i in zip(shown, positions) if s != ids[b, i] and s != MASK]
        flagged = "phrase" if model is first else "span"
        kinds = ["none" if labels[b, i] == -100 else flagged if flags[b, i] else "mask" if s == MASK else "random" if s != ids[b, i] else "clean" for s, i in zip(shown, positions)]
        rows.append({"shown": shown, "labels": labels[b, positions].tolist(), "kinds": kinds, "t": draws[0][b].item(), "replaced": len(replaced)})
        if model is first:
            rows[-1] |= {"hits": [draw[b, positions].tolist() for draw in draws[1:]]}
    return loss, rows


losses = {}
for name, model, span, revise in (("eq2", llada, False, False), ("stage1", rediff, False, True), ("stage2", rediff, True, True)):
    seed = 1
    while True:
        model.zero_grad()
        loss, rows = training(model, seed, span, revise)
        if not revise or any("random" in row["kinds"] and "mask" in row["kinds"] for row in rows):
            break
        seed += 1
    loss.backward()
    losses[name] = {"rows": rows, "loss": loss.item(), "gradients": {n: sketch(p.grad) for n, p in model.named_parameters()}}


def tells(rows):
    """Whether a mask and a random token would each have hit the phrase, every kind is there, and no random token is the right one."""
    for row in rows:
        hit = [draw < 0.05 and kind in ("random", "clean") for draw, kind in zip(row["hits"][1], row["kinds"])]
        if hit != [kind == "random" for kind in row["kinds"]]:
            return False
    kinds, (masked, random), p = rows[1]["kinds"], rows[1]["hits"], 0.999 * rows[1]["t"] + 1e-3
    phrase = [i for i, kind in enumerate(kinds) if kind == "phrase"]
    every = {"phrase", "mask", "random", "clean"} <= set(kinds)
    return every and any(masked[i] < p for i in phrase) and any(random[i] < 0.05 for i in phrase)


seed, rows = 0, None
while rows is None or not tells(rows):
    seed += 1
    loss, rows = training(first, seed, True, True)
loss.backward()
losses["stage1Phrase"] = {"rows": rows, "loss": loss.item(), "gradients": {n: sketch(p.grad) for n, p in first.named_parameters()}}

# Twenty steps of AdamW on the first of them.
start = {n: p.detach().clone() for n, p in llada.named_parameters()}
optimiser = torch.optim.AdamW(llada.parameters(), lr=1e-3, weight_decay=0.01)
trace = []
for _ in range(20):
    optimiser.zero_grad()
    loss, _ = training(llada, 1, False, False)
    loss.backward()
    optimiser.step()
    trace.append(loss.item())
# What they moved: the starting values would hide an error in it.
moved = {n: sketch(p - start[n]) for n, p in llada.named_parameters()}
with torch.no_grad():
    for n, p in llada.named_parameters():
        p.copy_(start[n])


# Samplers, and the seed of what is random in them.
DRAWS = 11
# A run counts only if it is the same under noise on the logits, so that no near-tie decides.
class Stop:
    texts = {"stop": [EOT], "suffix": [40, 41, 42]}

    def encode(self, text, add_special_tokens=False):
        return self.texts[text]


def decode(model, seed, noise, row=0, **options):
    """`row` of a batch: rows have prompts and images of different length, and what is random is drawn as the engine draws for it."""
    prompt = [START, 10 + seed % 200, -200, 11 + seed % 190, *range(60, 60 + 2 * row), EOT]
    image = tensor(5000 + seed, 6 + 3 * row, C)
    weights = model.model.embed_tokens.weight
    inputs = torch.cat([weights[prompt[:2]], image, weights[prompt[3:]]])[None].detach()
    steps = []

    def watch(_, __, kwargs):
        canvas = kwargs["inputs_embeds"][0, inputs.shape[1] :][: options["gen_length"]]
        steps.append([int((weights - e).abs().sum(-1).argmin()) for e in canvas])

    generator = torch.Generator().manual_seed(noise)
    hooks = [model.model.register_forward_pre_hook(watch, with_kwargs=True)]
    if noise:
        hooks.append(model.lm_head.register_forward_hook(lambda _, __, y: y + 2e-3 * torch.randn(y.shape, generator=generator)))
    T, start, stream = options["gen_length"], inputs.shape[1], Stream(DRAWS, row)

    def gumbel(logits, dtype):
        drawn = torch.full(logits.shape, 0.5, dtype=dtype)
        drawn[0, start : start + T] = vocabulary_uniforms(DRAWS, len(steps) - 1, np.arange(row * T, row * T + T), V)
        return drawn

    def places(size, device):
        drawn = torch.zeros(size, dtype=torch.float64)
        drawn[0, start : start + T] = stream.uniform(T)
        return drawn

    originals = torch.rand_like, torch.rand
    torch.rand_like, torch.rand = gumbel, places
    with torch.no_grad():
        result = model.generate_with_embeds(inputs, mask_id=MASK, tokenizer=Stop(), **options)
    torch.rand_like, torch.rand = originals
    for hook in hooks:
        hook.remove()
    return {"prompt": prompt, "image": 5000 + seed, "steps": steps, "result": result[0].tolist()}


stop = {"stopping_criteria": ["stop"]}
RUNS = [
    ("plain", llada, {"steps": 24, "gen_length": 24, "block_length": 24}),
    ("plain, few steps", llada, {"steps": 7, "gen_length": 24, "block_length": 24}),
    ("plain, blocks", llada, {"steps": 9, "gen_length": 24, "block_length": 8}),
    ("plain, stops", llada, {"steps": 12, "gen_length": 24, "block_length": 12, **stop}),
    ("plain, suffix", llada, {"steps": 8, "gen_length": 16, "block_length": 16, "generation_suffix": "suffix"}),
    ("plain, guidance", llada, {"steps": 8, "gen_length": 16, "block_length": 16, "cfg_scale": 0.5}),
    ("refine", rediff, {"steps": 12, "gen_length": 24, "block_length": 24, "revise": True}),
    ("refine, one token a step", rediff, {"steps": 16, "gen_length": 16, "block_length": 16, "revise": True}),
    ("refine, blocks", rediff, {"steps": 6, "gen_length": 24, "block_length": 8, "revise": True}),
    ("refine, stops", rediff, {"steps": 12, "gen_length": 24, "block_length": 24, "revise": True, **stop}),
    ("refine, stops early", rediff, {"steps": 12, "gen_length": 24, "block_length": 12, "revise": True, **stop}),
    ("refine, half of them", rediff, {"steps": 8, "gen_length": 16, "block_length": 16, "revise": True, "revise_topk": 0.5}),
    ("refine, late", rediff, {"steps": 8, "gen_length": 16, "block_length": 16, "revise": True, "revise_start": 0.5}),
    ("refine, a draft", rediff, {"steps": 8, "gen_length": 16, "block_length": 16, "revise": True, "fake_ans": [50, 51, 52, 53, 54, 55]}),
]
runs = []
for name, model, options in RUNS:
    given = {**options, **({"fake_ans": torch.tensor([options["fake_ans"]])} if "fake_ans" in options else {})}
    for seed in range(2000):
        run = decode(model, seed, 0, **given)
        if "stopping_criteria" in options and not 4 <= len(run["result"]) <= options["gen_length"] - 4:
            continue
        if "early" in name and len(run["steps"]) == options["steps"]:
            continue
        if all(decode(model, seed, noise, **given)["steps"] == run["steps"] for noise in (1, 2, 3, 4)):
            break
    else:
        raise SystemExit(f"no seed without near-ties for {name}")
    runs.append({"name": name, "options": options, "seed": seed, **run})
    print(name, seed, file=sys.stderr)

# Stops of other ids, taken from what a run says without any, with the condition that makes it worth while.
def begun(stops, run):
    """The first id of the stop is there before the second is, and the answer ends at both."""
    a, b = stops[0]
    return len(run["result"]) == 11 and any(a in canvas and b not in canvas for canvas in run["steps"])


def second_first(stops, run):
    """The second stop is there when the first is not, which comes later and ends the answer before it."""
    has = lambda canvas, ids: any(canvas[i : i + len(ids)] == ids for i in range(len(canvas)))
    return len(run["result"]) == 5 and any(has(canvas, stops[1]) and not has(canvas, stops[0]) for canvas in run["steps"])


PICKED = [
    ("plain, a stop of two", llada, {"steps": 12, "gen_length": 24, "block_length": 24}, lambda said: [said[11:13]], begun),
    ("refine, two stops", rediff, {"steps": 12, "gen_length": 24, "block_length": 24, "revise": True}, lambda said: [said[5:7], said[14:15]], second_first),
]
for name, model, options, pick, worth in PICKED:
    for seed in range(2000):
        stops = pick(decode(model, seed, 0, **options)["result"])
        Stop.texts |= {f"stop {i}": ids for i, ids in enumerate(stops)}
        given = {**options, "stopping_criteria": [f"stop {i}" for i in range(len(stops))]}
        run = decode(model, seed, 0, **given)
        if worth(stops, run) and all(decode(model, seed, noise, **given)["steps"] == run["steps"] for noise in (1, 2, 3, 4)):
            break
    else:
        raise SystemExit(f"no seed without near-ties for {name}")
    runs.append({"name": name, "options": {**given, "stops": stops}, "seed": seed, **run})
    print(name, seed, file=sys.stderr)

# Batches of three rows; with temperature, and with random places. What the model says often ends them, at different steps.
BATCHES = [
    ("plain", llada, {"steps": 12, "gen_length": 24, "block_length": 12}, True),
    ("refine", rediff, {"steps": 12, "gen_length": 24, "block_length": 24, "revise": True}, True),
    ("plain, temperature", llada, {"steps": 12, "gen_length": 24, "block_length": 12, "temperature": 0.7}, True),
    ("refine, temperature", rediff, {"steps": 8, "gen_length": 24, "block_length": 24, "temperature": 0.4, "revise": True}, False),
    ("plain, random places", llada, {"steps": 8, "gen_length": 24, "block_length": 12, "remasking": "random"}, False),
    ("refine half, random places, temperature", rediff, {"steps": 8, "gen_length": 16, "block_length": 16, "temperature": 0.5, "remasking": "random", "revise": True, "revise_topk": 0.5}, False),
]


def said_often(model, options):
    said = [id for seed in range(40) for id in set(decode(model, seed, 0, **options)["result"][4:20])]
    return max(sorted(set(said)), key=said.count)


def row_of(name, model, options, row, taken):
    for seed in range(3000):
        run = decode(model, seed, 0, row, **options)
        if len(set(run["result"])) < 4 or len(run["steps"]) in taken:
            continue
        if all(decode(model, seed, noise, row, **options)["steps"] == run["steps"] for noise in (1, 2, 3)):
            print(name, row, seed, len(run["steps"]), len(run["result"]), file=sys.stderr)
            return {"tokens": 6 + 3 * row, **run}
    raise SystemExit(f"no seed without near-ties for {name}, row {row}")


batches = []
for name, model, options, ends in BATCHES:
    rows, taken = [], []
    if ends:
        Stop.texts["often"] = [said_often(model, options)]
        options = {**options, "stopping_criteria": ["often"]}
        taken = [options["steps"]]
    for row in range(3):
        rows.append(row_of(name, model, options, row, taken))
        taken += [len(rows[-1]["steps"])] if ends else []
    batches.append({"name": name, "options": {**options, **({"stops": [Stop.texts["often"]]} if ends else {})}, "rows": rows})

print(
    json.dumps(
        {
            "made": f"python test/goldens/llada.py, torch {torch.__version__}, transformers {transformers.__version__}, {DATE}",
            "rows": ROWS,
            "forward": forward,
            "losses": losses,
            "adamW": {"losses": trace, "moved": moved},
            "runs": runs,
            "draws": DRAWS,
            "batches": batches,
        }
    )
)
