import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from fewshot.augment.whole_words import in_case_of, whole_words


def tokenizer(pieces, decoder=None):
    plain = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    if decoder is not None:
        plain.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", mask_token="<mask>")


def test_wordpiece_has_words_and_marked_insides():
    found = whole_words(tokenizer(["<unk>", "<mask>", "card", "##s", "lost", "7", "x2", ",", "[unused1]"]))

    assert found == {2: "card", 4: "lost"}


def test_byte_level_pieces_that_begin_a_word_are_words():
    found = whole_words(tokenizer(["<unk>", "<mask>", "card", "Ġcard", "ĠcafÃ©", "Ã©", "Ġ,"], decoders.ByteLevel()))

    assert found == {3: "card", 4: "café"}


def test_sentencepiece_marks_the_beginning():
    assert whole_words(tokenizer(["<unk>", "<mask>", "card", "▁card", "▁", "▁2"])) == {3: "card"}


def test_older_byte_pairs_mark_the_end():
    assert whole_words(tokenizer(["<unk>", "<mask>", "card", "card</w>", ".</w>"])) == {3: "card"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("card", "bill", "bill"), ("Card", "bill", "Bill"), ("PIN", "code", "CODE"), ("I", "you", "You")],
)
def test_a_word_takes_the_case_of_the_one_it_replaces(old, new, expected):
    assert in_case_of(old, new) == expected
