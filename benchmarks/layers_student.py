"""Make a general student of MiniLM: some of its layers, which learn the features of all six; and say which layers.

    python -m benchmarks.layers_student --data DIR --out FOLDER [--layers 0 5] [--minutes 40]
    python -m benchmarks.layers_student --data DIR --choose
    FEWSHOT_DATA=DIR python -m benchmarks.layers_student --out FOLDER --compare [--layers 0 5]

DIR holds `text/*.txt.gz`, a text a line, and `meta_sources/*/texts.jsonl`; the sources are those of
`benchmarks.deepseek_small`, and of labelled ones only the texts: none of banking77, clinc150 or medical_terms. Word
embeddings stay the published ones; the kept layers start from the published ones and learn the hidden states, and the
means over tokens, of MiniLM's last layer and of the shallow one beside it. A training that was stopped goes on from the
checkpoint in FOLDER; with more `--minutes` than it has had its rate rises again. At the end FOLDER/model holds the
weights in 8 bits, for `encoder.layers=[0,5] encoder.weights=FOLDER/model`.

`--choose` compares choices of two and three layers before any training, on texts that nothing else uses (sgd_intents)
and on terms of WordNet: how near the means of their hidden states come to the teacher's by one linear map, fitted to
500 of 700 texts and measured on the others.

`--compare` measures the weights in FOLDER/model beside MiniLM, as `benchmarks.int8` does: the nearest centroid of 10
texts a class, all classes, and texts per second in turn; the weights compute in what `encoder.dtype=int8` chooses.
"""

import argparse
import itertools
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.deepseek_small import HELD_OUT, SOURCES, load_teacher, read_lines, train
from benchmarks.experiments import load
from benchmarks.int8 import N_TIMED, TASKS, hits
from benchmarks.pretraining.corpus import Corpus, Mixture, Tokens
from benchmarks.pretraining.deepseek import layer_states, pooled
from benchmarks.pretraining.trainer import Distillation, Pair, Schedule
from benchmarks.record import record
from fewshot.distill import Accuracies
from fewshot.encoders import Encoder, Full, SentenceTransformerEncoder, TrainableEncoder
from fewshot.encoders.layers import find_stack, keep_layers
from fewshot.encoders.source import SHALLOW_LAYER
from fewshot.encoders.trained import write_trained
from fewshot.storage import write_json

