"""Writes paperLosses.json: the losses of refining as the paper prints them (eq. 3, 4 and 5), and their gradients, by PyTorch in f64.

Written from the formulas, by sets of positions, and differentiated by autograd. Logits are numbers of a formula that the test knows too.

    python test/goldens/paperLosses.py DATE > test/goldens/paperLosses.json
"""
import json
import sys

import torch
from formulas import lehmer, sketch

TYPES = ["mask", "syntax", "hallucination", "clean"]
# The noise level t, and what each position of the response is: m, s, h, c as above; x a mistake and . nothing of a draft.
ROWS = [
    (0.31, "mmcshhcmcsccmcccsc"),  # All four.
    (0.72, "mmmcmmmmcmmsmmmmmm"),  # No hallucination.
    (0.004, "cccccccccccccccccc"),  # Clean only, and 1/t is large.
    (1.0, "mmmmmmmmmmmmmmmmmm"),  # Masks only.
    (0.11, "chhhcccccmcccccccc"),  # No syntax.
    (0.25, "....xx..........x."),  # A draft.
]
B, L, V = len(ROWS), 18, 37
logits = (6 * torch.tensor(lehmer(7, B * L * V), dtype=torch.float64)).reshape(B, L, V).requires_grad_()
right = torch.tensor([[(11 * i + 5 * b) % V for i in range(L)] for b in range(B)])
log_p = logits.log_softmax(-1)


def mean_nll(b, places):
    """(1/N) Σ −log p(right) over places; 0 where there are none."""
    return sum((-log_p[b, i, right[b, i]] for i in places), torch.zeros((), dtype=torch.float64)) / max(len(places), 1)


def of(kinds, letter):
    return [i for i, kind in enumerate(kinds) if kind == letter]


terms = {name: torch.zeros((), dtype=torch.float64) for name in [*TYPES, "mistake"]}
for b, (t, kinds) in enumerate(ROWS):
    for name in TYPES:  # eq. 3
        terms[name] = terms[name] + mean_nll(b, of(kinds, name[0])) / t / B
    terms["mistake"] = terms["mistake"] + mean_nll(b, of(kinds, "x")) / B  # eq. 5, without t
total = sum(terms.values())  # eq. 4, and Stage I's rows beside Stage II's
total.backward()
print(
    json.dumps(
        {
            "made": f"python test/goldens/paperLosses.py, torch {torch.__version__}, {sys.argv[1]}",
            "rows": [{"t": t, "kinds": kinds} for t, kinds in ROWS],
            "vocabulary": V,
            "right": right.tolist(),
            "loss": total.item(),
            "terms": {name: term.item() for name, term in terms.items()},
            # Of each row, and of the first place of the first row in full.
            "gradients": [sketch(row) for row in logits.grad],
            "first": logits.grad[0, 0].tolist(),
        }
    )
)
