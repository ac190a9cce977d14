"""The source `syntax`: what it proposes, in which order, and that nothing of the text is lost."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter

import pytest
from omegaconf import OmegaConf

from fewshot import load_bundled
from fewshot.augment.source import AugmentRequest
from fewshot.augment.syntax import Syntax
from fewshot.augment.syntax.carriers import CARRIERS
from fewshot.errors import ConfigError
from fewshot.resources import shipped
from fewshot.tasks.task import normalise
from tests.augment.survival import content, lost, negations, numbers

UTTERANCES = (
    "Why was I charged a fee for the transfer I made yesterday?",
    "My new card hasn't arrived and it has been 12 days.",
    "how do i set up a direct deposit for my paycheck",
    "Can I get a second card for my daughter?",
    "If my card is stolen, what should I do first?",
    "The bank declined my card at the petrol station.",
    "please book me a hotel in paris from may 3rd to may 5th",
    "what is the exchange rate for euros",
    "i want a flight from boston to denver under $400",
    "Someone stole my wallet. Can you freeze my account?",
    "I don't recognize a withdrawal on my statement, can you explain it?",
    "set a timer for 20 minutes",
    "tell me how many vacation days i have left",
    "Is there a limit on top-ups?",
    "could you tell me where the nearest ATM is",
    "I never received the $50 refund that was promised.",
    "when does my credit card expire?",
    "i need help with my mortgage because i lost my job",
    "The ATM swallowed my card, but the app shows nothing.",
    "Has my passport application been approved yet?",
    "how long does a cheque take to clear?",
    "I would like to cancel three of my five subscriptions.",
    "what happens if i miss a payment",
    "turn off the lights in the kitchen and bedroom",
    "My PIN is blocked after 3 attempts!",
    "are there any vaccinations i need for kenya",
    "There is a strange charge on my account.",
    "i can't find my phone, please call it",
    "Which documents do you need for my identity check?",
    "who do i contact about a broken heater",
    "I was told that the parcel would be delivered today.",
    "remind me to water the plants tomorrow",
    "how come my balance is lower than before",
    "Do I have to pay tax on the 401k rollover?",
    "thank you so much for the help",
    "ok goodbye",
)
SYNTAX = Syntax()


def proposed(texts, most=60, seed=0, source=SYNTAX):
    return source.propose(AugmentRequest(tuple(texts), most, seed))


@pytest.fixture(scope="module")
def terms():
    task = load_bundled("medical_terms")
    train = set(task.parts["train"])
    own = [text for text, label in zip(task.texts, task.labels.tolist(), strict=True) if label in train]
    return own[::60]


# --- what is proposed ---


def test_an_utterance_has_dozens_of_variants():
    for text in (
        "Why was I charged a fee?",
        "how do i set up a direct deposit",
        "My card hasn't arrived.",
        "set a timer",
    ):
        assert len(proposed([text])[0]) == 60


def test_a_term_of_one_word_has_its_carriers_and_nothing_else():
    texts = {proposal.text for proposal in proposed(["Tularemia"])[0]}
    assert "The term tularemia" in texts
    assert len(texts) == len(CARRIERS)


def test_rules_work_together():
    source = Syntax(["clause_order", "possibility"])
    texts = [p.text for p in proposed(["If the bank declines my card, can I pay cash?"], source=source)[0]]
    assert "Is it possible to pay cash if the bank declines my card?" in texts
    how = {proposal.text: proposal.how for proposal in proposed(["fracture of the femur"], 60)[0]}
    assert how["femur fracture"] == "compound"
    assert how["the term femur fracture"] == "compound + carrier"


def test_those_of_fewer_rules_come_first_up_to_the_depth():
    for depth in (1, 2, 3):
        counts = [
            proposal.how.count(" + ") + 1 for proposal in proposed(UTTERANCES[:1], 500, source=Syntax(depth=depth))[0]
        ]
        assert counts == sorted(counts)
        assert counts[-1] == depth


def test_no_more_than_asked_for_and_all_different_when_normalised(terms):
    for most in (1, 7, 60):
        for text, proposals in zip(UTTERANCES[:8], proposed(UTTERANCES[:8], most), strict=True):
            keys = [normalise(proposal.text) for proposal in proposals]
            assert len(keys) <= most
            assert len({normalise(text), *keys}) == len(keys) + 1
    assert all(len(proposals) == 3 for proposals in proposed(terms[:20], 3))


@pytest.mark.parametrize("text", ["", " ", "?", "...", "401k", "🙂", "(", "l'hôtel est cher", "a" * 3000, "you " * 300])
def test_odd_texts_break_nothing(text):
    (proposals,) = proposed([text])
    assert all(proposal.text.strip() for proposal in proposals)


def test_no_texts_have_no_proposals():
    assert proposed([]) == []


# --- nothing is lost, and nothing babbles ---


def test_content_words_numbers_and_negations_survive(terms):
    texts = [*UTTERANCES, *terms]
    checked = 0
    for text, proposals in zip(texts, proposed(texts, 40), strict=True):
        for proposal in proposals:
            assert lost(text, proposal.text) == set(), (text, proposal)
            assert numbers(proposal.text) == numbers(text), (text, proposal)
            assert negations(proposal.text) == negations(text), (text, proposal)
            checked += 1
    assert checked > 2000


def test_the_check_of_survival_sees_what_is_lost():
    assert content("Why was I charged a fee for the transfer?") == {"charge", "fee", "transfer"}
    assert lost("I was charged a fee", "they charge me a fee") == set()
    assert lost("the bank declined my card", "they declined my card") == {"bank"}
    assert numbers("pay 5 of 12") == Counter({"5": 1, "12": 1}) != numbers("pay 12")
    assert negations("I can't and did not") == 2 != negations("I can and did not")


def test_proposals_are_well_formed():
    twice = re.compile(r"\b(\w+) \1\b|please.*please|(?:can|could) you.*(?:can|could) you|thank.*thank", re.IGNORECASE)
    untidy = re.compile(r"  |\s[,.?!]|^\s|\s$|[,:]$|,,|\.\.|\?\.|\.\?")
    for text, proposals in zip(UTTERANCES, proposed(UTTERANCES, 40), strict=True):
        for proposal in proposals:
            if not twice.search(text):
                assert not twice.search(proposal.text), proposal
            assert not untidy.search(proposal.text), proposal
            assert proposal.text[:1].isupper() == (text[:1].isupper() or proposal.text.startswith(("I ", "I'"))), (
                proposal
            )
            assert (proposal.text[-1] in ".?!") == (text[-1] in ".?!"), proposal


# --- chance and order ---


def test_the_seed_chooses_and_the_company_does_not():
    some = UTTERANCES[:8]
    made = proposed(some, 20)
    assert made == proposed(some, 20)
    assert made == proposed(some[::-1], 20)[::-1]
    assert all(own != other for own, other in zip(made, proposed(some, 20, seed=1), strict=True))


def test_another_process_with_another_hash_seed_proposes_the_same():
    code = (
        "import json, sys; from fewshot.augment.source import AugmentRequest;"
        "from fewshot.augment.syntax import Syntax;"
        "texts = tuple(json.loads(sys.argv[1]));"
        "print(json.dumps([[p.text for p in own] for own in Syntax().propose(AugmentRequest(texts, 30))]))"
    )
    texts = [*UTTERANCES[:6], "Fracture of the Femur"]
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(texts)],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[proposal.text for proposal in own] for own in proposed(texts, 30)]


def test_it_is_fast_enough_for_77_classes():
    start = time.process_time()
    count = sum(map(len, proposed(UTTERANCES[8:24], 40)))
    # 15,400 take 3 seconds without the type checks of the tests, which make it ten times as slow.
    assert count / (time.process_time() - start) > 100


# --- settings ---


def test_only_the_rules_that_are_asked_for_are_used():
    source = Syntax(rules=["contraction", "greeting"])
    made = proposed(UTTERANCES, source=source)
    used = {name for own in made for proposal in own for name in proposal.how.split(" + ")}
    assert used == {"contraction", "greeting"}


def test_a_wrong_rule_is_answered_with_the_near_ones():
    with pytest.raises(ConfigError, match=r"Got augment.sources.syntax.rules with 'contractions'.*mean contraction"):
        Syntax(rules=["contractions"])


@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_below_one_is_refused(depth):
    with pytest.raises(ConfigError, match=rf"depth={depth}, expected 1 or more"):
        Syntax(depth=depth)


@pytest.mark.parametrize("carrier", ["the term", "{} and {}", "{}"])
def test_a_carrier_needs_one_place_and_a_word(carrier):
    with pytest.raises(ConfigError, match=r"expected words with \{\} once"):
        Syntax(carriers=[carrier])


def test_carriers_are_the_users():
    assert [proposal.text for proposal in proposed(["Biotin"], source=Syntax(carriers=["a kind of {}"]))[0]] == [
        "A kind of biotin"
    ]
    assert proposed(["Biotin"], source=Syntax(carriers=[])) == [[]]


def test_the_yaml_has_the_defaults_of_the_constructor():
    path = shipped("conf") / "augment" / "source" / "syntax.yaml"
    assert path.read_text(encoding="utf-8").startswith("# @package augment.sources.syntax\n")
    values = OmegaConf.to_container(OmegaConf.load(path))
    assert values == {
        "_target_": "fewshot.augment.syntax.Syntax",
        "rules": None,
        "depth": 3,
        "carriers": list(CARRIERS),
    }
