"""What the README tells a reader to type runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.markdown import blocks, commands, copy_samples, run_command

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = commands(README)


def test_the_readme_is_short_and_has_commands():
    assert len(README.splitlines()) < 136
    assert len(COMMANDS) >= 4


def test_every_target_of_make_that_it_names_exists():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.slow
def test_the_commands_run_in_order(tmp_path):
    folder = tmp_path / "my_texts"
    folder.mkdir()
    words = {"fruit": "apple", "tool": "hammer", "bird": "sparrow", "fish": "trout", "tree": "oak", "metal": "iron"}
    words |= {f"{kind} ware": f"{kind} {word}" for kind in ("glass", "paper", "wood") for word in ("box",)}
    words |= {f"class {letter}": f"{letter} thing" for letter in "abcdefghijklmnopqrstuvw"}
    rows = [{"text": f"{word} number {n}", "label": label} for label, word in words.items() for n in range(25)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    copy_samples(tmp_path)
    for command in COMMANDS:
        if "task=hub" in command or "banking77" in command:  # needs the network
            continue
        if command.startswith("fewshot serve"):
            assert "Listening on http://127.0.0.1" in until_it_listens(f"{command} --port 0", tmp_path)
            continue
        done = run_command(command, tmp_path)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if not command.startswith(("fewshot fit", "fewshot predict", "fewshot distill", "fewshot export")):
            assert "accuracy %" in done.stdout, command
    assert (tmp_path / "labelled.csv").read_text(encoding="utf-8").count("\n") == 9


def until_it_listens(command, folder):
    """What a server says until it listens; then it is stopped."""
    typed = [sys.executable, "-m", *command.split()]
    with subprocess.Popen(typed, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        said = ""
        for line in server.stdout:
            said += line
            if line.startswith("Listening"):
                server.terminate()
    assert server.returncode == 0, said
    return said


@pytest.mark.slow
def test_the_python_examples_run_one_after_the_other(tmp_path):
    code = "".join(blocks(README, "python"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['card']\n")
    assert "with a probability of" in done.stdout
    assert (tmp_path / "my_classifier" / "README.md").is_file()


@pytest.mark.slow
def test_the_table_is_that_of_the_main_job(tmp_path):
    command = next(command for command in re.findall(r"`python -m ([^`]*)`", README) if "shots=5" in command)
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    results = json.loads(next((tmp_path / "outputs").rglob("results.json")).read_text(encoding="utf-8"))
    accuracy = results["accuracy"]
    assert f"attention_prototypical    │ {100 * accuracy['mean']:.1f} ± {100 * accuracy['ci95']:.1f} │" in README
    assert "accuracy %" in done.stdout
