"""`fewshot meta-train`: an adapter of one's own from labelled tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fewshot.errors import ConfigError
from fewshot.storage import file_name
from fewshot.tables import guess_columns, open_table


def meta_train_tables(
    paths: Sequence[Path], output: Path, text: str | None, label: str | None, encoder: str | None, seed: int
) -> Iterator[str]:
    """Meta-train an adapter on tables or task folders and write it; yields the lines to print.

    Raises:
        FewshotError: anything that the user can mend.
    """
    for path in paths:
        if path.is_file():  # to report its mistakes before torch is loaded
            guess_columns(open_table(path), text, label)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output} is there already. Expected a new folder for the adapter. Choose another.")
    names = [file_name(path.resolve().stem) for path in paths]
    if len({*names}) < len(names):
        raise ConfigError(f"Got the names {', '.join(names)}, expected different ones. Rename a table.")
    from fewshot.bank import write_adapter
    from fewshot.encoders import SentenceTransformerEncoder
    from fewshot.encoders.described import described_encoder
    from fewshot.experiment.adapter_training import train_adapter
    from fewshot.tasks import load_folder
    from fewshot.training import Store

    tasks = {
        name: load_folder(path, text_column=text or "text", label_column=label or "label")
        for name, path in zip(names, paths, strict=True)
    }
    for task in tasks.values():
        yield str(task)
    base = SentenceTransformerEncoder() if encoder is None else SentenceTransformerEncoder(encoder)
    store = Store(checkpoints=Path("outputs", "checkpoints"), resume=True)
    adapter = train_adapter(tasks, file_name(output.name), base, seed=seed, store=store)
    write_adapter(output, adapter, described_encoder(base)["settings"])
    training = adapter.card.training
    yield (
        f"On the classes held out, 5-way 1-shot and all at once: {100 * training['valid_accuracy_before']:.1f} % as "
        f"published, {100 * training['valid_accuracy']:.1f} % with the adapter, which was chosen on them."
    )
    yield f"Saved in {output}. Next: fewshot fit new.csv -o model --adapter {output}"
