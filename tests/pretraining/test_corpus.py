"""Slices of lines: what is drawn are words that stand beside one another, and every line counts the same."""

import itertools

import pytest
import torch

from benchmarks.pretraining.corpus import Corpus, Mixture

ONLY_LINES, ONLY_SPANS, ONLY_RUNS = Mixture(0.0, 0.0), Mixture(1.0, 0.0, max_words=3), Mixture(0.0, 1.0)


class Pieces:
    """A WordPiece tokenizer of one letter a piece."""

    pad_token_id, cls_token_id, sep_token_id = 0, 1, 2
    names = ("[PAD]", "[CLS]", "[SEP]", "a", "b", "##a", "##b")

    def __len__(self):
        return len(self.names)

    def convert_ids_to_tokens(self, ids):
        return [self.names[number] for number in ids]

    def __call__(self, texts, **_):
        def ids(word):
            return [self.names.index(("##" if place else "") + letter) for place, letter in enumerate(word)]

        return {"input_ids": [[number for word in text.split() for number in ids(word)] for text in texts]}


def read(corpus, tokens, tokenizer):
    return [tokenizer.decode(ids[mask][1:-1].tolist()) for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]


def test_lines_come_back_as_the_tokenizer_makes_them(corpus, lines, tokenizer):
    tokens = corpus.lines(torch.arange(len(corpus)))
    assert sorted(read(corpus, tokens, tokenizer)) == sorted(lines)
    expected = tokenizer(read(corpus, tokens, tokenizer), padding=True, return_tensors="pt")
    assert torch.equal(tokens.ids, expected["input_ids"])
    assert torch.equal(tokens.mask, expected["attention_mask"].bool())


def test_whole_lines_are_drawn_alike_however_long(corpus, lines, tokenizer):
    drawn = read(corpus, corpus.draw(8000, ONLY_LINES, torch.Generator().manual_seed(1)), tokenizer)
    counts = torch.tensor([drawn.count(line) for line in lines])
    assert counts.sum() == 8000
    assert counts.min() > 130  # 200 are expected, with a standard deviation of 14
    assert counts.max() < 270


def test_a_span_is_some_words_of_one_line(corpus, lines, tokenizer):
    spans = read(corpus, corpus.draw(500, ONLY_SPANS, torch.Generator().manual_seed(1)), tokenizer)
    assert all(any(f" {span} " in f" {line} " for line in lines) for span in spans)
    assert {len(span.split()) for span in spans} == {1, 2, 3}


def test_a_span_starts_and_ends_with_a_word_of_several_pieces():
    corpus = Corpus.from_lines(["ab ba aab", "bb"], Pieces(), torch.Generator().manual_seed(0))
    tokens = corpus.draw(300, ONLY_SPANS, torch.Generator().manual_seed(1))
    inside = {tuple(ids[mask][1:-1].tolist()) for ids, mask in zip(tokens.ids, tokens.mask, strict=True)}
    assert inside == {(3, 6), (4, 5), (3, 5, 6), (3, 6, 4, 5), (4, 5, 3, 5, 6), (3, 6, 4, 5, 3, 5, 6), (4, 6)}


def test_a_run_is_two_lines_or_the_last_one(corpus, lines, tokenizer):
    runs = read(corpus, corpus.draw(300, ONLY_RUNS, torch.Generator().manual_seed(1)), tokenizer)
    in_order = read(corpus, corpus.lines(torch.arange(len(corpus))), tokenizer)
    pairs = {f"{first} {second}" for first, second in itertools.pairwise(in_order)}
    assert set(runs) <= pairs | {in_order[-1]}


def test_shares_follow_the_mixture(corpus, lines, tokenizer):
    drawn = read(corpus, corpus.draw(4000, Mixture(0.0, 0.25), torch.Generator().manual_seed(1)), tokenizer)
    assert sum(text not in lines for text in drawn) / 4000 == pytest.approx(0.25, abs=0.04)


def test_draws_are_sorted_cut_and_repeat_with_the_seed(corpus):
    mixture = Mixture(0.3, 0.5, max_tokens=5)
    first, second = (corpus.draw(200, mixture, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.ids, second.ids)
    lengths = first.mask.sum(1)
    assert torch.equal(lengths, lengths.sort().values)
    assert lengths.max() == 5 + 2
    assert (first.ids[first.mask.logical_not()] == 0).all()


def test_held_out_lines_are_no_training_lines(corpus, lines, tokenizer):
    rest, held_out = corpus.held_out(10)
    parts = [read(part, part.lines(torch.arange(len(part))), tokenizer) for part in (rest, held_out)]
    assert [len(part) for part in parts] == [30, 10]
    assert sorted(parts[0] + parts[1]) == sorted(lines)
    spans = read(held_out, held_out.draw(50, ONLY_SPANS, torch.Generator().manual_seed(1)), tokenizer)
    assert all(any(f" {span} " in f" {line} " for line in parts[1]) for span in spans)
