"""The source `syntax`: each rule by itself, what it must leave alone, and what the rules propose together."""

import json
import os
import subprocess
import sys

import pytest

from fewshot.augment.source import AugmentRequest
from fewshot.augment.syntax import CARRIERS, RULES, Syntax
from fewshot.errors import ConfigError

MAKES = [
    ("inversion", "Bone Neoplasms", "Neoplasms, Bone"),
    ("inversion", "Deep Brain Stimulation", "Stimulation, Deep Brain"),
    ("inversion", "Neoplasms, Bone", "Bone Neoplasms"),
    ("inversion", "femur fracture", "fracture of the femur"),
    ("inversion", "Bone Neoplasms", "Neoplasms of Bone"),
    ("inversion", "fracture of the femur", "femur fracture"),
    ("carrier", "Tularemia", "The term tularemia"),
    ("carrier", "Bone Neoplasms", "About Bone Neoplasms"),
    ("contraction", "I do not know it", "I don't know it"),
    ("contraction", "i am sure", "i'm sure"),
    ("contraction", "My card hasn’t arrived.", "My card has not arrived."),
    ("contraction", "what's the fee?", "what is the fee?"),
    ("clause_order", "If my card is lost, what should I do?", "What should I do if my card is lost?"),
    ("clause_order", "What do I do when my card expires?", "When my card expires, what do I do?"),
    ("how_to", "How do I order a card?", "Tell me how to order a card."),
    ("how_to", "I am new. how can i order a card", "I am new. how do i order a card"),
    ("possibility", "Can I pay by card?", "Is it possible to pay by card?"),
    ("request", "set a timer", "could you set a timer"),
    ("request", "Can you set a timer?", "Please set a timer."),
    ("wish", "I want to order a card.", "I would like to order a card."),
]
LEAVES = [
    ("inversion", "Complement Factor I"),  # a number, not a head
    ("inversion", "Pain in the Chest"),
    ("inversion", "my card is lost"),
    ("inversion", "Disruptive, Impulse Control, and Conduct Disorders"),
    ("inversion", "tennis elbow"),
    ("inversion", "renal failure"),  # no failure of the renal
    ("inversion", "Trial of Labor"),
    ("carrier", "My card is lost"),
    ("carrier", "transfer failed"),
    ("carrier", "set alarm"),
    ("carrier", "hello"),
    ("contraction", "do I have a card"),
    ("contraction", "Why don't you pay?"),  # "why do not you"
    ("contraction", "it's been a week"),  # has
    ("contraction", "the bank's card"),
    ("clause_order", "I want to know when my card arrives"),
    ("clause_order", "If my card is late, is it lost?"),  # "it" would come before what it is
    ("how_to", "how do I know if it is late"),
    ("how_to", "how do I pay and is it safe"),
    ("request", "transfer failed"),
    ("request", "can you charge my card"),  # may ask whether that can happen
    ("wish", "I need a card"),
]
TEXTS = ("Why hasn't my card come? I do not know.", "how do i set up a direct deposit", "Femur Fracture", "Biotin")


def proposed(*texts, max_new=60, seed=0, **settings):
    return Syntax(**settings).propose(AugmentRequest(texts, max_new, seed))


@pytest.mark.parametrize(("rule", "text", "made"), MAKES)
def test_a_rule_makes(rule, text, made):
    assert made in list(RULES[rule](text))


@pytest.mark.parametrize(("rule", "text"), LEAVES)
def test_a_rule_leaves_alone(rule, text):
    assert list(RULES[rule](text)) == []


def test_every_rule_is_tested():
    assert {rule for rule, _, _ in MAKES} == set(RULES)


def test_rules_work_together_those_of_fewer_rules_first():
    how = {proposal.text: proposal.how for proposal in proposed("fracture of the femur")[0]}

    assert how["femur fracture"] == "inversion"
    assert how["the term femur fracture"] == "inversion + carrier"
    counts = [name.count("+") for name in how.values()]
    assert counts == sorted(counts)


def test_a_term_of_one_word_has_its_carriers_and_nothing_else():
    assert {proposal.how for proposal in proposed("Tularemia")[0]} == {"carrier"}
    assert len(proposed("Tularemia")[0]) == len(CARRIERS)


@pytest.mark.parametrize("text", ["", " ", "?", "...", "401k", "🙂", "(", "l'hôtel est cher", "a" * 3000, "you " * 300])
def test_odd_texts_break_nothing(text):
    assert all(proposal.text.strip() for proposal in proposed(text)[0])


@pytest.mark.slow
def test_another_process_with_another_hash_seed_proposes_the_same():
    code = (
        "import json, sys; from fewshot.augment.source import AugmentRequest;"
        "from fewshot.augment.syntax import Syntax;"
        "made = Syntax().propose(AugmentRequest(tuple(json.loads(sys.argv[1])), 30));"
        "print(json.dumps([[one.text for one in own] for own in made]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(TEXTS)],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[proposal.text for proposal in own] for own in proposed(*TEXTS, max_new=30)]


def test_rules_are_chosen_by_name():
    assert proposed("how do I pay", rules=["contraction"]) == [[]]
    with pytest.raises(ConfigError, match=r"syntax.rules=\[contractions\]. Expected some of .*wish"):
        Syntax(rules=["contractions"])
