"""nlpaug as a source: repeatable, quiet, without a trace in the user's random state."""

import random
import sys
import warnings

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from fewshot.augment.nlpaug_source import NlpaugSource, join_words, split_words
from fewshot.augment.source import AugmentRequest
from fewshot.cli.build import build
from fewshot.errors import ConfigError, FewshotError
from fewshot.resources import shipped

REQUEST = AugmentRequest(
    (
        "My card hasn't arrived yet; what's going on?",
        "how do i set up direct deposit for my $1,000 pay-check",
        "Why is there a fee (of 1.50) for the e-mail?",
    ),
    max_new=4,
)


def shipped_config():
    return OmegaConf.create({"nlpaug": OmegaConf.load(shipped("conf") / "augment" / "source" / "nlpaug.yaml")})


def state():
    """Without that of `random`, from which the checks of annotations draw."""
    return np.random.get_state()[1].tolist(), np.random.get_state()[2], torch.get_rng_state().tolist()


def words():
    return pytest.importorskip("nlpaug.augmenter.word")


class Broken:
    """Draws, speaks, and gives what it was told to give."""

    def __init__(self, made):
        self.made = made

    def augment(self, data, n=1):
        random.random(), np.random.rand(), torch.rand(())
        print("a word from the library")
        warnings.warn("and a warning", UserWarning, stacklevel=1)
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


@pytest.fixture(scope="module")
def flow():
    pytest.importorskip("nlpaug")
    return build(shipped_config(), "nlpaug")


# --- what comes out ---


def test_the_shipped_flow_proposes_other_texts(flow):
    proposed = flow.propose(REQUEST)

    assert all(2 <= len(proposals) <= 4 for proposals in proposed)
    for text, proposals in zip(REQUEST.texts, proposed, strict=True):
        assert len({text, *(proposal.text for proposal in proposals)}) == len(proposals) + 1
        assert {proposal.how for proposal in proposals} == {"Sometimes"}


def test_swapped_words_are_the_same_words():
    source = NlpaugSource(words().RandomWordAug(action="swap", aug_max=1))

    for text, proposals in zip(REQUEST.texts, source.propose(REQUEST), strict=True):
        assert proposals
        for proposal in proposals:
            assert sorted(split_words(proposal.text.lower())) == sorted(split_words(text.lower()))


@pytest.mark.parametrize("text", ["", "  ", "?"])
def test_a_text_without_words_gives_nothing(flow, text):
    assert flow.propose(AugmentRequest((text,), max_new=3)) == [[]]


@pytest.mark.parametrize(
    "text",
    ["I can't e-mail you.", "It costs $1,000.50 (or 5%)!", "what's up; you?", "naïve café's [test]", "3.5 or 4?"],
)
def test_words_that_are_split_and_joined_are_the_text(text):
    assert join_words(split_words(text)) == text


# --- randomness ---


def test_global_random_state_is_left_alone_after_an_error():
    before = state()
    with pytest.raises(FewshotError):
        NlpaugSource(Broken(ValueError("no"))).propose(REQUEST)
    assert state() == before


# --- what nlpaug leaves to its caller ---


def test_nothing_that_nlpaug_says_reaches_the_user(capsys):
    source = NlpaugSource(Broken(["new", ["newer"], "new", " ", REQUEST.texts[0]]))

    proposals = source.propose(REQUEST)[0]

    assert [proposal.text for proposal in proposals] == ["new", "newer"]
    assert capsys.readouterr() == ("", "")


def test_a_failure_names_the_text_and_what_to_do():
    source = NlpaugSource(Broken(LookupError("\n*****\n  Resource wordnet not found.\n")))

    with pytest.raises(FewshotError) as caught:
        source.propose(REQUEST)

    assert str(caught.value) == (
        "nlpaug's Broken failed on the text \"My card hasn't arrived yet; what's going on?\" with LookupError: ***** "
        "Resource wordnet not found. Use another augmenter, or install what it asks for."
    )


def test_what_is_no_text_is_refused():
    with pytest.raises(FewshotError, match=r"nlpaug's Broken made a ndarray, expected texts"):
        NlpaugSource(Broken([np.zeros(3)])).propose(REQUEST)


@pytest.mark.parametrize("augmenter", ["swap", None, {"_target_": "nlpaug.flow.Sometimes"}])
def test_what_is_no_augmenter_is_refused(augmenter):
    with pytest.raises(ConfigError, match=r"Got augmenter=.*, expected an augmenter or a flow of nlpaug"):
        NlpaugSource(augmenter)


def test_without_nlpaug_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "nlpaug"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nlpaug", None)

    with pytest.raises(ConfigError, match=r"needs the package nlpaug, .*pip install 'fewshot-text\[augment\]'"):
        build(shipped_config(), "nlpaug")
