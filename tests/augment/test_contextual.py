"""Words replaced by a masked language model: whole ones, seeded per text, whatever stands beside it."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from fewshot.augment.contextual import Contextual, _logits_at
from fewshot.augment.source import AugmentRequest
from fewshot.encoders import bundled
from fewshot.errors import ConfigError, EncoderError
from tests.augment.tiny_pretrained import VOCABULARY, save_masked_model
from tests.tiny_models import save_transformer

TEXTS = ("heart attack", "acute pain in the chest and left arm", "lost card of a child with new account")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_masked_model(tmp_path_factory.mktemp("masked") / "model"))


@pytest.fixture
def prefers(tmp_path):
    """Makes a source whose model always prefers some words."""

    def make(*words, **settings):
        return Contextual(str(save_masked_model(tmp_path / "likely", likely=words)), **settings)

    return make


def texts_of(proposals):
    return [[proposal.text for proposal in part] for part in proposals]


def test_each_proposal_is_another_text_of_whole_words(model):
    made = Contextual(model).propose(AugmentRequest(TEXTS, most=12))

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

    (made,) = source.propose(AugmentRequest(("broken bone",), most=4))

    assert sorted(proposal.text for proposal in made[:2]) == ["broken fever", "fever bone"]
    assert sorted(proposal.text for proposal in made[2:]) == ["broken cough", "cough bone"]
    assert {proposal.how for proposal in made} == {
        *("broken → fever", "bone → fever"),
        *("broken → cough", "bone → cough"),
    }


def test_a_word_is_replaced_neither_by_itself_nor_by_its_neighbour(prefers):
    (made,) = prefers("fever", "cough", "pain", top_k=1).propose(AugmentRequest(("Fever, cough",), most=9))

    assert sorted(proposal.text for proposal in made) == ["Fever, pain", "Pain, cough"]


def test_what_stands_between_words_stays_and_so_does_the_case(prefers):
    (made,) = prefers("fever", top_k=1).propose(AugmentRequest(('"Heart-ache", ATTACK;  (pain)!',), most=20))

    assert sorted(proposal.text for proposal in made) == sorted(
        ['"Fever", ATTACK;  (pain)!', '"Heart-ache", FEVER;  (pain)!', '"Heart-ache", ATTACK;  (fever)!']
    )


def test_numbers_and_negations_stay(prefers):
    text = "not 2 cards, don’t pay 3rd loan without me"
    (made,) = prefers("fever", "cough", top_k=2, mask_share=1.0).propose(AugmentRequest((text,), most=30))

    assert made
    for proposal in made:
        words = proposal.text.replace(",", "").split()
        assert [words[place] for place in (0, 1, 3, 5, 7)] == ["not", "2", "don’t", "3rd", "without"]
        assert all(words[place] != text.replace(",", "").split()[place] for place in (2, 4, 6, 8))


def test_the_share_says_how_many_words_change(model):
    (made,) = Contextual(model, mask_share=0.5).propose(AugmentRequest(("acute pain in the chest and arm of",), most=9))

    assert {proposal.how.count("→") for proposal in made} == {4}


def test_a_later_word_is_chosen_in_sight_of_an_earlier_one(model, monkeypatch):
    source = Contextual(model, mask_share=1.0, top_k=1)
    asked = []

    def candidates(pairs):
        asked.append(pairs)
        return {pair: ["fever", "cough"][len(asked) - 1 :] for pair in pairs}

    monkeypatch.setattr(source, "_candidates", candidates)
    (made,) = source.propose(AugmentRequest(("left arm",), most=1))

    assert asked == [[("left arm", "[MASK] arm")], [("left arm", "fever [MASK]")]]
    assert [(proposal.text, proposal.how) for proposal in made] == [("fever cough", "left → fever, arm → cough")]


def test_a_masked_text_is_looked_at_once(model, monkeypatch):
    source = Contextual(model)
    asked = []
    candidates = source._candidates
    monkeypatch.setattr(source, "_candidates", lambda pairs: asked.extend(pairs) or candidates(pairs))

    source.propose(AugmentRequest(("heart attack",), most=15))

    assert sorted(asked) == [("heart attack", "[MASK] attack"), ("heart attack", "heart [MASK]")]


def test_proposals_depend_on_the_text_and_the_seed_alone(model):
    source = Contextual(model, tokens_per_batch=40)
    together = source.propose(AugmentRequest(TEXTS, most=8, seed=3))
    backwards = Contextual(model).propose(AugmentRequest(TEXTS[::-1], most=8, seed=3))
    alone = [Contextual(model).propose(AugmentRequest((text,), most=8, seed=3))[0] for text in TEXTS]

    assert together == backwards[::-1] == alone
    assert together != source.propose(AugmentRequest(TEXTS, most=8, seed=4))


def test_global_random_state_is_left_alone(model):
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # `random` is drawn from by beartype

    Contextual(model).propose(AugmentRequest(TEXTS, most=3))

    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_texts_without_a_word_to_change_have_no_proposals(model):
    made = Contextual(model).propose(AugmentRequest(("?!", "2 3", "", "not"), most=5))

    assert made == [[], [], [], []]
    assert Contextual(model).propose(AugmentRequest((), most=5)) == []
    assert Contextual(model).propose(AugmentRequest(("heart attack",), most=0)) == [[]]


def test_a_lone_word_needs_itself_as_context(model):
    request = AugmentRequest(("fever",), most=3)

    assert len(Contextual(model).propose(request)[0]) == 3
    assert Contextual(model, beside_original=False).propose(request) == [[]]


def test_the_plain_form_reads_the_masked_text_only(model):
    source = Contextual(model, beside_original=False)

    assert source._tokens([("heart attack", "heart [MASK]")]).lengths == [4]
    assert Contextual(model)._tokens([("heart attack", "heart [MASK]")]).lengths == [7]
    assert len(source.propose(AugmentRequest(("heart attack",), most=5))[0]) == 5


@pytest.mark.parametrize("text", ["pain [MASK] fever", "pain " * 200])
def test_odd_texts_do_no_harm(model, text):
    (made,) = Contextual(model, mask_share=0.001).propose(AugmentRequest((text,), most=5))

    assert all(proposal.text != text for proposal in made)
    assert not made or "MASK" not in text


def test_half_a_surrogate_pair_is_no_reason_to_stop(model):
    pair = ("pain \ud800 fever", "pain \ud800 [MASK]")

    assert len(Contextual(model)._candidates([pair])[pair]) == 13


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "mpnet", "electra"])
def test_only_the_wanted_places_are_projected_to_the_same_logits(architecture, tmp_path):
    module = AutoModelForMaskedLM.from_pretrained(save_masked_model(tmp_path, architecture)).eval()
    batch = {"input_ids": torch.tensor([[5, 6, 4, 7], [8, 4, 9, 0]]), "attention_mask": torch.ones(2, 4).long()}
    batch["attention_mask"][1, 3] = 0
    places = torch.tensor([2, 1])
    with torch.inference_mode():
        expected = module(**batch).logits[[0, 1], places]

        torch.testing.assert_close(_logits_at(module, batch, places), expected)
        torch.testing.assert_close(module(**batch).logits[[0, 1], places], expected)


def test_the_model_is_read_once_and_not_before_it_is_needed(model, monkeypatch):
    source = Contextual(model)
    assert "_pretrained" not in vars(source)

    source.propose(AugmentRequest(TEXTS, most=2))
    monkeypatch.setattr("fewshot.augment.pretrained.locate", lambda *_: pytest.fail("read again"))
    source.propose(AugmentRequest(TEXTS, most=2, seed=1))


def test_loading_prints_nothing(model, capfd):
    Contextual(model).propose(AugmentRequest(TEXTS, most=1))

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["headless", "bundled", "decoder"])
def test_a_model_that_fills_in_no_masks_is_one_sentence(kind, tmp_path, capfd):
    model = {"bundled": bundled.NAME}.get(kind) or str(
        save_transformer({"headless": "bert", "decoder": "llama"}[kind], tmp_path)
    )
    capfd.readouterr()  # what saving says

    with pytest.raises(EncoderError, match=r"cannot be used to fill in masked words") as caught:
        Contextual(model).propose(AugmentRequest(TEXTS, most=1))

    assert str(caught.value).endswith("AutoModelForMaskedLM. Set augment.sources.contextual.model to one.")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_tokenizer_without_a_mask_is_one_sentence(tmp_path):
    source = Contextual(str(save_masked_model(tmp_path, mask=False)))

    with pytest.raises(EncoderError, match=r"no mask token.*Set augment\.sources\.contextual\.model to one\.$"):
        source.propose(AugmentRequest(TEXTS, most=1))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": "/no/such"}, EncoderError, r"^Model '/no/such'.*Set augment\.sources\.contextual\.model=/path"),
        ({"model": "/my-encoder.model/x"}, EncoderError, r"^Model '/my-encoder\.model/x'"),
        ({"device": "gpu"}, ConfigError, r"^Got augment\.sources\.contextual\.device='gpu'"),
    ],
)
def test_a_model_that_is_not_there_is_named_by_its_setting(model, settings, error, message):
    with pytest.raises(error, match=message):
        Contextual(**{"model": model} | settings).propose(AugmentRequest(TEXTS, most=1))


@pytest.mark.parametrize("settings", [{"mask_share": 0.0}, {"mask_share": 1.5}, {"top_k": 0}, {"tokens_per_batch": 0}])
def test_a_number_out_of_range_is_refused(settings):
    (name,) = settings
    with pytest.raises(ConfigError, match=rf"Got augment\.sources\.contextual\.{name}={settings[name]}, expected"):
        Contextual(**settings)


def test_the_notes_name_the_model():
    assert Contextual("some/model").notes(AugmentRequest((), 1)) == [
        "contextual: words were chosen by the masked language model some/model."
    ]
