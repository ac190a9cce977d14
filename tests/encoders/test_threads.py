"""One encoder, one cache and one tokenizer in two threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from fewshot.encoders import FeatureCache, LoRA, SentenceTransformerEncoder, TrainableEncoder, TransformerEncoder, cache
from tests.encoders.test_trainable import build, train

TEXTS = ["heart attack", "an income tax form of the last year"]
SECONDS = 10.0  # after which a thread that waits for another one gives up


def test_a_shallow_layer_is_that_of_the_own_texts(monkeypatch):
    encoder = SentenceTransformerEncoder(cache=None, dtype="float32")
    expected = [encoder.compute([text]) for text in TEXTS]
    meeting, forward = threading.Barrier(2), encoder._forward

    def together(batch):
        features = forward(batch)
        meeting.wait(SECONDS)
        return features

    monkeypatch.setattr(encoder, "_forward", together)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda text: encoder.compute([text]), TEXTS))
    assert all(map(torch.equal, found, expected))


def test_nobody_sees_weights_that_are_being_loaded(checkpoints, monkeypatch):
    trained = train(TrainableEncoder(build(checkpoints["bert"]), LoRA())).merged()
    expected, encoder, loading = trained.encode(TEXTS), trained.replace(), threading.Event()
    put_weights = encoder.put_weights

    def slowly(module, dtype):
        loading.set()
        time.sleep(0.2)
        put_weights(module, dtype)

    monkeypatch.setattr(encoder, "put_weights", slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(encoder.encode, TEXTS)
        assert loading.wait(SECONDS)
        assert torch.equal(pool.submit(encoder.encode, TEXTS).result(), expected)
        assert torch.equal(first.result(), expected)


def test_a_cache_that_two_threads_open_gives_each_text_its_own_row(tmp_path, monkeypatch):
    FeatureCache(tmp_path, "f").store(TEXTS[:1], torch.zeros(1, 2))
    meeting, opening, read_shard = threading.Barrier(2), threading.Event(), cache.read_shard

    class Keys(list):
        def __iter__(self):
            yield from super().__iter__()
            meeting.wait(SECONDS)

    def read(*given):
        opening.set()
        shard = read_shard(*given)
        return replace(shard, keys=Keys(shard.keys))

    monkeypatch.setattr(cache, "read_shard", read)
    opened = FeatureCache(tmp_path, "f")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opened.lookup, TEXTS)
        assert opening.wait(SECONDS)
        FeatureCache(tmp_path, "f").store(TEXTS[1:], torch.ones(1, 2))  # for the second thread alone
        pool.submit(opened.lookup, TEXTS).result()
        first.result()
    found, missing = opened.lookup(TEXTS)
    assert (found.tolist(), missing) == ([[0, 0], [1, 1]], [])


def test_a_tokenizer_cuts_texts_while_another_thread_counts_their_tokens(checkpoints, monkeypatch):
    encoder = TransformerEncoder(str(checkpoints["llama"]), cache=None, max_length=8)
    long, window = [" ".join(["heart"] * 20)], encoder._window()
    set_cutting = encoder._tokenizer.set_truncation_and_padding

    def slowly(*given, **named):
        set_cutting(*given, **named)
        time.sleep(0.1)

    monkeypatch.setattr(encoder._tokenizer, "set_truncation_and_padding", slowly)
    with ThreadPoolExecutor(2) as pool:
        tokens, n_cut = pool.submit(encoder.tokenize, long), pool.submit(window.n_cut, long)
        assert tokens.result()["input_ids"].shape == (1, 8)
        assert n_cut.result() == 1
