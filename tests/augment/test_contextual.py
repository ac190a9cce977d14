"""Words replaced by a masked language model: whole ones, seeded per text, whatever stands beside it."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from fewshot.augment.contextual import Contextual, logits_at, whole_words
from fewshot.augment.source import AugmentRequest
from fewshot.encoders.source import BUNDLED
from fewshot.errors import ConfigError, EncoderError
from tests.augment.tiny_pretrained import VOCABULARY, save_masked_model
from tests.tiny_models import save_transformer

TEXTS = ("heart attack", "acute pain in the chest and left arm", "lost card of a child with new account")


@pytest.fixture
def prefers(tmp_path):
    """Makes a source whose model always prefers some words."""

    def make(*words, **settings):
        return Contextual(str(save_masked_model(tmp_path / "likely", likely=words)), **settings)

    return make


def texts_of(proposals):
    return [[proposal.text for proposal in part] for part in proposals]


def test_each_proposal_is_another_text_of_whole_words(masked_model):
    made = Contextual(masked_model).propose(AugmentRequest(TEXTS, max_new=12))

    for text, part in zip(TEXTS, made, strict=True):
        found = [proposal.text for proposal in part]
        assert len(found) == len(set(found)) >= 6
        assert text not in found
        for new in found:
            words = new.split()
            assert len(words) == len(text.split())
            assert all(word.casefold() in map(str.casefold, VOCABULARY) and word.isalpha() for word in words)


def test_the_likeliest_word_comes_first_and_pieces_and_signs_never(prefers):
    source = prefers("##s", "[UNK]", "[MASK]", "3", "fever", "cough", top_k=2)

    (made,) = source.propose(AugmentRequest(("broken bone",), max_new=4))

    assert sorted(proposal.text for proposal in made[:2]) == ["broken fever", "fever bone"]
    assert sorted(proposal.text for proposal in made[2:]) == ["broken cough", "cough bone"]
    assert {proposal.how for proposal in made} == {
        *("broken → fever", "bone → fever"),
        *("broken → cough", "bone → cough"),
    }


def test_a_word_is_replaced_neither_by_itself_nor_by_its_neighbour(prefers):
    (made,) = prefers("fever", "cough", "pain", top_k=1).propose(AugmentRequest(("Fever, cough",), max_new=9))

    assert sorted(proposal.text for proposal in made) == ["Fever, pain", "Pain, cough"]


def test_numbers_and_negations_stay(prefers):
    text = "not 2 cards, don’t pay 3rd loan without me"
    (made,) = prefers("fever", "cough", top_k=2, mask_share=1.0).propose(AugmentRequest((text,), max_new=30))

    assert made
    for proposal in made:
        words = proposal.text.replace(",", "").split()
        assert [words[place] for place in (0, 1, 3, 5, 7)] == ["not", "2", "don’t", "3rd", "without"]
        assert all(words[place] != text.replace(",", "").split()[place] for place in (2, 4, 6, 8))


def test_the_share_says_how_many_words_change(masked_model):
    (made,) = Contextual(masked_model, mask_share=0.5).propose(
        AugmentRequest(("acute pain in the chest and arm of",), max_new=9)
    )

    assert {proposal.how.count("→") for proposal in made} == {4}


def test_texts_without_a_word_to_change_have_no_proposals(masked_model):
    made = Contextual(masked_model).propose(AugmentRequest(("?!", "2 3", "", "not"), max_new=5))

    assert made == [[], [], [], []]
    assert Contextual(masked_model).propose(AugmentRequest((), max_new=5)) == []
    assert Contextual(masked_model).propose(AugmentRequest(("heart attack",), max_new=0)) == [[]]


@pytest.mark.parametrize("text", ["pain [MASK] fever", "pain " * 200, "pain \ud800"])
def test_odd_texts_do_no_harm(masked_model, text):
    (made,) = Contextual(masked_model, mask_share=0.001).propose(AugmentRequest((text,), max_new=5))

    assert all(proposal.text != text for proposal in made)
    assert not made or "MASK" not in text


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra"])
def test_only_the_wanted_places_are_projected_to_the_same_logits(architecture, tmp_path):
    module = AutoModelForMaskedLM.from_pretrained(save_masked_model(tmp_path, architecture)).eval()
    batch = {"input_ids": torch.tensor([[5, 6, 4, 7], [4, 4, 9, 0]]), "attention_mask": torch.ones(2, 4).long()}
    batch["attention_mask"][1, 3] = 0
    places = batch["input_ids"] == 4
    with torch.inference_mode():
        expected = module(**batch).logits[places]

        torch.testing.assert_close(logits_at(module, batch, places), expected)
        torch.testing.assert_close(module(**batch).logits[places], expected)


@pytest.mark.parametrize("kind", ["headless", "bundled", "decoder"])
def test_a_model_that_fills_in_no_masks_is_one_sentence(kind, tmp_path, capfd):
    model = {"bundled": BUNDLED}.get(kind) or str(
        save_transformer({"headless": "bert", "decoder": "llama"}[kind], tmp_path)
    )
    capfd.readouterr()  # what saving says

    with pytest.raises(EncoderError, match=r"is not of the kind AutoModelForMaskedLM: ") as caught:
        Contextual(model).propose(AugmentRequest(TEXTS, max_new=1))

    assert str(caught.value).endswith("Set augment.sources.contextual.model to a model of that kind.")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_tokenizer_without_a_mask_is_one_sentence(tmp_path):
    source = Contextual(str(save_masked_model(tmp_path, mask=False)))

    with pytest.raises(EncoderError, match=r"without a mask token.*Set augment\.sources\.contextual\.model to one\.$"):
        source.propose(AugmentRequest(TEXTS, max_new=1))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": "/no/such"}, EncoderError, r"^Model '/no/such'.*Set augment\.sources\.contextual\.model=/path"),
        ({"model": "/my-encoder.model/x"}, EncoderError, r"^Model '/my-encoder\.model/x'"),
        ({"device": "gpu"}, ConfigError, r"^Got augment\.sources\.contextual\.device='gpu'"),
    ],
)
def test_a_model_that_is_not_there_is_named_by_its_setting(masked_model, settings, error, message):
    with pytest.raises(error, match=message):
        Contextual(**{"model": masked_model} | settings).propose(AugmentRequest(TEXTS, max_new=1))


@pytest.mark.parametrize("settings", [{"mask_share": 0.0}, {"mask_share": 1.5}, {"top_k": 0}])
def test_a_number_out_of_range_is_refused(settings):
    (name,) = settings
    with pytest.raises(ConfigError, match=rf"Got augment\.sources\.contextual\.{name}={settings[name]}. Expected"):
        Contextual(**settings)


@pytest.mark.parametrize(
    ("pieces", "decoder", "words"),
    [
        (["card", "##s", "lost", "7", "x2", ",", "[unused1]"], None, {2: "card", 4: "lost"}),  # WordPiece
        (["card", "Ġcard", "ĠcafÃ©", "Ã©", "Ġ,"], decoders.ByteLevel(), {3: "card", 4: "café"}),
        (["card", "▁card", "▁", "▁2"], None, {3: "card"}),  # SentencePiece
        (["card", "card</w>", ".</w>"], None, {3: "card"}),  # older byte pairs
    ],
)
def test_pieces_that_stand_alone_are_words(pieces, decoder, words):
    vocabulary = {piece: number for number, piece in enumerate(["<unk>", "<mask>", *pieces])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    if decoder is not None:
        plain.decoder = decoder

    assert whole_words(PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", mask_token="<mask>")) == words
