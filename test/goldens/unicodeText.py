"""Writes unicodeText.json: ids of text in many scripts, from the Python library with Llama 3's splitting expression.

`texts` are sentences and what is known to be split otherwise by other engines, with the ids of a tokenizer trained on the sentences, and
of one that shows where text is split: each character of NEIGHBOURS merges with any byte before or after it in the same piece.
`ranges` are all code points that Unicode 3.2 assigns, but for Han, Hangul syllables and private use: each in a text that shows whether
it counts as letter, number, space or other, as CRC-32 of the latter's ids of a range. Later code points are left out: which of them are
assigned depends on the engine's age.

    python test/goldens/unicodeText.py DATE > test/goldens/unicodeText.json
"""
import json
import sys
import unicodedata
import zlib

import numpy as np
import tokenizers
from shared import byte_level_bpe
from tokenizers import Tokenizer, models, pre_tokenizers

CORPUS = [
    "Der größte Stern über dem roten Feld; drei Streifen: weiß, gelb, grün.",
    "Красный флаг с белой звездой и синей полосой, 1991 год.",
    "赤い旗に白い星があります。青い線は左から右へ続きます。",
    "빨간 깃발에 하얀 별이 있습니다.",
    "علم أحمر مع نجمة بيضاء ١٩٧١",
    "लाल झंडे पर सफेद तारा है।",
    "Le drapeau n'est pas rouge, c'est l'été… « oui » — 50 €",
    "it's they're I'LL we've you'd 12345 \n\n  \r\n\t end",
]
bpe = byte_level_bpe(CORPUS, 420)
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
NEIGHBOURS = "abxy1'sS\u0120\u010a"  # As the byte-level alphabet writes them: the last two are space and line feed.
pairs = list(dict.fromkeys(pair for a in NEIGHBOURS for b in alphabet for pair in ((a, b), (b, a))))
vocabulary = {token: i for i, token in enumerate([*alphabet, *(a + b for a, b in pairs)])}
splits = Tokenizer(models.BPE(vocabulary, pairs))
splits.pre_tokenizer = bpe.pre_tokenizer
splits.decoder = bpe.decoder
TEXTS = [
    *CORPUS,
    # Contractions in capitals.
    "it'S IT'\u017f don'T we'Re \u2019s \u212aelvin", "I'Sx 'LLama 'vE'D",
    # Spaces that one engine or another does not count: U+0085, U+180E, U+200B, U+FEFF; and those that all do.
    "a\u0085b\u0085\u0085c", "a\u180eb", "a\u200bb\u200b c", "\ufeffa \ufeff b", "a\u00a0\u00a0b\u1680c\u2003d\u2028e\u2029f\u202fg\u205fh\u3000 i",
    "  a   b    \u3000c \u00a0 ", "a \n b\r\n\r\n c\t\n\t d\x0b\x0ce\x1c\x1d\x1e\x1ff",
    # Numbers in threes, of every kind: decimal, letters of numbers, others.
    "1234567 \u0661\u0662\u0663\u0664 \u00b2\u00b3\u00b9\u00bd \u216b\u216c \u3007\u4e00\u4e8c \u0e51\u0e52\u0e53\u0e54\u0e55 \U0001d7ce\U0001d7cf\U0001d7d0\U0001d7d1",
    # Marks are no letters; composed and decomposed.
    "e\u0301te\u0301 \u00e9t\u00e9 n\u0303 \u1ebf \u0915\u094d\u0937\u093f \u0e01\u0e33 \u05d1\u05bc\u05b0",
    # Beyond the basic plane: letters, emoji with joiners, flags, skin tones, keycaps.
    "\U00010330\U00010331 \U0001d54f \U00020000\U00020001", "\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd 1\ufe0f\u20e3",
    "\u0000\u0001\u007f\u0080\u009f\u00ad", "\uffff\ufffe\ufffd \U0010ffff", "\u01c5\u02b0\u0294\u00aa\u00ba \u2160 \u24d0",
    "!?\u2026\u2026\n\u3002\u300c\u300d\r\n\u00bf\u00a1", "$\u20ac\u00a3 \u00b1\u00d7\u00f7 \u2192\u21d2 \u2588\u2591 \u2600\ufe0f",
]

# Case-insensitively, s is also U+017F: a contraction, and a letter after it.
FOLDED = "I'\u017fx"


def found(text):
    return [text, *(t.encode(text, add_special_tokens=False).ids for t in (bpe, splits))]


def shown(c):
    return f"x{c}y {c}{c}1{c}\n{c}'s{c} {c}"


def listed(c):
    """Assigned in Unicode 3.2, no surrogate, no private use, not one of many alike."""
    many = 0x3400 <= c <= 0x9FFF or 0xAC00 <= c <= 0xD7A3
    return not many and unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")


ranges, first = [], None
for c in range(0x20000):
    if listed(c) and first is None:
        first = c
    # Short ones, so that a difference is easy to find.
    if first is not None and (not listed(c) or c - first == 256):
        ids = [id for point in range(first, c) for id in splits.encode(shown(chr(point)), add_special_tokens=False).ids]
        ranges.append([first, c - 1, zlib.crc32(np.array(ids, dtype="<u4").tobytes())])
        first = c if listed(c) else None
made = f"python test/goldens/unicodeText.py, tokenizers {tokenizers.__version__}, Python {sys.version.split()[0]}, {sys.argv[1]}"
texts = [found(text) for text in TEXTS]
assert all(bpe.decode(ids) == splits.decode(others) == text for text, ids, others in texts)
print(json.dumps({"made": made, "tokenizer": json.loads(bpe.to_str()), "neighbours": NEIGHBOURS, "texts": texts, "folded": found(FOLDED), "ranges": ranges}))
