"""What several scripts need to run LLaDA-V's code: a small tokenizer of LLaDA's kind, and modules that stand for what is not there."""
import importlib.abc
import importlib.machinery
import types
from unittest.mock import MagicMock

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|mdm_mask|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
# Llama 3's.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def byte_level_bpe(corpus, size):
    """A byte-level BPE of `size` tokens and LLaDA's special ones."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=[], show_progress=False))
    bpe.add_special_tokens(SPECIAL)
    return bpe


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Empty modules for what LLaDA-V imports and the scripts do not use."""

    roots = {"einops", "open_clip", "av", "decord", "flash_attn", "deepspeed", "timm"}
    modules = {"llava.model.multimodal_resampler.qformer"}  # Needs an older transformers.

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.roots or name in self.modules:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda key: MagicMock() if not key.startswith("__") else (_ for _ in ()).throw(AttributeError(key))
        return module

    def exec_module(self, module):
        pass
