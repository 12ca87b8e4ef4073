"""Golden numbers of the whole published model: pictures of any size through tower, projector and packing, spliced into a ragged batch,
through the language model to the losses, and back to every parameter.

Small random weights in the true layout. `LlavaLLaDAModelLM.forward` of LLaDA-V and of ReDiff as released.py has it, with pictures that
`process_images` prepares. f32, CPU. A Pillow before 13, which resizes some shapes otherwise.

    python test/goldens/wholeModel.py LLaDA-V/train ReDiff/train LLADA_V_COMMIT REDIFF_COMMIT DATE > test/goldens/wholeModel.json
"""
import json
import sys

from released import PUBLISHED, make, released, use_ids  # First: it keeps transformers off the network.
import PIL
import torch
import transformers
from formulas import name_seed, pattern, sketch, tensor, with_draws
from PIL import Image

LLAVA, REDIFF, LLAVA_COMMIT, REDIFF_COMMIT, DATE = sys.argv[1:]
print_json, sys.stdout = sys.stdout, sys.stderr  # The released code prints.
START, END, MASK, EOT = 300, 301, 302, 305
use_ids(dict(zip(PUBLISHED, map(str, range(START, EOT + 1)))), above=20)
IMAGE, IGNORED = -200, -100

S = 30
TOWER = dict(
    hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=2, image_size=S, patch_size=7,
    hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6,
)
TEXT = dict(
    vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512,
    eos_token_id=END, image_grid_pinpoints=[[a * S, b * S] for a in range(1, 4) for b in range(1, 4)],
)
# One, two and three pictures in a row: within a tile, of one, of several in either direction, scaled down.
SIZES = [(61, 30), (97, 91), (23, 77), (30, 30), (90, 200), (140, 33)]
ROWS = [
    [START, 7, 8, IMAGE, 9, EOT, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, EOT, END, END, END],
    [START, IMAGE, 20, 21, IMAGE, EOT, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, EOT, END],
    [START, 11, IMAGE, IMAGE, 12, IMAGE, EOT, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, EOT, END, END],
]
# Structure has labels too, as in LLaDA-V's preprocess_llada; the user's text has none.
LABELS = [[id if i in (0, row.index(EOT)) or i > row.index(EOT) else IGNORED for i, id in enumerate(row)] for row in ROWS]
# Row 2, whose ids 9 to 11 are wrong. The released forward moves flags to the right by one number for all rows, right for the longest.
SPAN = (2, 9, [120, 121, 122])


def randomise(model):
    """Weights of a formula, of a size that makes layers matter."""
    for p in model.parameters():
        p.requires_grad_(True)
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = tensor(name_seed(name), *p.shape)
            gain = {"lm_head.weight": 5.0, "model.embed_tokens.weight": TEXT["hidden_size"] ** 0.5}.get(name, 1.7)
            if p.ndim == 1:
                p.copy_(0.2 * values + (name.endswith("weight")))
            else:
                p.copy_(gain * values / p[0].numel() ** 0.5)
    return model


def trained(model):
    """All but what is in the files and never used."""
    return {name: p for name, p in model.named_parameters() if "post_layernorm" not in name}


code = {"llava": released(LLAVA)}
llava = randomise(make(code["llava"], TOWER, TEXT, "sdpa"))
code["rediff"] = released(REDIFF)
rediff = randomise(make(code["rediff"], TOWER, TEXT, "sdpa"))
rediff.decide_revise(True)

pictures = [Image.fromarray(pattern(*size)) for size in SIZES]
views = list(code["llava"].mm.process_images(pictures, llava.get_model().get_vision_tower().image_processor, llava.config))
given = dict(images=views, image_sizes=SIZES, modalities=["image"] * len(SIZES))


def image_tokens(i):
    """What one picture becomes: spliced in place of the first of two ids."""
    merged = llava.prepare_inputs_labels_for_multimodal(torch.tensor([[IMAGE, 0]]), None, None, None, None, [views[i]], ["image"], [SIZES[i]])
    return merged[4][0, :-1].detach()


images = [image_tokens(i) for i in range(len(SIZES))]
counts = iter([len(image) for image in images])
# For each row the places of its text, and its length.
PLACES, LENGTHS = [], []
for row in ROWS:
    place, own = 0, []
    for id in row:
        if id != IMAGE:
            own.append(place)
        place += next(counts) if id == IMAGE else 1
    PLACES.append(own), LENGTHS.append(place)


