"""Word pieces chunk by chunk: the very ids of the tokenizer, for whatever a text holds."""

import random
import sys
import unicodedata

import pytest
from tokenizers import AddedToken
from transformers import AutoTokenizer

from fewshot.encoders import word_pieces
from fewshot.encoders.source import bundled_folder
from fewshot.encoders.texts import without_surrogates
from fewshot.encoders.tokens import tokenize
from fewshot.encoders.word_pieces import WordPieces

WILD = [
    "",
    " ",
    "my card is lost",
    "  two  blanks,\ttab\nline\r\nend ",
    "naïve café Ünïcödé İstanbul ΣΊΣΥΦΟΣ ΟΔΟΣ",
    "e\u0301 a\u0300\u0323 \u0301leading mark \u0323\u0301 word",
    "我的卡在哪里 and 東京tower",
    "한국어 ไทย हिन्दी עברית العربية",
    "[SEP] x[MASK]y [CLS][PAD] [UNK] [ SEP ] [sep]",
    "control\x00\x01 a\x0bb c\x0cd e\x1cf g\x85h i\x7fj",
    "zero\u200bwidth soft\u00adhyphen bom\ufeff rtl\u202e replaced\ufffd",
    "no\u00a0break em\u2003space line\u2028sep para\u2029sep ideo\u3000space",
    "😀👍🏽 family👨‍👩‍👧 flag🇩🇪",
    "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
    "don't stop--now... a_b a/b e-mail@host.org 3.14% $5 #tag",
    "a" * 5000,
    "lone \ud800 surrogate",
]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(bundled_folder())


def expected(tokenizer, texts):
    return tokenizer(texts, add_special_tokens=False, truncation=False)["input_ids"]


def random_texts(n_texts):
    """Texts of characters of all planes, blanks and marks among them, and pieces of special tokens."""
    rng = random.Random(0)
    marks = [chr(code) for code in range(0x300, 0x370)]
    separators = [chr(c) for c in range(sys.maxunicode) if unicodedata.category(chr(c)) in ("Zs", "Zl", "Zp", "Cc")]
    parts = ["[SEP]", "[MASK]", "[", "]", "SEP", "##ing", "card", "Straße", "'s"]

    def character():
        kind = rng.random()
        if kind < 0.3:
            return chr(rng.randrange(32, 127))
        if kind < 0.45:
            return rng.choice(separators)
        if kind < 0.6:
            return rng.choice(marks)
        if kind < 0.7:
            return rng.choice(parts)
        code = rng.randrange(0x3000) if kind < 0.9 else rng.randrange(sys.maxunicode)
        return "?" if 0xD800 <= code < 0xE000 else chr(code)

    return ["".join(character() for _ in range(rng.randrange(1, 30))) for _ in range(n_texts)]


def test_the_ids_are_the_tokenizers_own(tokenizer):
    texts = [without_surrogates(text) for text in WILD] + random_texts(5000)
    pieces = WordPieces.of(tokenizer)
    assert pieces(texts) == expected(tokenizer, texts)
    assert pieces(texts[::-1]) == expected(tokenizer, texts)[::-1]  # from memory


def test_they_stay_so_when_memory_is_full(tokenizer, monkeypatch):
    monkeypatch.setattr(word_pieces, "_MAX_CHUNKS", 5)
    pieces, texts = WordPieces.of(tokenizer), random_texts(50)
    for text in texts:
        assert pieces([text]) == expected(tokenizer, [text])
        assert len(pieces._known) <= 5


def test_a_long_chunk_is_not_remembered(tokenizer):
    pieces = WordPieces.of(tokenizer)
    pieces(["card " + "x" * 1000])
    assert list(pieces._known) == ["card"]


def test_special_tokens_that_take_blanks_with_them(tokenizer):
    other = AutoTokenizer.from_pretrained(bundled_folder())
    other.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True, rstrip=True)})
    texts = ["a <mask> b", "<mask>\t<mask>", " <mask>x"]
    assert WordPieces.of(other)(texts) == expected(other, texts)


@pytest.mark.parametrize("max_length", [None, 3, 4, 12, 256])
def test_tokenized_texts_are_the_same(tokenizer, max_length):
    texts, accepted = WILD + random_texts(200), frozenset({"input_ids", "token_type_ids"})
    found = tokenize(tokenizer, texts, max_length, accepted, WordPieces.of(tokenizer))
    assert found == tokenize(tokenizer, texts, max_length, accepted)


def test_it_is_for_bert_alone(tokenizer):
    assert WordPieces.of(tokenizer).special == (101, 102)
    assert WordPieces.of(object()) is None
    across = AutoTokenizer.from_pretrained(bundled_folder())
    across.add_tokens(["credit card"])
    assert WordPieces.of(across) is None
