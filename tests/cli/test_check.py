"""Simple mistakes are refused before torch is imported."""

import json
import subprocess
import sys

TASK = "task=medical_terms"
CASES = [
    ([], "No task was named"),
    (["task=folder", "task.path=/no/such/folder"], "'/no/such/folder' does not exist"),
    (["task=folder", "task.path={empty}"], "has no texts file"),
    (["task=folder", "task.path={folder}", "task.label_column=class"], "has no column 'class'"),
    ([TASK, "shots=-1"], "Got shots=-1"),
    ([TASK, "training.steps=-1"], "Got training.steps=-1"),
    ([TASK, "learner=maml", "learner.inner_lr=-1"], "Got learner.inner_lr=-1, expected 0 or more."),
    ([TASK, "encoder.max_length=-3"], "Got encoder.max_length=-3"),
    ([TASK, "adaptation.lora.epochs=-0.5"], "Got adaptation.lora.epochs=-0.5"),
    ([TASK, "adaptation.lora.trainable.rank=-1"], "Got adaptation.lora.trainable.rank=-1"),
    ([TASK, "shotss=3"], "Did you mean shots?"),
    ([TASK, "learner=ridgee"], "Did you mean ridge?"),
    ([TASK, "baselines=[ridgee]"], "Got baselines=[ridgee]"),
    ([TASK, "shots=five"], "Got shots=five"),
    ([TASK, "ladder.lora_above=5"], "out of order"),
]
CODE = """
import json, sys
from fewshot.run import main
for typed in json.loads(sys.argv[1]):
    status = main(typed)
    print(json.dumps({"status": status, "torch": "torch" in sys.modules}), flush=True)
    print("-----", file=sys.stderr, flush=True)
"""


def test_simple_mistakes_are_refused_without_torch(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    row = json.dumps({"text": "a bear", "label": "bear"})
    (tmp_path / "folder" / "texts.jsonl").write_text(row + "\n", encoding="utf-8")
    places = {name: tmp_path / name for name in ("empty", "folder")}
    typed = [[word.format(**places) for word in words] for words, _ in CASES]

    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(typed)], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    for (words, said), outcome, message in zip(CASES, outcomes, done.stderr.split("-----\n")[:-1], strict=True):
        assert outcome == {"status": 2, "torch": False}, (words, message)
        assert said in message, words
