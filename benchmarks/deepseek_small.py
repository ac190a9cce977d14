"""Make the weights of `encoder=deepseek_small`: a small DeepSeek-V3 encoder that learns MiniLM's features.

    python -m benchmarks.deepseek_small --data DIR --out FOLDER [--minutes 7] [--device cuda] [--dense]

DIR holds `text/*.txt.gz`, a text a line, and `meta_sources/*/texts.jsonl`; only the sources named in `SOURCES` are
read, and of labelled ones only the texts. A training that was stopped goes on from the checkpoint in FOLDER. At the
end FOLDER/model holds the model, for `encoder=deepseek_small encoder.model=FOLDER/model`, and the SHA-256 of its
weights is printed: on the CPU, the same seed and steps repeat it.
"""

import argparse
import copy
import gzip
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.pretraining.corpus import Corpus
from benchmarks.pretraining.deepseek import deepseek_config, deepseek_student, fuse_norms
from benchmarks.pretraining.trainer import Distillation, LossWeights, Report, Schedule
from fewshot.encoders.row_int8 import WEIGHTS, write_packed
from fewshot.encoders.source import bundled_folder
from fewshot.storage import write_json

# All of them permissive: WordNet's licence, CC BY 4.0 (two), CC BY 2.0 FR, WordNet's, CC0 1.0.
SOURCES = ("wordnet", "medquad", "biomedical_sentences", "tatoeba_en", "wordnet_terms", "snips")
HELD_OUT = 2000  # lines
DENSE = {"first_k_dense_replace": 4, "intermediate_size": 832}  # as many active parameters, without a router


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, write the model's folder, and print and return what `training.json` in it says."""
    chosen = parser().parse_args(arguments)
    device = torch.device(chosen.device)
    teacher, tokenizer = load_teacher(chosen.teacher)
    lines = read_lines(chosen.data, chosen.sources)
    corpus = Corpus.from_lines(lines, tokenizer, torch.Generator().manual_seed(chosen.seed))
    corpus, held_out = corpus.to(device).held_out(min(HELD_OUT, len(lines) // 10))
    print(f"{len(corpus):,} lines, {len(corpus.tokens):,} tokens on {device_name(device)}", flush=True)
    training = distillation(chosen, teacher, tokenizer, corpus, device)
    log = train(
        training, held_out, chosen.out / "checkpoint.safetensors", chosen.report_every, 60 * chosen.save_minutes
    )
    return write_student(training, tokenizer, held_out, chosen.out / "model", {"seed": chosen.seed, "log": log})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=list(SOURCES))
    parser.add_argument("--teacher", type=Path, help="folder of a BERT model; default: the bundled MiniLM")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=3264)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="an earlier end")
    parser.add_argument("--save-minutes", type=float, default=10.0, help="between two checkpoints")
    parser.add_argument("--report-every", type=int, default=250, help="steps")
    parser.add_argument("--batch", type=int, default=Schedule.batch)
    parser.add_argument("--rate", type=float, default=Schedule.learning_rate)
    parser.add_argument("--warmup", type=int, default=Schedule.warmup, help="steps")
    parser.add_argument("--similarity", type=float, default=LossWeights.similarity)
    parser.add_argument("--tokens", type=float, default=LossWeights.tokens)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dense", action="store_true", help="layers of the same active size in place of experts")
    return parser


def load_teacher(folder: Path | None) -> tuple[nn.Module, Any]:
    """The teacher, float32 on the CPU, and its tokenizer."""
    from transformers import AutoModel, PreTrainedTokenizerFast

    folder = bundled_folder() if folder is None else folder
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="sdpa")
    return model, PreTrainedTokenizerFast.from_pretrained(folder)


def read_lines(data: Path, sources: Sequence[str]) -> list[str]:
    """Distinct lines of the sources, in their order."""
    lines: dict[str, None] = {}
    for name in sources:
        plain = data / "text" / f"{name}.txt.gz"
        if plain.is_file():
            with gzip.open(plain, "rt", encoding="utf-8") as file:
                texts = list(file)
        else:
            labelled = (data / "meta_sources" / name / "texts.jsonl").read_text(encoding="utf-8")
            texts = [json.loads(line)["text"] for line in labelled.splitlines()]
        lines |= dict.fromkeys(" ".join(text.split()) for text in texts)
    lines.pop("", None)
    return list(lines)


def distillation(
    chosen: argparse.Namespace, teacher: nn.Module, tokenizer: Any, corpus: Corpus, device: torch.device
) -> Distillation:
    """The training that the command line asks for, in bfloat16."""
    config = deepseek_config(len(tokenizer), tokenizer.pad_token_id, **(DENSE if chosen.dense else {}))
    student = deepseek_student(config, teacher, chosen.seed)
    fuse_norms(student)
    schedule = Schedule(chosen.steps, chosen.batch, chosen.minutes, chosen.rate, chosen.warmup)
    weights = LossWeights(chosen.similarity, chosen.tokens)
    rounded = copy.deepcopy(teacher).to(device, torch.bfloat16)
    return Distillation(student.to(device), rounded, corpus, schedule, weights=weights, seed=chosen.seed)


def train(
    training: Distillation, held_out: Corpus, checkpoint: Path, every: int, save_seconds: float
) -> list[dict[str, float]]:
    """Train from the checkpoint, if there is one, to the end; gives a line for each report."""
    if checkpoint.is_file():
        training.load(checkpoint)
    log: list[dict[str, float]] = []
    saved = time.monotonic()

    def report(state: Report) -> None:
        nonlocal saved
        cosine = training.held_out_cosine(held_out)
        seconds = round(state.seconds, 1)
        log.append({"step": state.step, "loss": state.loss, "held_out_cosine": cosine, "seconds": seconds})
        rate = state.texts / state.seconds
        print(
            f"step {state.step} loss {state.loss:.4f} cosine {cosine:.4f} {rate:,.0f} texts/s {seconds} s", flush=True
        )
        if time.monotonic() - saved > save_seconds:
            training.save(checkpoint)
            saved = time.monotonic()

    training.run(report, every)
    training.save(checkpoint)
    return log


def write_student(
    training: Distillation, tokenizer: Any, held_out: Corpus, folder: Path, details: dict[str, Any]
) -> dict[str, Any]:
    """Write an ordinary model folder with its weights in 8 bits, and what became of the training."""
    from safetensors.torch import load_file

    training.balance.reset()
    cosine = training.held_out_cosine(held_out)
    training.student.save_pretrained(folder)  # type: ignore[operator]
    write_packed(folder, load_file(folder / WEIGHTS))
    tokenizer.save_pretrained(folder)
    summary = {
        "steps": training.step,
        "texts": training.texts,
        "seconds": round(training.seconds, 1),
        "device": device_name(training.corpus.tokens.device),
        "held_out_cosine": round(cosine, 5),
        "expert_load": [[round(share, 4) for share in load.tolist()] for load in training.balance.loads()],
        "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
    }
    write_json(folder / "training.json", summary | details)
    print(json.dumps(summary), flush=True)
    return summary


def device_name(device: torch.device) -> str:
    """The name of the GPU, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
