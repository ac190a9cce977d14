"""`fewshot serve` under load on one machine, client and server side by side.

FEWSHOT_DATA=DIR python -m benchmarks.serving [--model NAME=FOLDER ...] [--rounds 3] [--seconds 8]
FEWSHOT_DATA=DIR python -m benchmarks.serving --minutes 10

The texts are those of banking77 that have 13 tokens, one a request. By default the classifier is MiniLM's, of 10 texts
of each of the 77 labels, stage `prototypes`; others come as folders. *Most*: requests a second by `wrk` with 32
clients, each of which asks again once it is answered; a server that computes each text by itself, and the HTTP stack
alone, take turns with it; *by CPU* they count for a CPU second of the server, which a machine that others use as well
distorts less. *Latency*: requests at 70 % of that come as a Poisson process, and count from when they were
due. *Cold*: CPU seconds of the process from its start to its first answer. With `--minutes` in place of these: that
long at 120 %, then the process is killed and started again; memory is that of the process, every 5 seconds.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.open_loop import NO_ANSWER, NOT_SENT, Client
from benchmarks.record import record
from fewshot.serving.audit import read_audit

_CLIENTS, _TOKENS = 32, 13
_SHOTS = 10
_SHARE, _OVERLOAD = 0.7, 1.2
_UNANSWERED = (NO_ANSWER, NOT_SENT)
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", default=[], help="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--minutes", type=float)
    arguments = parser.parse_args()
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is a file, here and there
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        bodies = bodies_of_texts()
        models = dict(one.split("=", 1) for one in arguments.model) or {"MiniLM": str(fitted(home / "minilm"))}
        if arguments.minutes is not None:
            name, model = next(iter(models.items()))
            row = {"model": name, **asyncio.run(soaked(model, bodies, arguments.minutes, home))}
            record("serving_soak", f"python -m benchmarks.serving --minutes {arguments.minutes:g}", [row])
            return
        rows = [
            {"model": name, **measured(Path(model), bodies, arguments.rounds, arguments.seconds, home)}
            for name, model in models.items()
        ]
    command = " ".join(["python -m benchmarks.serving", *(f"--model {name}=..." for name in models)])
    record("serving", command, rows, clients=_CLIENTS, rounds=arguments.rounds, seconds=arguments.seconds)


def bodies_of_texts() -> list[bytes]:
    """Bodies of requests of one text of 13 tokens each."""
    from fewshot.encoders import SentenceTransformerEncoder

    path = Path(os.environ["FEWSHOT_DATA"]) / "banking77" / "texts.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    tokens = SentenceTransformerEncoder().tokenize(texts)["attention_mask"].sum(1).tolist()
    return [json.dumps({"texts": text}).encode() for text, n in zip(texts, tokens, strict=True) if n == _TOKENS]


def fitted(folder: Path) -> Path:
    """The folder of a classifier of banking77."""
    from fewshot.classifier import FewShotClassifier

    path = Path(os.environ["FEWSHOT_DATA"]) / "banking77" / "texts.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    seen, kept = Counter[str](), []
    for row in rows:
        seen[row["label"]] += 1
        if seen[row["label"]] <= _SHOTS:
            kept.append(row)
    classifier = FewShotClassifier(adapter=None, stage="prototypes")
    classifier.fit([row["text"] for row in kept], [row["label"] for row in kept]).save_pretrained(folder)
    return folder


def measured(model: Path, bodies: Sequence[bytes], rounds: int, seconds: float, home: Path) -> dict[str, Any]:
    """The figures of one model."""
    cold = statistics.median(cold_start(model, bodies[0]) for _ in range(rounds))
    script, found = wrk_script(home, bodies), dict[str, list[float]]()
    with server(str(model)) as batched, server(str(model), "--batch-tokens", "1") as single, server("--empty") as empty:
        for _ in range(rounds):
            for name, process in (("batched", batched), ("single", single), ("http", empty)):
                before = process.cpu_seconds()
                found.setdefault(name, []).append(most(process.port, script, seconds))
                spent = (process.cpu_seconds() - before) / seconds
                found.setdefault(f"{name} by CPU", []).append(found[name][-1] / spent)
        best = statistics.median(found["batched"])
        load = asyncio.run(Client(batched.port, bodies).run(_SHARE * best, 3 * seconds))
    return {
        "requests a second": best,
        "without batching": statistics.median(found["single"]),
        "ratio": statistics.median(a / b for a, b in zip(found["batched"], found["single"], strict=True)),
        "HTTP alone": statistics.median(found["http"]),
        "a CPU second": statistics.median(found["batched by CPU"]),
        "ratio by CPU": statistics.median(
            a / b for a, b in zip(found["batched by CPU"], found["single by CPU"], strict=True)
        ),
        "p50 ms at 70 %": load.percentile(50),
        "p99 ms at 70 %": load.percentile(99),
        "other statuses": sum(load.statuses.values()) - load.statuses[200],
        "cold CPU s": cold,
    }


async def soaked(model: str, bodies: Sequence[bytes], minutes: float, home: Path) -> dict[str, Any]:
    """Minutes at 120 % load, a kill at the end of it, and a minute more after a restart."""
    log = home / "audit.jsonl"
    with server(model, "--audit-log", str(log)) as process:
        best = most(process.port, wrk_script(home, bodies), 10.0)
        sizes = list[float]()
        watch = asyncio.create_task(_memory(process.pid, sizes))
        load = await Client(process.port, bodies).run(_OVERLOAD * best, 60 * minutes)
        watch.cancel()
        killed = asyncio.create_task(Client(process.port, bodies).run(best, 3.0))
        await asyncio.sleep(1.5)
        os.kill(process.pid, signal.SIGKILL)
        torn = await killed
    with server(model, "--audit-log", str(log)) as process:
        after = await Client(process.port, bodies).run(_SHARE * best, 10.0)
    written = list(read_audit(log))
    return {
        "minutes": minutes,
        "requests": sum(load.statuses.values()),
        "answered 200": load.statuses[200],
        "answered 429": load.statuses[429],
        "answered 503": load.statuses[503],
        "other answers": sum(n for status, n in load.statuses.items() if status not in (200, 429, 503, *_UNANSWERED)),
        "sent, no answer": load.statuses[NO_ANSWER],
        "no connection": load.statuses[NOT_SENT],
        "p99 ms": load.percentile(99),
        "MB after 1 minute": sizes[min(len(sizes) - 1, 12)],
        "MB at the end": sizes[-1],
        "MB at most": max(sizes),
        "MB by the minute": " ".join(f"{size:.0f}" for size in sizes[::12]),
        "in flight at the kill": torn.statuses[NO_ANSWER],
        "after the restart, 200": after.statuses[200],
        "after the restart, others": sum(after.statuses.values()) - after.statuses[200],
        "lines of the log": sum(line is not None for line in written),
        "half lines": sum(line is None for line in written),
    }


async def _memory(pid: int, sizes: list[float]) -> None:
    """Note the megabytes of a process every 5 seconds."""
    while True:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        await asyncio.sleep(5)


class Process:
    """A server that answers."""

    def __init__(self, *arguments: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        own = [one for one in arguments if not one.startswith("--")][:1] if arguments[0] != "--empty" else []
        rest = list(arguments[len(own) :])
        command = [sys.executable, "-m", "benchmarks.serving_process", *own, str(self.port), *rest]
        self.popen = subprocess.Popen(command)
        self.pid = self.popen.pid

    def first_answer(self, body: bytes) -> None:
        """Wait until a request is answered."""
        address = f"http://127.0.0.1:{self.port}/predict"
        while True:
            request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request) as answer:  # noqa: S310
                    answer.read()
                    return
            except OSError:
                if self.popen.poll() is not None:
                    raise
                time.sleep(0.05)

    def cpu_seconds(self) -> float:
        """CPU seconds of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def server(*arguments: str) -> Iterator[Process]:
    """A server in a process of its own."""
    process = Process(*arguments)
    try:
        process.first_answer(b'{"texts": "a text"}')
        yield process
    finally:
        process.popen.terminate()
        process.popen.wait()


def cold_start(model: Path, body: bytes) -> float:
    """CPU seconds from the start of a process to its first answer."""
    process = Process(str(model))
    try:
        process.first_answer(body)
        return process.cpu_seconds()
    finally:
        process.popen.terminate()
        process.popen.wait()


def wrk_script(home: Path, bodies: Sequence[bytes]) -> Path:
    """A script for wrk that sends the bodies in turn."""
    lines = ",\n".join(json.dumps(body.decode("ascii")) for body in bodies)
    path = home / "post.lua"
    path.write_text(
        f'local bodies = {{\n{lines}\n}}\nlocal place = 0\nwrk.method = "POST"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
        "request = function()\n  place = place % #bodies + 1\n  return wrk.format(nil, nil, nil, bodies[place])\nend\n",
        encoding="utf-8",
    )
    return path


def most(port: int, script: Path, seconds: float) -> float:
    """Requests a second of 32 clients by wrk."""
    command = ["wrk", "-t1", f"-c{_CLIENTS}", f"-d{seconds:g}s", "-s", str(script), f"http://127.0.0.1:{port}/predict"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(f"some requests failed:\n{said}")
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    assert found is not None
    return float(found[1])


if __name__ == "__main__":
    main()
