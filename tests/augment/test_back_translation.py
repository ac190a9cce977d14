"""There and back again: the likeliest first, the same in every run."""

import json
import shutil
import sys

import pytest
import torch

from fewshot.augment.back_translation import BackTranslation
from fewshot.augment.source import AugmentRequest
from fewshot.encoders.source import BUNDLED
from fewshot.errors import ConfigError, EncoderError
from tests.augment.tiny_pretrained import marian_config, save_masked_model
from tests.tiny_models import WORDS

TEXTS = ("heart attack", "acute pain in the chest and left arm", "lost card")


@pytest.fixture
def dictionary(monkeypatch):
    """A source whose translations are looked up, and what was asked for."""
    source = BackTranslation("there", "back", beams=3)
    asked = []

    def use(there, back):
        def look_up(table):
            def translate(texts, max_new):
                asked.append((list(texts), max_new))
                return [table[text][:max_new] for text in texts]

            return translate

        monkeypatch.setattr(source._forward, "translate", look_up(there))
        monkeypatch.setattr(source._back, "translate", look_up(back))
        return source, asked

    return use


def test_a_random_pair_gives_distinct_texts_of_its_own_words(pair):
    made = BackTranslation(**pair).propose(AugmentRequest(TEXTS, max_new=6))

    for text, part in zip(TEXTS, made, strict=True):
        found = [proposal.text for proposal in part]
        assert 2 <= len(found) == len(set(found)) <= 6
        assert text not in found
        assert all(set(new.split()) <= {*WORDS, "Paris", "3", "##ing", "##s"} for new in found)
        assert all(proposal.how.startswith("by way of '") for proposal in part)


def test_translations_are_those_of_beam_search_with_the_models_own_tokens(pair):
    from transformers import MarianMTModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(pair["forward_model"])
    model = MarianMTModel.from_pretrained(pair["forward_model"]).eval()
    model.generation_config.max_length = None
    ids = tokenizer(["lost card"], return_tensors="pt", return_token_type_ids=False)
    rows = model.generate(**ids, num_beams=4, num_return_sequences=3, max_new_tokens=6, do_sample=False)
    expected = [text.strip() for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]

    assert BackTranslation(**pair, beams=4)._forward.translate(["lost card"], 3) == [expected]


def test_what_is_likely_on_both_ways_comes_first_and_no_text_comes_twice(dictionary):
    there = {"I lost it": ["a", "b", "c"]}
    back = {"a": ["i  LOST it", "It is gone", "x"], "b": ["Gone it is", "it is gone", ""], "c": ["y", "z", "x"]}
    source, asked = dictionary(there, back)

    (made,) = source.propose(AugmentRequest(("I lost it",), max_new=9))

    assert [(proposal.text, proposal.how) for proposal in made] == [
        *[("It is gone", "by way of 'a'"), ("Gone it is", "by way of 'b'"), ("x", "by way of 'a'")],
        *[("y", "by way of 'c'"), ("z", "by way of 'c'")],
    ]
    assert asked == [(["I lost it"], 3), (["a", "b", "c"], 3)]


def test_no_more_is_translated_than_is_wanted_and_each_text_once(dictionary):
    there = {"one": ["a", "b", "c"], "two": ["a", "", "b"]}
    source, asked = dictionary(there, {"a": ["1", "2", "3"], "b": ["4", "5", "6"], "c": ["7", "8", "9"]})

    made = source.propose(AugmentRequest(("one", "two"), max_new=3))

    assert asked == [(["one", "two"], 2), (["a", "b"], 2)]
    assert [[proposal.text for proposal in part] for part in made] == [["1", "2", "4"], ["1", "2"]]


def test_settings_of_the_model_that_would_sample_give_way(pair, tmp_path):
    sampling = shutil.copytree(pair["forward_model"], tmp_path / "model")
    file = sampling / "generation_config.json"
    own = json.loads(file.read_text())
    file.write_text(json.dumps(own | {"do_sample": True, "temperature": 5.0, "max_length": 2, "num_beams": 1}))

    found = BackTranslation(**pair | {"forward_model": str(sampling)})._forward.translate(list(TEXTS), 2)

    assert found == BackTranslation(**pair)._forward.translate(list(TEXTS), 2)


