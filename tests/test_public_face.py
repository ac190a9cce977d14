"""`import fewshot`: fast, and with everything a user needs; and what a wheel holds."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fewshot

ROOT = Path(__file__).parent.parent
HEAVY = (
    *("transformers", "nltk", "hydra", "matplotlib", "sentence_transformers", "torch", "numpy", "scipy", "sklearn"),
    *("accelerate", "peft", "tensorboard"),
)


def in_a_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_pulls_in_nothing_heavy():
    loaded = json.loads(in_a_new_process("import fewshot, json, sys; print(json.dumps(sorted(sys.modules)))"))

    assert [name for name in HEAVY if name in loaded] == []


def test_import_takes_milliseconds():
    code = "import time; start = time.process_time(); import fewshot; print(time.process_time() - start)"

    assert min(float(in_a_new_process(code)) for _ in range(3)) < 0.05


def test_the_core_loads_neither_hydra_nor_transformers():
    code = "import sys, fewshot; fewshot.run_experiment, fewshot.load_folder, fewshot.SentenceTransformerEncoder; "
    loaded = in_a_new_process(code + "print(*sorted(sys.modules))").split()

    assert "torch" in loaded
    assert [name for name in ("hydra", "transformers", "sentence_transformers", "matplotlib") if name in loaded] == []


@pytest.mark.parametrize("name", fewshot.__all__)
def test_every_public_name_is_there(name):
    assert getattr(getattr(fewshot, name), "__name__", name) == name
    assert name in dir(fewshot)


def test_a_public_name_is_the_object_itself():
    from fewshot.recipe import Recipe
    from fewshot.tasks import Task

    assert fewshot.Task is Task
    assert fewshot.Recipe is Recipe


def test_there_are_few_names_each_listed_once():
    stub = (ROOT / "fewshot" / "__init__.pyi").read_text(encoding="utf-8")
    names = re.findall(r" as (\w+)$", stub, re.MULTILINE)

    assert sorted(names) == sorted(fewshot.__all__)
    assert len(names) == len(set(names)) <= 26


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="fewshot attribute Tusk"):
        fewshot.Tusk  # noqa: B018


def test_the_version_is_that_of_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert fewshot.__version__ == project["version"]


@pytest.mark.slow
def test_a_wheel_holds_configs_and_bundled_tasks(tmp_path):
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"fewshot/_shipped/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert "fewshot/_shipped/conf/run.yaml" in configs
    assert configs <= names
    assert "fewshot/_shipped/episodes/medical_terms/texts.tsv" in names
    assert {"fewshot/_shipped/samples/mails.csv", "fewshot/_shipped/samples/new_mails.csv"} <= names
    weights = {"config.json", "model.safetensors", "tokenizer.json", "NOTICE.md"}
    assert {f"fewshot/_shipped/weights/deepseek_small/{name}" for name in weights} <= names
    assert {"fewshot/py.typed", "fewshot/run.py"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".pkl", ".pt", ".bin"))]
    assert not [name for name in names if name.startswith("tests/")]
