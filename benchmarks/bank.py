"""A bank of adapters: what a switch takes, what ten adapters add to memory, and texts per second in a mixed batch.

    OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 OMP_NUM_THREADS=1 python -m benchmarks.bank

The bundled MiniLM with its own adapters, on the CPU. Memory is that of a fresh process; ten adapters are the three that
come with the package, each read again from its folder. Contestants take turns; peft has the same weights in the same
precision, and its own mixed batch (`adapter_names`) over our batches and pooling.
"""

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.encoding import read_texts, take_turns
from benchmarks.record import record, show_rows
from fewshot.adaptation import AdapterSwitch
from fewshot.bank import Bank, read_adapter, shipped_adapters
from fewshot.classifier import FewShotClassifier
from fewshot.encoders import Encoder, SentenceTransformerEncoder
from fewshot.encoders.tokens import in_batches
from fewshot.resources import shipped

N_TEXTS, ROUNDS = 1000, 5
N_SWITCHES = 2000
TEN = 10
MIXED: tuple[str | tuple[str, float], ...] = ("terms", "intents", "general", ("terms", 0.5))  # four different updates
FITS = 5  # fresh processes for each row of the first fit
LABELS, SHOTS = 8, 5  # of the first fit


def encoder(dtype: str = "auto") -> SentenceTransformerEncoder:
    """The bundled model."""
    return SentenceTransformerEncoder(device="cpu", cache=None, dtype=dtype)