def test_nothing_wanted_is_nothing_read():
    source = BackTranslation("no/such", "no/such")

    assert source.propose(AugmentRequest((), max_new=3)) == []
    assert source.propose(AugmentRequest(("heart attack",), max_new=0)) == [[]]


@pytest.mark.parametrize("kind", ["encoder", "masked"])
def test_a_model_that_does_not_translate_is_one_sentence(pair, kind, tmp_path, capfd):
    model = BUNDLED if kind == "encoder" else str(save_masked_model(tmp_path))
    capfd.readouterr()

    with pytest.raises(EncoderError, match=r"is not of the kind AutoModelForSeq2SeqLM") as caught:
        BackTranslation(**pair | {"back_model": model}).propose(AugmentRequest(TEXTS, max_new=1))

    assert str(caught.value).endswith("Set augment.sources.back_translation.back_model to a model of that kind.")
    assert capfd.readouterr() == ("", "")


def test_bin_weights_are_refused_with_the_name_of_the_setting(pair, tmp_path):
    folder = shutil.copytree(pair["forward_model"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")

    with pytest.raises(EncoderError, match=r"Set augment\.sources\.back_translation\.pickled_weights=true"):
        BackTranslation(**pair | {"forward_model": str(folder)}).propose(AugmentRequest(TEXTS, max_new=1))


def test_a_missing_sentencepiece_is_one_sentence(pair, tmp_path, monkeypatch):
    folder = shutil.copytree(pair["forward_model"], tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    (folder / "source.spm").write_bytes(b"")
    monkeypatch.setattr("fewshot.augment.pretrained.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"that package is not installed\. Install it with: pip install sentencep"):
        BackTranslation(**pair | {"forward_model": str(folder)}).propose(AugmentRequest(TEXTS, max_new=1))


@pytest.mark.parametrize("setting", ["beams", "max_tokens"])
def test_a_number_out_of_range_is_refused(setting):
    with pytest.raises(ConfigError, match=rf"Got augment\.sources\.back_translation\.{setting}=0. Expected"):
        BackTranslation(**{setting: 0})


@pytest.fixture(scope="module")
def sentencepiece_pair(tmp_path_factory):
    """Random Marian models with the files that released ones have, and no tokenizer.json."""
    sentencepiece = pytest.importorskip("sentencepiece")
    from transformers import MarianConfig, MarianMTModel

    home = tmp_path_factory.mktemp("spm")
    (home / "text").write_text("\n".join(f"{word} {other}" for word in WORDS for other in WORDS[:20]))
    sentencepiece.SentencePieceTrainer.train(
        input=str(home / "text"), model_prefix=str(home / "m"), vocab_size=60, minloglevel=2, hard_vocab_limit=False
    )
    spm = sentencepiece.SentencePieceProcessor(model_file=str(home / "m.model"))
    pieces = [spm.IdToPiece(number) for number in range(3, len(spm))]
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    for name in ("forward_model", "back_model"):
        (home / name).mkdir()
        for side in ("source", "target"):
            (home / name / f"{side}.spm").write_bytes((home / "m.model").read_bytes())
        (home / name / "vocab.json").write_text(json.dumps(vocabulary))
        words = {"source_lang": "en", "target_lang": "de", "tokenizer_class": "MarianTokenizer"}
        (home / name / "tokenizer_config.json").write_text(json.dumps(words))
        last = len(vocabulary) - 1
        ends = {"pad_token_id": last, "decoder_start_token_id": last, "eos_token_id": 0, "forced_eos_token_id": 0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            MarianMTModel(marian_config(MarianConfig, len(vocabulary), **ends)).save_pretrained(home / name)
    return {name: str(home / name) for name in ("forward_model", "back_model")} | {"max_tokens": 6}


def test_marians_own_tokenizer_is_read(sentencepiece_pair, capfd):
    capfd.readouterr()

    made = BackTranslation(**sentencepiece_pair).propose(AugmentRequest(TEXTS, max_new=3))

    assert all(part for part in made)
    assert "</s>" not in "".join(proposal.text for part in made for proposal in part)
    assert capfd.readouterr() == ("", "")
    assert "sentencepiece" in sys.modules