MIXTURE = Mixture(max_tokens=32)  # short texts, as those of tasks are
CHOICE_TEXTS = ("sgd_intents", "wordnet_terms")
N_EACH, N_FITTED, RIDGE = 350, 500, 1.0
ROUNDS = 5  # of timing


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train and write the weights, or compare choices of layers; gives what is written or recorded."""
    chosen = parser().parse_args(arguments)
    if chosen.data is None and not chosen.compare:
        parser().error("--data is missing")
    if chosen.choose:
        rows = choices(chosen.data, chosen.seed)
        record("layers_choice", "python -m benchmarks.layers_student --data DIR --choose", rows, seed=chosen.seed)
        return {"rows": rows}
    if chosen.compare:
        rows = compared(chosen.out / "model", chosen.layers)
        training = json.loads((chosen.out / "model" / "training.json").read_text("utf-8"))
        command = "FEWSHOT_DATA=DIR python -m benchmarks.layers_student --out FOLDER --compare"
        record("layers_student", command, rows, training=training)
        return {"rows": rows}
    teacher, tokenizer = load_teacher(None)
    lines = read_lines(chosen.data, chosen.sources)
    corpus = Corpus.from_lines(lines, tokenizer, torch.Generator().manual_seed(chosen.seed))
    corpus, held_out = corpus.held_out(min(HELD_OUT, len(lines) // 10))
    start = SentenceTransformerEncoder(layers=chosen.layers, dtype="float32", cache=None)
    training = distillation(chosen, teacher, start, corpus)
    log = train(training, held_out, chosen.out / "checkpoint.safetensors", chosen.report_every, 120)
    summary = {
        "layers": list(chosen.layers),
        "steps": training.step,
        "texts": training.texts,
        "seconds": round(training.seconds, 1),
        "held_out_cosine": round(training.held_out_cosine(held_out), 5),
        "seed": chosen.seed,
        "log": log,
    }
    write_student(training.student, start, chosen.out / "model", summary)
    return summary


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="for all but --compare")
    parser.add_argument("--out", type=Path, default=Path("outputs") / "layers_student")
    parser.add_argument("--choose", action="store_true", help="compare choices of layers, and train nothing")
    parser.add_argument("--compare", action="store_true", help="measure what was trained, and train nothing")
    parser.add_argument("--sources", nargs="+", default=list(SOURCES))
    parser.add_argument("--layers", nargs="+", type=int, default=[0, 5])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=40.0, help="an earlier end")
    parser.add_argument("--report-every", type=int, default=100, help="steps")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def distillation(chosen: argparse.Namespace, teacher: nn.Module, start: Encoder, corpus: Corpus) -> Distillation:
    """The training that the command line asks for, in bfloat16, of the kept layers alone."""
    student, _ = load_teacher(None)
    keep_layers(student, chosen.layers, "MiniLM")
    for module in student.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    student.requires_grad_(False)
    for layer in find_stack(student).layers:
        layer.requires_grad_(True)
    schedule = Schedule(chosen.steps, chosen.batch, chosen.minutes, chosen.rate, chosen.warmup)
    shallow = (len(chosen.layers) + 1) // 2  # as `Shallow.of`
    pairs = (Pair(-1, -1, 1.0), Pair(shallow, SHALLOW_LAYER, start.shallow_weight))
    return Distillation(student, teacher.to(torch.bfloat16), corpus, schedule, MIXTURE, seed=chosen.seed, pairs=pairs)


def write_student(student: nn.Module, start: Encoder, folder: Path, summary: dict[str, Any]) -> None:
    """Write the layers in 8 bits as trained weights of an encoder, and what became of the training."""
    trainable = TrainableEncoder(start, Full(), seen={"task": "general texts without labels"})
    layers = zip(find_stack(trainable.backbone).layers, find_stack(student).layers, strict=True)
    for place, trained in layers:
        place.load_state_dict(trained.float().state_dict())
    weights = trainable.trained_weights().rounded(torch.int8)
    write_trained(folder, weights, start.settings())
    write_json(folder / "training.json", summary | {"digest": weights.digest})
    print(json.dumps({name: value for name, value in summary.items() if name != "log"}), flush=True)


def compared(folder: Path, layers: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each task: MiniLM, the student, the paired difference, and texts per second of both."""
    teacher = SentenceTransformerEncoder(cache=None)
    student = SentenceTransformerEncoder(layers=layers, weights=folder, dtype="int8", cache=None)
    rows = []
    for task in TASKS:
        accuracies = Accuracies.of(hits(teacher, task), hits(student, task))
        texts = load(task).texts[:N_TIMED]
        seconds: dict[Encoder, list[float]] = {teacher: [], student: []}
        for encoder in [teacher, student] * ROUNDS:
            started = time.process_time()
            encoder.compute(texts)
            seconds[encoder].append(time.process_time() - started)
        row = {"task": task, "MiniLM": 100 * accuracies.teacher, "student": 100 * accuracies.student}
        row |= {"difference": accuracies.difference.percent(sign=True)}
        row |= {"texts/s": len(texts) / min(seconds[student])}
        rows.append({**row, "times MiniLM": min(seconds[teacher]) / min(seconds[student])})
        print(*rows[-1].values(), flush=True)
    return rows


def choices(data: Path, seed: int) -> list[dict[str, Any]]:
    """A row for each choice of two and of three layers, the nearest to the teacher first."""
    model, tokenizer = load_teacher(None)
    draw, texts = random.Random(seed), list[str]()
    for name in CHOICE_TEXTS:
        lines = (data / "meta_sources" / name / "texts.jsonl").read_text("utf-8").splitlines()
        texts += draw.sample([json.loads(line)["text"] for line in lines], N_EACH)
    draw.shuffle(texts)
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
    tokens = Tokens(encoded["input_ids"], encoded["attention_mask"].bool())
    with torch.inference_mode():
        targets = layer_states(model, tokens, (-1, SHALLOW_LAYER))
        rows = []
        for count in (2, 3):
            for layers in itertools.combinations(range(len(find_stack(model).layers)), count):
                student, _ = load_teacher(None)
                keep_layers(student, layers, "MiniLM")
                states = layer_states(student.eval(), tokens, (-1, (count + 1) // 2))
                last, shallow = (cosine(*pair, tokens) for pair in zip(states, targets, strict=True))
                rows.append({"layers": str(list(layers)), "last layer": last, "shallow layer": shallow})
    return sorted(rows, key=lambda row: (len(row["layers"]), -row["last layer"]))


def cosine(states: Float[Tensor, "n t d"], targets: Float[Tensor, "n t d"], tokens: Tokens) -> float:
    """Mean cosine of the texts' means, after the linear map of tokens that is nearest to the targets."""
    fitted, rest = slice(None, N_FITTED), slice(N_FITTED, None)
    inputs = nn.functional.pad(states, (0, 1), value=1.0)
    rows, wanted = inputs[fitted][tokens.mask[fitted]], targets[fitted][tokens.mask[fitted]]
    best = torch.linalg.solve(rows.T @ rows + RIDGE * torch.eye(rows.shape[1]), rows.T @ wanted)
    found, expected = (pooled(hidden[rest], tokens.mask[rest]) for hidden in (inputs @ best, targets))
    return float(torch.cosine_similarity(found, expected).mean())


if __name__ == "__main__":
    main()