def training(model, seed, span=False):
    ids, labels = torch.tensor(ROWS), torch.tensor(LABELS)
    flags = torch.zeros(ids.shape, dtype=torch.bool)
    if span:
        b, first, right = SPAN
        flags[b, first : first + len(right)] = True
        labels[b, first : first + len(right)] = torch.tensor(right)

    def call(shown):
        hook = model.model.register_forward_pre_hook(lambda _, __, kwargs: shown.append(kwargs["inputs_embeds"].detach()), with_kwargs=True)
        loss = model(input_ids=ids, labels=labels, **given, **({"revise_indices": flags} if model is rediff else {})).loss
        hook.remove()
        return loss, shown[0]

    (loss, noisy), draws = with_draws(seed, call)
    weights = model.get_model().embed_tokens.weight
    rows = []
    for b, places in enumerate(PLACES):
        text = [i for i, id in enumerate(ROWS[b]) if id != IMAGE]
        shown = [int((weights - noisy[b, i]).abs().sum(-1).argmin()) for i in places]
        assert torch.equal(weights[shown], noisy[b, places])
        own, label, flag = ([t[b][i].item() for i in text] for t in (ids, labels, flags))
        p = 0.999 * draws[0][b].item() + 1e-3
        kinds = []
        for at, place in enumerate(places):
            if label[at] == IGNORED or (any(flag) and not flag[at]):
                kind = "none"
            elif any(flag):
                kind = "span"
            elif draws[1][b, place] < p:
                kind = "mask"
            elif model is rediff and draws[2][b, place] < 0.05:
                kind = "random"
            else:
                kind = "clean"
            assert (shown[at] == MASK) == (kind == "mask") and (shown[at] == own[at]) == (kind not in ("mask", "random"))
            kinds.append(kind)
        rows.append({"shown": shown, "labels": label, "kinds": kinds, "t": draws[0][b].item()})
        if model is rediff and not span:
            # What decided about masks and random tokens.
            rows[-1] |= {"hits": [draw[b, places].tolist() for draw in draws[1:]]}
    return loss, rows


def count(rows, kind):
    return [row["kinds"].count(kind) for row in rows]


losses = {}
for name, model, span, worth in (
    ("eq2", llava, False, lambda rows: min(count(rows, "mask")) > 1),
    ("stage1", rediff, False, lambda rows: min(count(rows, "mask")) > 1 and sorted(count(rows, "random"))[1] > 1),
    ("stage2", rediff, True, lambda rows: min(count(rows, "mask")[:2]) > 1 and max(count(rows, "random")) > 1),
):
    for seed in range(1, 2000):
        try:
            with torch.no_grad():
                _, rows = training(model, seed, span)
        except AssertionError:  # A random token was the right one.
            continue
        if worth(rows):
            break
    model.zero_grad()
    loss, rows = training(model, seed, span)
    loss.backward()
    losses[name] = {"seed": seed, "rows": rows, "loss": loss.item(), "gradients": {n: sketch(p.grad) for n, p in trained(model).items()}}
    print(name, seed, loss.item(), [count(rows, kind) for kind in ("mask", "random", "clean", "span")])

with torch.no_grad():
    prepared = llava.prepare_inputs_labels_for_multimodal(torch.tensor(ROWS), None, None, None, None, views, given["modalities"], SIZES)
    hidden = llava.model(inputs_embeds=prepared[4]).last_hidden_state
    logits = torch.cat([llava.lm_head(hidden[b, :n]) for b, n in enumerate(LENGTHS)])

# Twenty steps of AdamW on the first loss. What they moved: the starting values would hide an error in it. With epsilon 1e-8 the signs of
# gradients that are nothing but rounding would decide, and PyTorch differ from itself in f64 by more than 1e-4.
EPSILON = 1e-5
start = {n: p.detach().clone() for n, p in trained(llava).items()}
optimiser = torch.optim.AdamW(trained(llava).values(), lr=1e-3, eps=EPSILON, weight_decay=0.01)
trace = []
for _ in range(20):
    optimiser.zero_grad()
    loss, _ = training(llava, losses["eq2"]["seed"])
    loss.backward()
    optimiser.step()
    trace.append(loss.item())
moved = {n: sketch(p - start[n]) for n, p in trained(llava).items()}

versions = f"torch {torch.__version__}, transformers {transformers.__version__}, Pillow {PIL.__version__}"
made = f"python test/goldens/wholeModel.py, LLaDA-V {LLAVA_COMMIT}, ReDiff {REDIFF_COMMIT}, {versions}, {DATE}"
golden = {
    "made": made, "sizes": SIZES, "rows": ROWS, "images": [[len(image), *sketch(image)] for image in images],
    "logits": sketch(logits), "row": logits[-1, :6].tolist(), "losses": losses, "adamW": {"epsilon": EPSILON, "losses": trace, "moved": moved},
}
print(json.dumps(golden), file=print_json)
