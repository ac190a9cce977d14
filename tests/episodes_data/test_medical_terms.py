"""The shipped task `medical_terms` keeps the rules of its README, checked without the source."""

import csv
import doctest
import hashlib
import importlib.util
import json
import random
import sys
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from fewshot.episodes.frozen import EpisodeRequest, draw, load_episodes, shipped_file
from fewshot.tasks import load_bundled

FOLDER = Path(__file__).parents[2] / "episodes" / "medical_terms"


def load(*names):
    """Load the build script and its modules from their paths; they are no part of the package."""
    modules = []
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
            modules.append(importlib.util.module_from_spec(spec))
            patch.setitem(sys.modules, name, modules[-1])
            spec.loader.exec_module(modules[-1])
    return modules


keys, rules, build = load("keys", "rules", "build")


def shipped(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows():
    with (FOLDER / "texts.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def class_keys(rows):
    """The keys of each class's terms."""
    found = defaultdict(list)
    for row in rows:
        found[row["label"]].append(frozenset(keys.key(row["text"])))
    return found


@pytest.fixture(scope="module")
def classes():
    return shipped("classes.json")


@pytest.fixture(scope="module")
def label_of(classes):
    """The class of each node, those of the classes that were left out included."""
    return {number: label for label, entry in classes.items() for number in entry["nodes"]}


# --- the shipped files ---


def test_the_files_are_those_that_were_hashed():
    sums = dict(line.split("  ")[::-1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    episodes = ["test_episodes_01_5way.safetensors", "test_episodes_01_allway.safetensors"]
    assert sorted(sums) == ["class_splits.json", "classes.json", "label_names.json", *episodes, "texts.tsv"]
    for name, digest in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("ways", [5, None])
def test_the_shipped_episodes_are_those_that_the_fixed_seed_draws(ways):
    task = load_bundled("medical_terms")
    shipped = load_episodes(shipped_file(FOLDER, task, ways), task)
    drawn = draw(task, EpisodeRequest("test", ways, shots=10, queries=15, episodes=600))
    assert shipped.sha256() == drawn.sha256()


def test_the_texts_are_sorted_and_plain(rows):
    assert len(rows) == 9076
    assert list(rows[0]) == ["text", "label", "synonyms", "mesh_id", "tree_numbers"]
    assert rows == sorted(rows, key=lambda row: (row["label"], row["text"]))
    data = (FOLDER / "texts.tsv").read_bytes()
    assert b"\r" not in data
    assert b'"' not in data


def test_every_label_has_a_name_in_reading_order(rows):
    names = shipped("label_names.json")
    assert list(names) == sorted({row["label"] for row in rows})
    assert len(names) == len(set(names.values())) == 95
    assert names["Psychology, Social"] == "Social Psychology"


# --- the rules, on the shipped files ---


def test_rule_1_tree_numbers_are_in_the_branches(rows, label_of):
    assert all(rules.in_branches(number) for row in rows for number in row["tree_numbers"].split("|"))
    assert all(rules.in_branches(number) for number in label_of)


def test_rule_2_a_class_is_a_minimal_node_with_80_headings(rows, classes, label_of):
    nodes = [node for entry in classes.values() for node in entry["nodes"].values()]
    assert all(node["headings"] >= 80 > node["largest_below"] for node in nodes)
    assert not any(above in label_of for number in label_of for above in rules.ancestors(number))
    below = defaultdict(set)
    for row in rows:
        for number in row["tree_numbers"].split("|"):
            for above in rules.ancestors(number):
                below[above].add(row["mesh_id"])
    for label, entry in classes.items():
        for number, node in entry["nodes"].items():
            assert len(below[number]) <= node["headings"], (label, number)


def test_rule_3_terms_are_turned_headings_one_for_each_descriptor(rows):
    assert len({row["mesh_id"] for row in rows}) == len({row["text"].casefold() for row in rows}) == len(rows)
    assert all(1 <= len(row["text"].split()) <= 10 for row in rows)
    assert [row["text"] for row in rows if keys.turned(row["text"]) != row["text"]] == []


def test_rule_3_class_names_are_never_terms(rows, classes):
    names = {keys.key(label) for label in classes}
    assert not [row["text"] for row in rows if keys.key(row["text"]) in names]


def test_rule_3_synonyms_say_it_in_other_words(rows):
    term_keys = {keys.key(row["text"]) for row in rows}
    labels = defaultdict(set)
    for row in rows:
        found = [keys.key(synonym) for synonym in row["synonyms"].split("|") if synonym]
        assert len(found) == len(set(found)) <= 6
        assert not term_keys & set(found)
        for synonym in found:
            labels[synonym].add(row["label"])
    assert all(len(found) == 1 for found in labels.values())


def test_rule_4_a_descriptor_is_under_one_class_only(rows, label_of):
    for row in rows:
        assert rules.labels_above(row["tree_numbers"].split("|"), label_of) == [row["label"]], row["text"]


def test_rule_4_no_key_stands_in_two_classes(class_keys):
    counts = Counter(key for found in class_keys.values() for key in set(found))
    assert set(counts.values()) == {1}
    assert frozenset() not in counts


def test_rule_5_no_near_duplicates_within_a_class(class_keys):
    for label, found in class_keys.items():
        near = [pair for pair in combinations(found, 2) if 4 * len(pair[0] & pair[1]) >= 3 * len(pair[0] | pair[1])]
        assert near == [], label


def test_rule_6_no_stem_gives_a_class_away(class_keys):
    for label, found in class_keys.items():
        stem, count = Counter(stem for key in found for stem in key).most_common(1)[0]
        assert 5 * count <= len(found), (label, stem)


def test_rule_6_every_class_has_50_terms(rows, classes):
    counts = Counter(row["label"] for row in rows)
    assert min(counts.values()) >= 50
    assert {label: entry["terms"] for label, entry in classes.items() if entry["terms"]} == counts


def test_rule_7_the_classes_are_split_60_20_20_over_the_branches(classes):
    splits = shipped("class_splits.json")["01"]
    assert {name: len(labels) for name, labels in splits.items()} == {"train": 57, "valid": 19, "test": 19}
    branch_of = {label: min(entry["nodes"])[0] for label, entry in classes.items() if entry["terms"]}
    assert sorted(label for labels in splits.values() for label in labels) == sorted(branch_of)
    sizes = Counter(branch_of.values())
    for name, share in (("train", 0.6), ("valid", 0.2), ("test", 0.2)):
        found = Counter(branch_of[label] for label in splits[name])
        assert all(abs(found[branch] - share * size) <= 1 for branch, size in sizes.items()), name


def test_rule_7_the_split_does_not_depend_on_the_order_of_the_classes(classes):
    pairs = [(label, min(entry["nodes"])[0]) for label, entry in classes.items() if entry["terms"]]
    random.Random(3).shuffle(pairs)
    assert rules.class_splits(dict(pairs)) == shipped("class_splits.json")["01"]


# --- the functions, on examples made by hand ---


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Neoplasms, Bone", "Bone Neoplasms"),
        ("Leukemia, Myeloid, Acute", "Acute Myeloid Leukemia"),
        ("Aqueous Humor", "Aqueous Humor"),
        ("2,4-Dichlorophenol", "2,4-Dichlorophenol"),
        ("Benzeneethanamine, 4-chloro-", "4-chloro-Benzeneethanamine"),
        ("Bites, Stings, and Burns", "Bites, Stings, and Burns"),
    ],
)
def test_turned(heading, expected):
    assert keys.turned(heading) == expected


# Examples of Porter's paper, one or more for each step.
# ruff: noqa: SIM905  (a list of words reads better as one string)
PORTER = """
    caresses caress ponies poni cats cat feed feed agreed agre plastered plaster bled bled motoring motor
    sing sing conflated conflat troubled troubl sized size hopping hop falling fall hissing hiss failing fail
    filing file happy happi sky sky relational relat conditional condit rational ration valenci valenc
    digitizer digit vietnamization vietnam operator oper feudalism feudal decisiveness decis
    triplicate triplic
    formative form electrical electr goodness good revival reviv adjustment adjust adoption adopt
    effective effect bowdlerize bowdler probate probat rate rate cease ceas controll control roll roll as as
""".split()


@pytest.mark.parametrize(("word", "expected"), list(zip(PORTER[::2], PORTER[1::2], strict=True)))
def test_stem(word, expected):
    assert keys.stem(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Neoplasms of the Bones", ("bone", "neoplasm")),
        ("Fracture, left femur, initial encounter", ("femur", "fractur")),
        ("Glycogen Storage Disease Type II", ("diseas", "glycogen", "storag")),
        ("Alzheimer's Disease", ("alzheim", "diseas")),
        ("Sjögren Syndrome", ("sjogren", "syndrom")),
        ("Disease of diseases", ("diseas",)),
        ("5-HT1A, 12", ("ht1a",)),
        ("The other two", ()),
    ],
)
def test_key(text, expected):
    assert keys.key(text) == expected


def test_jaccard():
    assert keys.jaccard(("a", "b", "c"), ("a", "b", "c", "d")) == 0.75
    assert keys.jaccard(("a",), ("b",)) == 0.0
    assert keys.jaccard((), ()) == 0.0


def test_in_branches_compares_whole_steps_of_the_tree():
    assert rules.in_branches("C04.588")
    assert rules.in_branches("B01.300")
    assert rules.in_branches("N06.230")
    assert not rules.in_branches("B01.3001.5")
    assert not rules.in_branches("B01.050")
    assert not rules.in_branches("N03.219")


def descriptors(*tree_numbers):
    return [rules.Descriptor(f"D{n}", f"Heading {n}", (), (number,)) for n, number in enumerate(tree_numbers)]


def test_class_nodes_are_minimal_and_do_not_count_themselves():
    wide = [f"A01.100.{n:03d}" for n in range(80)]
    short = [f"A01.200.{n:03d}" for n in range(79)]
    found = rules.class_nodes(descriptors("A01", "A01.100", "A01.200", *wide, *short))
    assert found == [rules.Node("A01.100", "Heading 1", 80, 0)]
    found = rules.class_nodes(descriptors("A01", "A01.100", "A01.200", *wide[1:], *short))
    assert found == [rules.Node("A01", "Heading 0", 160, 79)]


def terms(*texts):
    return [
        rules.Term(text, "Class", keys.key(text), rules.Descriptor(f"D{n}", text, (), ()))
        for n, text in enumerate(texts)
    ]


def test_the_first_of_near_duplicates_stays():
    near = terms("Acute Liver Failure", "Liver Failure", "Liver Failures, Acute", "Failure of Liver")
    assert [term.text for term in rules.without_near_duplicates(near)] == [
        "Acute Liver Failure",
        "Liver Failure",
    ]


def test_a_giveaway_stem_is_thinned_out_to_a_fifth():
    given = terms(*(f"virus w{n}x" for n in range(6)), *(f"y{n}z" for n in range(8)))
    kept = rules.without_giveaway_stems(given)
    assert sum("viru" in term.key for term in kept) == 2
    assert len(kept) == 10
    assert rules.without_giveaway_stems(kept) == kept


def test_shared_keys_leave_both_classes():
    one, other = terms("Bone Pain", "Pains of bone")
    assert rules.without_shared_keys([one, other]) == [one, other]
    assert rules.without_shared_keys([one, other._replace(label="Another")]) == []


def test_synonyms_are_neither_permutations_nor_ambiguous():
    entry = ("Failure, Liver", "Hepatic Insufficiency", "Insufficiencies, Hepatic", "Jaundice", "Class")
    one, other = terms("Liver Failure", "Jaundices")
    one = one._replace(descriptor=one.descriptor._replace(entry_terms=entry))
    assert rules.synonyms([one, other]) == [["Hepatic Insufficiency"], []]


def test_the_source_is_parsed_in_its_branches_only():
    source = "D1\tBone, Long\tLong Bones|Bones, Long\tZ01.1|A02.2|A02.1\t\nD2\tAfrica\t\tZ01.058\t\n"
    assert build.parse(source) == [
        rules.Descriptor("D1", "Bone, Long", ("Long Bones", "Bones, Long"), ("A02.1", "A02.2"))
    ]


def test_another_source_is_refused(tmp_path):
    (tmp_path / "mesh.tsv").write_text("D1\tBone\t\tA02\t\n")
    with pytest.raises(ValueError, match=r"has SHA-256 [0-9a-f]{64}, but 23166134e2b9.* was expected\. Pass --source"):
        build.read_source(tmp_path / "mesh.tsv")


@pytest.mark.parametrize("module", [keys, rules], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
