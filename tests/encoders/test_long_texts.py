"""Long texts: cut with one warning, or read in pieces that overlap and fit."""

import json
import time
import tracemalloc

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.long_texts import MAX_CHARACTERS
from fewshot.errors import ConfigError
from tests.fakes import FakeEncoder
from tests.tiny_models import WORDS, save_sentence_transformer

LONG = " ".join(WORDS[number % len(WORDS)] for number in range(200))
LIMIT = 16


@pytest.fixture(scope="module")
def cut(checkpoints):
    return TransformerEncoder(str(checkpoints["bert"]), dtype="float32", cache=None, max_length=LIMIT)


@pytest.fixture(scope="module")
def chunk(cut):
    return cut.reading("chunk")


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("fewshot")]


def test_pieces_fit_overlap_and_leave_nothing_out(cut):
    window = cut._window()
    (short, pieces) = window.pieces(["heart attack", LONG])
    assert short == ["heart attack"]
    assert window.limit == LIMIT
    assert cut.tokenize(pieces)["input_ids"].shape[1] <= LIMIT
    lengths = [len(piece.split()) for piece in pieces]
    assert max(lengths) - min(lengths) <= 2
    words = LONG.split()
    place = 0
    for piece in pieces:
        own = piece.split()
        start = next(i for i in range(max(0, place - LIMIT), place + 1) if words[i : i + len(own)] == own)
        assert start <= place  # the next one begins before the last one ends
        place = start + len(own)
    assert place == len(words)


def test_the_features_of_a_long_text_are_the_mean_of_those_of_its_pieces(cut, chunk):
    (pieces,) = cut._window().pieces([LONG])
    expected = normalize(cut.encode(pieces), dim=-1).mean(0)
    features = chunk.encode(["heart attack", LONG])
    torch.testing.assert_close(features[1], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(features[0], cut.encode(["heart attack"])[0], atol=1e-6, rtol=0)
    assert not torch.allclose(features[1], cut.encode([LONG])[0], atol=1e-3)
    single, counts = chunk.encode_pieces(["heart attack", LONG])
    assert counts == [1, len(pieces)]
    torch.testing.assert_close(single[1:].mean(0), expected, atol=1e-6, rtol=0)


def test_the_end_of_a_long_text_counts_in_pieces_alone(cut, chunk):
    other = LONG + " tax form loan interest account card"
    assert torch.equal(cut.encode([LONG])[0], cut.encode([other])[0])
    assert not torch.allclose(chunk.encode([LONG])[0], chunk.encode([other])[0], atol=1e-4)


def test_all_ways_of_reading_share_the_weights_and_differ_in_their_fingerprint(cut, chunk):
    assert chunk.module is cut.module
    assert cut.reading("cut") is cut
    assert chunk.reading("cut").fingerprint == cut.fingerprint != chunk.fingerprint
    assert chunk.portable_fingerprint == cut.portable_fingerprint
    assert json.loads(json.dumps(chunk.settings()))["long_texts"] == "chunk"
    assert chunk.replace().long_texts == "chunk"


def test_pieces_are_kept_in_the_cache_of_the_short_texts(checkpoints, tmp_path):
    encoder = TransformerEncoder(str(checkpoints["bert"]), cache=str(tmp_path), max_length=LIMIT)
    encoder.encode(["heart attack"])
    chunk = encoder.reading("chunk")
    chunk.encode(["heart attack", LONG])
    n_new = chunk.n_encoded
    assert TransformerEncoder(str(checkpoints["bert"]), cache=str(tmp_path), max_length=LIMIT).fingerprint
    again = encoder.replace(long_texts="chunk")
    again.encode([LONG, "heart attack"])
    assert (again.n_encoded, n_new > 1) == (0, True)


def test_one_warning_for_all_that_is_cut_with_the_true_limit_of_the_model(checkpoints, caplog):
    encoder = TransformerEncoder(str(checkpoints["bert"]), cache=None, max_length=None)
    fits = " ".join(LONG.split()[:62])  # and two special tokens
    texts = ["heart", fits, fits + " tax", LONG]
    for _ in range(2):
        caplog.clear()
        with encoder.cuts_reported(texts):
            encoder.encode(texts)
            encoder.encode(texts[2:])
        (message,) = said(caplog)
        assert "2 of 4 texts are longer than the 64 tokens" in message
        assert 'long_texts="chunk"' in message


def test_texts_that_are_read_in_pieces_need_no_warning(chunk, caplog):
    with chunk.cuts_reported([LONG]):
        chunk.encode([LONG])
    assert said(caplog) == []


def test_the_model_is_not_loaded_to_find_that_texts_are_short(checkpoints):
    encoder = TransformerEncoder(str(checkpoints["bert"]), cache=None)
    with encoder.cuts_reported(["heart attack", "tax form"]):
        assert encoder._module is None


def test_a_prompt_takes_its_part_of_the_limit(tmp_path):
    folder = save_sentence_transformer(tmp_path, prompt="tax form ")
    window = SentenceTransformerEncoder(str(folder), cache=None)._window()
    assert (window.limit, window.room) == (64, 60)


def test_an_encoder_without_a_tokenizer_reads_all(caplog):
    encoder = FakeEncoder().reading("chunk")
    with encoder.cuts_reported([LONG]):
        assert torch.allclose(encoder.encode([LONG]), FakeEncoder().encode([LONG]))
    assert said(caplog) == []


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "heart " * 170_000, "中" * 333_000], ids=["one word", "words", "Chinese"]
)
def test_a_megabyte_is_cut_before_the_tokenizer(cut, chunk, caplog, text):
    cut.encode(["heart"])
    tracemalloc.start()
    start = time.process_time()
    with cut.cuts_reported([text]):
        cut.encode([text])
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.5
    assert peak < 50e6
    assert "1 of 1 text is longer" in caplog.text
    caplog.clear()
    with chunk.cuts_reported([text]):
        assert chunk.encode([text]).isfinite().all()
    assert f"longer than {MAX_CHARACTERS:,} characters" in caplog.text


def test_an_unknown_way_is_refused():
    with pytest.raises(ConfigError, match=r"long_texts=split.*cut, chunk, chunk_max"):
        SentenceTransformerEncoder(long_texts="split")


def test_half_a_surrogate_pair_is_no_obstacle(chunk):
    assert chunk.encode(["heart \ud800 " * 40]).isfinite().all()


def test_a_short_text_of_many_tokens_is_reported_by_the_encoder_itself(checkpoints, caplog):
    encoder = TransformerEncoder(str(checkpoints["bert"]), cache=None, max_length=LIMIT)
    with encoder.cuts_reported(["1 2 3 4 5 6 7 8 9 1 2 3 4 5 6"]):  # 29 bytes, 15 tokens and two special ones
        assert encoder._module is None
        encoder.encode(["1 2 3 4 5 6 7 8 9 1 2 3 4 5 6"])
    (message,) = said(caplog)
    assert "1 of 1 text is longer than the 16 tokens" in message
    assert "encoder.long_texts=chunk" in message


def test_a_megabyte_is_cut_before_a_prompt_too(tmp_path):
    folder = save_sentence_transformer(tmp_path, prompt="tax form ")
    encoder = SentenceTransformerEncoder(str(folder), cache=None)
    encoder.encode(["heart"])
    start = time.process_time()
    encoder.encode(["heart " * 170_000])
    assert time.process_time() - start < 0.5
