"""`augment=...` on the command line: what runs, what it leaves behind, and what is refused in one sentence."""

import csv
import json

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from fewshot.augment import AugmentationPolicy, SemanticAugmentation, StageAugmentation
from fewshot.cli.build import build
from fewshot.cli.compose import choices, composed
from fewshot.errors import ConfigError
from fewshot.resources import shipped

CONF = shipped("conf")
SOURCES = sorted(path.stem for path in (CONF / "augment" / "source").glob("*.yaml"))
ON = ("augment=semantic", "augment/source=prefixes", "augment.lowest_cosine=0.1", "augment.margin=-2")


def test_nothing_is_augmented_by_default(folder, command):
    outcome = command("task=folder", f"task.path={folder}")

    assert outcome.results["augment"] is None
    assert list(outcome.results["baselines"]) == ["centroid"]
    assert composed("augment=none").augment == {}


def test_an_augmented_run_tells_all_that_was_done_and_the_same_seed_gives_the_same(folder, command):
    outcome = command("task=folder", f"task.path={folder}", *ON, "augment.save=true")

    assert outcome.status == 0, outcome.err
    augment = outcome.results["augment"]
    assert list(augment) == [
        *("settings", "support", "meta_training", "sources", "weight", "made", "decision", "notes"),
    ]
    assert augment["settings"]["per_class"] == 200
    assert augment["notes"] == ["Prefixes: a, the, some."]
    assert augment["made"]["test"]["sources"]["prefixes"]["kept"] > 0
    assert list(outcome.results["baselines"]) == ["without augmentation", "centroid"]
    assert set(outcome.results["baselines"]["without augmentation"]["difference"]) == {
        "mean",
        "ci95",
        "std",
        "interval",
    }
    accuracies = json.loads((outcome.run_folder / "episode_accuracies.json").read_text(encoding="utf-8"))
    assert list(accuracies) == ["prototypical", "without augmentation", "centroid"]
    assert "without augmentation: the same learner" in " ".join(outcome.out.split())
    assert "Support of the test episodes: 8 texts a class instead of 2; kept of what was made: prefixes" in outcome.out
    with open(outcome.run_folder / "augmented.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["part"] for row in rows} == {"valid", "test"}
    assert all(row["augmented"].endswith(row["text"]) for row in rows)
    again = command("task=folder", f"task.path={folder}", *ON)
    assert not (again.run_folder / "augmented.tsv").exists()
    for key in ("accuracy", "temperature", "baselines"):
        assert outcome.results[key] == again.results[key], key
    assert augment["made"] == again.results["augment"]["made"]


def test_auto_says_what_it_decided(folder, command):
    outcome = command(
        *("task=folder", f"task.path={folder}", "augment=auto", "augment/source=[prefixes]"),
        *("augment.lowest_cosine=0.1", "augment.policy.episodes=20", "augment.policy.weights=[1]"),
    )

    assert outcome.status == 0, outcome.err
    decision = outcome.results["augment"]["decision"]
    assert [trial["sources"] for trial in decision["trials"]] == [["prefixes"]]
    assert decision["sentence"] in outcome.out.replace("\n", " ")
    assert ("without augmentation" in outcome.results["baselines"]) is (decision["chosen"] is not None)


def test_both_uses_run(folder, command):
    outcome = command("task=folder", f"task.path={folder}", *ON, "augment.use=[support,meta_training]")

    assert outcome.status == 0, outcome.err
    assert list(outcome.results["augment"]["made"]) == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("typed", "chosen"), [("synonym", ["synonym"]), ("[syntax,adversarial]", ["syntax", "adversarial"])]
)
@pytest.mark.parametrize("name", ["semantic", "auto"])
def test_several_sources_are_chosen_as_a_list_and_one_as_a_name(name, typed, chosen):
    assert list(composed(f"augment={name}", f"augment/source={typed}").augment.sources) == chosen


def test_the_default_sources_are_those_of_the_constructor():
    assert list(SemanticAugmentation().sources) == list(composed("augment=semantic").augment.sources)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("semantic", SemanticAugmentation()),
        ("auto", SemanticAugmentation(policy=AugmentationPolicy())),
        ("by_stage", StageAugmentation()),
    ],
)
def test_a_yaml_has_the_defaults_of_the_constructor(name, made):
    built = build(composed(f"augment={name}"), "augment")

    assert type(built) is type(made)
    assert built.settings() == made.settings()
    assert choices("augment")[name]


@pytest.mark.parametrize("name", ["back_translation", "contextual", "llm", "synonym", "syntax"])
def test_the_yaml_of_a_source_says_nothing_twice(name):
    assert list(OmegaConf.load(CONF / "augment" / "source" / f"{name}.yaml")) == ["_target_"]


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_goes_by_the_name_of_its_file(name):
    config = OmegaConf.load(CONF / "augment" / "source" / f"{name}.yaml")
    lines = (CONF / "augment" / "source" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()

    assert lines[0] == f"# @package augment.sources.{name}"
    assert get_object(config._target_).name == name


def test_the_search_goes_as_far_as_the_filter():
    made = build(composed("augment=semantic", "++augment.lowest_cosine=0.75"), "augment")

    assert made.sources["adversarial"].lowest_cosine == 0.75


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["augment=semantik"], "There is no augment 'semantik'. Did you mean semantic?"),
        (["augment/source=llm"], "Got 'augment/source=llm', but augmentation is left to the ladder, or is off."),
        (
            ["augment=semantic", "augment.sources.synonym.lexicon=[a]"],
            "no setting 'augment.sources.synonym.lexicon'. Did you mean augment.sources.synonym.lexicons?",
        ),
        (
            ["augment=semantic", "augment.sources.llm.model=x"],
            "Got a setting of the source 'llm', but the sources are synonym, syntax, adversarial.",
        ),
        (["augment=semantic", "augment.policy.weights=[1]"], "the augmentation has no policy. Write augment=auto"),
        (["augment=auto", "augment.policy.weights=[0]"], "Got augment.policy.weights=[0.0]. Expected numbers above 0"),
        (["augment=semantic", "augment.per_class=2"], "Got augment.per_class=2 with shots=2, which leaves no room"),
        (["augment=semantic", "augment/source=[]"], "Got no augment/source, expected one or more"),
        (["augment=semantic", "augment.weight=heavy"], "Got augment.weight='heavy', expected a number."),
        (
            ["augment=semantic", "+augment.sources.adversarial.substitutions.depth=1"],
            "There is no setting 'augment.sources.adversarial.substitutions.depth'.",
        ),
    ],
)
def test_a_mistake_gets_a_sentence(typed, sentence, folder, command):
    outcome = command("task=folder", f"task.path={folder}", *typed)

    assert outcome.status == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.results_files == []


def test_a_source_whose_package_is_missing_names_the_extra(monkeypatch):
    def refuse(path):
        error = ImportError("no")
        error.__cause__ = ModuleNotFoundError("No module named 'nlpaug'", name="nlpaug")
        raise error

    monkeypatch.setattr("fewshot.cli.build.get_object", refuse)

    with pytest.raises(ConfigError, match=r"needs the package nlpaug.* pip install 'fewshot-text\[augment\]'"):
        build(composed("augment=semantic"), "augment")
