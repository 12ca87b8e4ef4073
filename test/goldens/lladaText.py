"""Golden prompts and labels: LLaDA-V's own functions with a small tokenizer of LLaDA's kind.

    python test/goldens/lladaText.py PATH_OF_LLADA_V_TRAIN DATE > test/goldens/lladaText.json

PATH is the folder `train` of a clone of ML-GSAI/LLaDA-V. Its functions are taken out of their files by name and run, since the
files import what is not needed here. LLaDA's tokenizer.json is no part of the clone: a byte-level BPE is trained on a few
sentences, with Llama 3's splitting expression and LLaDA's special tokens, in small ids.
"""

import ast
import copy
import json
import sys
from typing import Dict

import tokenizers
import torch
import transformers
from shared import byte_level_bpe
from tokenizers import processors

TRAIN, DATE = sys.argv[1:]
CORPUS = [
    "You are a helpful language and vision assistant.",
    "system user assistant\n\n",
    "Please describe the image in detail.\nWhat is the colour of the field?\n\nAnd of the star?",
    "A red field with a white star in the centre.\n\nIt is large.",
]

def make_tokenizer(lead):
    """With `lead`, a start is put before every text, as in many files of LLaMA's kind."""
    t = byte_level_bpe(CORPUS, 330)
    if lead:
        t.post_processor = processors.TemplateProcessing(single="<|startoftext|> $A", special_tokens=[("<|startoftext|>", t.token_to_id("<|startoftext|>"))])
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=t, bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    config = json.load(open(f"{TRAIN}/llada_v_prepare/files/tokenizer_config.json"))
    wrapped.chat_template = config["chat_template"]
    return t, wrapped


def function(file, name, **names):
    tree = ast.parse(open(f"{TRAIN}/{file}").read())
    found = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
    space = {"transformers": transformers, "torch": torch, "copy": copy, "Dict": Dict, "IGNORE_INDEX": -100, "IMAGE_TOKEN_INDEX": -200, **names}
    exec(compile(ast.Module([found], []), file, "exec"), space)
    return space[name]


preprocess = function("llava/train/train.py", "preprocess_llada")
image_token = function("llava/mm_utils.py", "tokenizer_image_token")
assign = next(
    node
    for node in ast.parse(open(f"{TRAIN}/llava/conversation.py").read()).body
    if isinstance(node, ast.Assign) and node.targets[0].id == "conv_llava_llada"
)
system = ast.literal_eval(next(k.value for k in assign.value.keywords if k.arg == "system"))

CONVERSATIONS = [
    [["user", "<image>\nPlease describe the image in detail."], ["assistant", "A red field with a white star."]],
    [["user", "What is this: <image> and this: <image>?"], ["assistant", "A field.\n\nAnd a star."], ["user", "\n<image>\n\nAnd this?"], ["assistant", " a star "]],
    [["user", "  Is it large?\n\n"], ["assistant", "It is."]],
    [["assistant", "I speak first."], ["user", "Why?"], ["assistant", "It is large."]],
]

out = {"made": f"python test/goldens/lladaText.py, transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, {DATE}", "system": system}
plain, wrapped = make_tokenizer(False)
led, wrapped_led = make_tokenizer(True)
out["tokenizer"] = json.loads(plain.to_str())
out["labelled"] = []
for turns in CONVERSATIONS:
    source = [{"from": {"user": "human", "assistant": "gpt"}[role], "value": text} for role, text in turns]
    made = preprocess([source], wrapped, has_image=True)
    out["labelled"].append({"turns": turns, "ids": made["input_ids"][0].tolist(), "labels": made["labels"][0].tolist()})
out["prompts"] = []
for turns in CONVERSATIONS:
    asked = turns[:-1]
    messages = [{"role": "system", "content": system}] + [{"role": role, "content": text} for role, text in asked]
    text = wrapped.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    out["prompts"].append({"turns": asked, "ids": image_token(text, wrapped), "led": image_token(text, wrapped_led)})
print(json.dumps(out))
