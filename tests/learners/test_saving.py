import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS, Support, load_learner, save_learner
from fewshot.meta_model import MetaModel
from tests.fakes import FakeEncoder
from tests.synthetic import primed, random_support

DIM = 6
ARGUMENTS = {
    "centroid": {"scale": 5.0},
    "logistic": {"C": 2.0, "steps": 50},
    "ridge": {"penalty": 0.5, "scale": 3.0},
    "prototypical": {"scale": 9.0},
    "attention_prototypical": {"scale": 9.0, "query_attention": False},
    "maml": {"inner_lr": 0.03, "rates": "per_layer_and_step", "hidden": 5, "adapts": "network"},
}
# Loads each learner, and writes its logits for the support beside it.
_READER = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
from fewshot.learners import Support, load_learner
home = Path(sys.argv[1])
given = load_file(home / "given")
support = Support(given["features"], given["mask"].bool(), given["names"])
for folder in home.iterdir():
    if folder.is_dir():
        learner = load_learner(folder)
        logits = learner.adapt(support).logits(given["query"])
        save_file({"logits": logits.detach().contiguous(), "temperature": learner.temperature}, folder / "found")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of saved learners, each with what a fresh process found, and the learners themselves."""
    home = tmp_path_factory.mktemp("learners")
    support, query = random_support()
    given = {"features": support.features, "mask": support.mask, "names": support.label_names, "query": query}
    save_file(given, home / "given")
    learners = {name: primed(name, DIM, **arguments) for name, arguments in ARGUMENTS.items()}
    for name, learner in learners.items():
        learner.temperature.fill_(1.25)
        save_learner(learner, home / name, details={"task": "small"})
    subprocess.run([sys.executable, "-c", _READER, str(home)], check=True, timeout=120)
    return home, learners


@pytest.mark.parametrize("name", LEARNERS)
def test_a_fresh_process_finds_identical_logits(saved, name):
    home, learners = saved
    support, query = random_support()
    found = load_file(home / name / "found")
    assert torch.equal(found["logits"], learners[name].adapt(support).logits(query).detach())
    assert float(found["temperature"]) == 1.25


@pytest.mark.parametrize("name", LEARNERS)
def test_the_folder_holds_json_and_safetensors_and_nothing_else(saved, name):
    folder = saved[0] / name
    assert {path.name for path in folder.iterdir()} == {"learner.json", "learner.safetensors", "found"}
    content = json.loads((folder / "learner.json").read_text())
    assert content["class"] == LEARNERS[name].__name__
    assert content["details"] == {"task": "small"}
    assert content["arguments"].items() >= {"dim": DIM, **ARGUMENTS[name]}.items()
    assert set(load_file(folder / "learner.safetensors")) == set(LEARNERS[name](DIM, **ARGUMENTS[name]).state_dict())


def test_switches_come_back(saved):
    loaded = load_learner(saved[0] / "attention_prototypical")
    assert not loaded.query_weight.requires_grad
    assert loaded.agreement_weight.requires_grad


def edit(folder, **changes):
    path = folder / "learner.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "no json": lambda folder: (folder / "learner.json").unlink(),
    "no weights": lambda folder: (folder / "learner.safetensors").unlink(),
    "half a json": lambda folder: (folder / "learner.json").write_text('{"class": "Proto'),
    "json of another kind": lambda folder: (folder / "learner.json").write_text("[1]"),
    "json that is no text": lambda folder: (folder / "learner.json").write_bytes(b"\xff\xfe\x00"),
    "half the weights": lambda folder: (folder / "learner.safetensors").write_bytes(
        (folder / "learner.safetensors").read_bytes()[:100]
    ),
    "an unknown class": lambda folder: edit(folder, **{"class": "os.system"}),
    "unknown arguments": lambda folder: edit(folder, arguments={"dim": DIM, "depth": 3}),
    "weights of another size": lambda folder: edit(folder, arguments={"dim": DIM + 1}),
    "arguments out of range": lambda folder: edit(folder, arguments={"dim": DIM, "scale": -1.0}),
    "a missing tensor": lambda folder: save_file({"temperature": torch.ones(())}, folder / "learner.safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_named(tmp_path, damage):
    folder = tmp_path / "mine"
    save_learner(primed("prototypical", DIM), folder)
    damage(folder)
    with pytest.raises(ConfigError) as caught:
        load_learner(folder)
    assert str(caught.value).startswith(f"{str(folder)!r} holds no learner that can be read (")
    assert "Run the training again." in str(caught.value)


def test_saving_again_replaces_what_was_there(tmp_path):
    save_learner(primed("prototypical", DIM), tmp_path)
    newer = primed("ridge", DIM, penalty=0.25)
    save_learner(newer, tmp_path)
    support, query = random_support()
    bare = Support(support.features, support.mask)
    assert torch.equal(load_learner(tmp_path).adapt(bare).logits(query), newer.adapt(bare).logits(query))
    assert len(list(tmp_path.iterdir())) == 2


def test_an_encoder_of_other_features_is_refused(tmp_path):
    encoder, other = FakeEncoder(dim=DIM), FakeEncoder(dim=2 * DIM)
    save_learner(primed("prototypical", DIM), tmp_path, encoder)
    assert load_learner(tmp_path, encoder).trained_on == encoder.fingerprint
    with pytest.raises(ConfigError, match="trained on features of an encoder with the fingerprint"):
        load_learner(tmp_path, other)
    loaded = load_learner(tmp_path)
    MetaModel(encoder, loaded)
    with pytest.raises(ConfigError, match="The learner was trained on features of an encoder"):
        MetaModel(other, loaded)


def test_tensors_of_another_saving_are_refused(tmp_path):
    save_learner(primed("prototypical", DIM, scale=9.0), tmp_path / "a")
    save_learner(primed("prototypical", DIM, scale=5.0), tmp_path / "b")
    (tmp_path / "b" / "learner.safetensors").replace(tmp_path / "a" / "learner.safetensors")
    with pytest.raises(ConfigError, match="were not written together"):
        load_learner(tmp_path / "a")