def switches(n_switches: int = N_SWITCHES) -> list[dict[str, Any]]:
    """Milliseconds of a switch: until the next text can go through the encoder with another adapter."""
    bank, published = Bank(encoder(), shipped_adapters()), encoder()
    switch = AdapterSwitch(published)
    for name, adapter in bank.adapters.items():
        fitted = FewShotClassifier(encoder=published.with_trained(adapter.weights), stage="prototypes")
        switch.add(name, fitted.fit(["a card", "a loan"], ["card", "loan"]).model_)
    ways: dict[str, Callable[[str], Any]] = {
        "bank: beside the weights": lambda name: bank.encoder(name).load(),
        "AdapterSwitch: merged anew": switch.use,
    }
    rows = []
    for way, use in ways.items():
        names, milliseconds = cycle(bank.adapters), []
        for name in islice(names, 3):
            use(name)
        for name in islice(names, n_switches if "bank" in way else n_switches // 20):
            started = time.perf_counter()
            use(name)
            milliseconds.append(1000 * (time.perf_counter() - started))
        rows.append({"switch": way, **_quantiles(milliseconds), "n": len(milliseconds)})
    return rows


def requests(n_requests: int = 300) -> list[dict[str, Any]]:
    """Milliseconds of a request of one text, with one adapter all the time, and with another one each time."""
    bank, rows = Bank(encoder(), shipped_adapters()), []
    for title, names in {"the same adapter": ("terms",), "another one each time": tuple(bank.adapters)}.items():
        milliseconds = []
        for name in islice(cycle(names), n_requests):
            started = time.perf_counter()
            bank.encode(["please transfer 250 EUR to my savings"], [name])
            milliseconds.append(1000 * (time.perf_counter() - started))
        rows.append({"request": title, **_quantiles(milliseconds[10:]), "n": n_requests - 10})
    return rows


def memory(dtype: str) -> dict[str, Any]:
    """MB that ten adapters add to a process that has encoded with the published weights, and whose they are."""
    own = encoder(dtype)
    folders = [path for path in sorted((shipped("weights") / "adapters").iterdir()) if path.is_dir()]
    Bank(own, {"warm": read_adapter(folders[0])}).encode(["a text"], ["warm"])
    gc.collect()
    before, tensors_before = _resident(), _tensor_bytes()
    adapters = {f"{number}": read_adapter(folder) for number, folder in enumerate(islice(cycle(folders), TEN))}
    bank = Bank(own, adapters)
    bank.encode(["a text"] * TEN, list(adapters))
    gc.collect()
    names = sum(len(adapter.weights.seen.get("digests", ())) for adapter in adapters.values())
    return {
        "precision": str(own.precision).removeprefix("torch."),
        "model MB": _megabytes(sum(parameter.nbytes for parameter in own.module.parameters())),
        "tensors MB": _megabytes(_tensor_bytes() - tensors_before),
        "process MB": _megabytes(_resident() - before),
        "digests of texts seen": names,
    }


def throughput(n_texts: int = N_TEXTS, rounds: int = ROUNDS) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Texts per second, and the smallest cosine of a text's features beside and merged, by precision."""
    texts, rows, cosines = read_texts(n_texts), [], {}
    for dtype in ("auto", "float32"):
        bank, adapters = Bank(encoder(dtype), shipped_adapters()), shipped_adapters()
        own = texts if dtype == "auto" else texts[: n_texts // 4]
        merged = encoder(dtype).with_trained(adapters["terms"].weights)
        mixed = list(islice(cycle(MIXED), len(own)))
        peft_one, peft_mixed = peft_contestants(encoder(dtype), own)
        contestants: dict[str, Callable[[], Any]] = {
            "published": partial(bank.encoder(None).encode, own),
            "one adapter, merged": partial(merged.encode, own),
            "one adapter, beside": partial(bank.encoder("terms", 1.0).encode, own),
            "four adapters, one batch": partial(bank.encode, own, mixed),
            "peft, one adapter": peft_one,
            "peft, four adapters, one batch": peft_mixed,
        }
        features = {name: run() for name, run in contestants.items()}
        precision = str(bank.encoder(None).precision).removeprefix("torch.")
        for other in ("one adapter, beside", "peft, one adapter"):
            found = torch.cosine_similarity(features["one adapter, merged"], features[other]).min().item()
            cosines[f"{precision}, {other}"] = round(found, 6)
        seconds = take_turns(contestants, rounds)
        fastest = statistics.median(seconds["published"])
        for name, times in seconds.items():
            median = statistics.median(times)
            row = {"precision": precision, "encoder": name, "texts_per_second": round(len(own) / median)}
            rows.append(row | {"of the published": round(fastest / median, 2)})
    return rows, cosines


def peft_contestants(own: Encoder, texts: Sequence[str]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The same texts with one adapter and with four, by peft's layers."""
    import peft

    home = shipped("weights") / "adapters"
    own.load()
    model = peft.PeftModel.from_pretrained(
        own.backbone, str(home / "terms"), adapter_name="terms", autocast_adapter_dtype=False
    )
    for name in ("intents", "general", "half"):
        model.load_adapter(str(home / ("terms" if name == "half" else name)), name, autocast_adapter_dtype=False)
    model.to(own.precision).eval()

    def encode(names: Sequence[str]) -> torch.Tensor:
        tokens = own._tokenized(texts)

        def embed(indices: list[int]) -> torch.Tensor:
            chosen = [names[index] for index in indices]
            with torch.inference_mode(), model._enable_peft_forward_hooks(adapter_names=chosen):
                return own.embed(tokens.batch(indices))

        return in_batches(tokens.lengths, own.tokens_per_batch, embed)

    one = ["terms"] * len(texts)
    several = list(islice(cycle(("terms", "intents", "general", "half")), len(texts)))
    return (lambda: encode(one)), (lambda: encode(several))


def first_fit(adapter: str | None) -> dict[str, float]:
    """Seconds of the first fit of this process on 40 texts, without a cache."""
    texts, labels = [], []
    for text, label in islice(_terms(), LABELS * SHOTS):
        texts.append(text)
        labels.append(label)
    wall, processor = time.perf_counter(), time.process_time()
    FewShotClassifier(encoder=encoder(), adapter=adapter).fit(texts, labels)
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


def first_fits(n_fits: int = FITS) -> list[dict[str, Any]]:
    """Median seconds of processor time of a first fit, with an adapter chosen and without, in turns."""
    found: dict[str, list[float]] = {"none": [], "auto": []}
    for _ in range(n_fits):
        for adapter, seconds in found.items():
            seconds.append(_in_fresh_process("fit", adapter)["processor"])
    return [
        {"adapter": adapter, "processor s": round(statistics.median(own), 2), "least": round(min(own), 2)}
        for adapter, own in found.items()
    ]


def main(
    n_texts: int = N_TEXTS, rounds: int = ROUNDS, n_switches: int = N_SWITCHES, n_fits: int = FITS
) -> dict[str, Any]:
    """Run the benchmark, print its tables and keep them under `benchmarks/results`."""
    added = [_in_fresh_process("memory", dtype) for dtype in ("auto", "float32")]
    switched, requested, fitted = switches(n_switches), requests(), first_fits(n_fits)
    rows, cosines = throughput(n_texts, rounds)
    tables = {"switches": switched, "requests": requested, "memory_of_ten": added, "first_fit": fitted}
    for title, own in tables.items():
        show_rows(title, own)
    record("bank", "python -m benchmarks.bank", rows, **tables, min_cosine_to_merged=cosines)
    return {"rows": rows, **tables, "min_cosine_to_merged": cosines}


def _in_fresh_process(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bank", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def _terms() -> Iterator[tuple[str, str]]:
    """Texts of the medical task with their labels, label by label."""
    from fewshot.tasks import load_bundled

    task = load_bundled("medical_terms")
    for label in range(LABELS):
        places = (task.labels == label).nonzero().flatten()[:SHOTS].tolist()
        yield from ((task.texts[place], task.classes[label]) for place in places)


def _quantiles(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {f"p{share} ms": round(ordered[int(len(ordered) * share / 100)], 4) for share in (50, 99)}


def _tensor_bytes() -> int:
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in gc.get_objects()
        if issubclass(type(tensor), torch.Tensor)
    }
    return sum(storages.values())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _megabytes(n_bytes: int) -> float:
    return round(n_bytes / 1e6, 1)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        part, asked = sys.argv[1:]
        print(json.dumps(memory(asked) if part == "memory" else first_fit(None if asked == "none" else asked)))
    else:
        main()
