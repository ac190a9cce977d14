"""The commands of `fewshot`: fit, predict, evaluate, distill, export, meta-train, check, report, serve and run.

Each imports what it needs when it runs.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from fewshot.errors import ConfigError, printable

app = typer.Typer(
    help="Text classifiers from a handful of labelled texts, with a number that can be trusted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

typed: list[str] = []  # the arguments of `fewshot`, for the command in classifiers and on pages

Engine = Literal["plain", "ray"]

Table = Annotated[
    Path, typer.Argument(help="csv, tsv, xlsx, jsonl, parquet or txt; - is standard input, one text a line")
]
TextColumn = Annotated[str | None, typer.Option("--text", help="column of the texts, where it cannot be guessed")]
LabelColumn = Annotated[str | None, typer.Option("--label", help="column of the labels, where it cannot be guessed")]
Stage = Annotated[str, typer.Option(help="auto, prototypes, head, light, lora, adapter or full")]
Seed = Annotated[int, typer.Option(help="of what is held out and tuned")]
EncoderName = Annotated[
    str | None, typer.Option("--encoder", help="folder or hub id of a sentence-transformers model; else MiniLM")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="write an output anew that holds something")]
AdapterName = Annotated[
    str, typer.Option("--adapter", help="auto chooses one of the package where it surely helps; a name; a folder; none")
]
MetaModelFolder = Annotated[
    Path | None, typer.Option("--meta-model", help="folder of a run whose encoder and learner are used")
]


@app.command()
def fit(
    table: Table,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="folder of the classifier; an earlier one in it is replaced")
    ],
    text: TextColumn = None,
    label: LabelColumn = None,
    label_names: Annotated[
        Path | None, typer.Option("--label-names", help="JSON file: label → words that describe it")
    ] = None,
    encoder: EncoderName = None,
    adapter: AdapterName = "auto",
    meta_model: MetaModelFolder = None,
    stage: Stage = "auto",
    reject: Annotated[
        float | None, typer.Option(help="share of texts of the known labels that may be rejected as none of these")
    ] = None,
    mask_personal_data: Annotated[
        bool,
        typer.Option("--mask-personal-data", help="mask mail addresses, phones, IBANs, cards and ids in all texts"),
    ] = False,
    long_texts: Annotated[
        Literal["cut", "chunk", "chunk_max"] | None,
        typer.Option("--long-texts", help="cut reads the beginning; chunk and chunk_max read a text to its end"),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Fit a classifier to a table of labelled texts and keep it."""
    from fewshot.cli.fitting import FitSettings, fit_table

    settings = FitSettings(
        text, label, label_names, encoder, adapter, meta_model, stage, reject, seed, mask_personal_data, long_texts
    )
    _print_lines(fit_table(table, output, settings, shlex.join(["fewshot", *typed])))


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="folder of a classifier, exported or not, or its id on the hub")],
    table: Table,
    output: Annotated[str, typer.Option("-o", "--output", help=".csv, .tsv or .jsonl; - is standard output")] = "-",
    text: TextColumn = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on behind what the output has")] = False,
    overwrite: Overwrite = False,
    engine: Annotated[
        Engine,
        typer.Option(help="ray: a file or a folder of files to a folder of parts, on all processors or a cluster"),
    ] = "plain",
) -> None:
    """Classify each text of a table: label, probability, whether it is rejected, and the runner-up."""
    if engine == "ray":
        from fewshot.cli.predicting_on_ray import predict_parts as predict_with_engine
    else:
        from fewshot.cli.predicting import predict_table as predict_with_engine
    predict_with_engine(model, table, output, text, resume, overwrite)


@app.command()
def evaluate(
    table: Table,
    model: Annotated[Path | None, typer.Option("--model", help="score this classifier on the table instead")] = None,
    text: TextColumn = None,
    label: LabelColumn = None,
    encoder: EncoderName = None,
    adapter: AdapterName = "auto",
    group: Annotated[str | None, typer.Option("--group", help="column whose groups are compared")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="score texts with typos, in capitals and with synonyms too")
    ] = False,
    seed: Seed = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="page to write; else outputs/evaluate/TABLE/report.html")
    ] = None,
) -> None:
    """How good a classifier of these texts is, by cross-validation; or how good a fitted one is on them."""
    from fewshot.cli.fitting import PageRequest, cross_validate_table, score_table

    page = PageRequest.of(table, output, shlex.join(["fewshot", *typed]))
    lines = (
        cross_validate_table(table, text, label, encoder, adapter, seed, page, group, robustness)
        if model is None
        else score_table(model, table, text, label, page, group, robustness)
    )
    _print_lines(lines)


@app.command()
def distill(
    model: Annotated[Path, typer.Argument(help="folder of a classifier")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of the student")],
    texts: Annotated[
        Path | None, typer.Option("--texts", help="texts of the task without labels; else general vectors are taken")
    ] = None,
    student: Annotated[
        str,
        typer.Option(
            "--student",
            help="static: no transformer; layers: some of the encoder's; deepseek: a small one",
        ),
    ] = "static",
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="labelled texts that nobody has seen, for its accuracy")
    ] = None,
    text: TextColumn = None,
    label: LabelColumn = None,
    seed: Seed = 0,
) -> None:
    """Make a small and fast classifier that gives the labels of a fitted one; run again, it goes on."""
    from fewshot.cli.distilling import DistillSettings, distill_folder

    settings = DistillSettings(texts, student, labelled, text, label, seed)
    _print_lines(distill_folder(model, output, settings, shlex.join(["fewshot", *typed])))


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="folder of a classifier, or its id on the Hugging Face hub")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of what is exported")],
    format: Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="of the graph")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="weights in 8 bits: a quarter of the size")] = False,
) -> None:
    """Write a classifier as one graph with its tokenizer, which predict and other programs run without torch."""
    from fewshot.cli.exporting import export_classifier

    _print_lines(export_classifier(model, output, format, int8))


@app.command("meta-train")
def meta_train(
    tables: Annotated[list[Path], typer.Argument(help="labelled tables or task folders, the more classes the better")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of the adapter")],
    text: TextColumn = None,
    label: LabelColumn = None,
    encoder: EncoderName = None,
    seed: Seed = 0,
) -> None:
    """Meta-train an adapter of the encoder on tables of your own; fit takes it with --adapter."""
    from fewshot.cli.meta_training import meta_train_tables

    _print_lines(meta_train_tables(tables, output, text, label, encoder, seed))


@app.command()
def check(
    table: Table,
    text: TextColumn = None,
    label: LabelColumn = None,
    fix: Annotated[bool, typer.Option("--fix", help="write a copy with safe repairs")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="of the copy: .csv, .tsv or .jsonl")] = None,
    encoder: EncoderName = None,
    overwrite: Overwrite = False,
) -> None:
    """Find what is wrong with texts and labels: copies, contradictions, likely wrong labels, personal data and more."""
    from fewshot.cli.checking import check_table

    _print_lines(check_table(table, text, label, fix, output, encoder, overwrite))


@app.command()
def report(
    sources: Annotated[list[Path], typer.Argument(help="folders of runs or sweeps; or audit logs of fewshot serve")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="page to write: comparison.html")] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="of logs: table of texts and labels, for accuracies")
    ] = None,
) -> None:
    """One table of all runs at or below some folders, and a page that compares them; or what audit logs say."""
    if any(source.is_file() for source in sources):
        from fewshot.cli.audit_report import report_logs

        if runs := [str(source) for source in sources if source.is_dir()]:
            raise ConfigError(f"Got the folder {runs[0]!r} beside audit logs, expected one or the other. Leave it out.")
        if output is not None:
            raise ConfigError("Got --output for audit logs, which have no page. Leave it out.")
        report_logs(sources, labels)
        return
    if labels is not None:
        raise ConfigError("Got --labels for runs, which have labels of their own. Leave it out.")
    from fewshot.cli.reporting import report_runs

    report_runs(sources, output)


@app.command()
def serve(
    models: Annotated[list[str], typer.Argument(help="FOLDER or NAME=FOLDER of classifiers; the first is the default")],
    port: Annotated[int, typer.Option(help="to listen on; 0 is a free one")] = 8000,
    host: Annotated[
        str, typer.Option(help="address to listen on; others than this machine's need FEWSHOT_API_KEY")
    ] = "127.0.0.1",
    learn: Annotated[bool, typer.Option("--learn", help="let POST /learn add examples, in memory")] = False,
    save: Annotated[bool, typer.Option("--save", help="with --learn: save the model to its folder each time")] = False,
    share: Annotated[
        str | None, typer.Option(help="NAME=0.1: this model answers a share of the first one's requests")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(help="NAME: this model sees the first one's requests too, for the log")
    ] = None,
    audit_log: Annotated[Path | None, typer.Option(help="file that a line for each text is appended to")] = None,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="write the texts themselves to the log")] = False,
    timeout: Annotated[float, typer.Option(help="seconds in which a request is answered, or refused")] = 10.0,
    max_queue: Annotated[int, typer.Option(help="texts that may wait; more are refused with status 429")] = 1024,
    insecure: Annotated[bool, typer.Option("--insecure", help="listen on other addresses without a key")] = False,
) -> None:
    """Answer over HTTP: POST /predict, a page to try it on /, the interface on /docs."""
    from fewshot.cli.serving import ServeSettings, serve_models

    serve_models(
        models,
        ServeSettings(
            host=host,
            port=port,
            insecure=insecure,
            learn=learn,
            save=save,
            share=share,
            shadow=shadow,
            audit_log=audit_log,
            log_texts=log_texts,
            timeout=timeout,
            max_queue=max_queue,
        ),
    )


@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
def run(
    settings: Annotated[list[str] | None, typer.Argument(help="as behind python -m fewshot.run")] = None,
) -> None:
    """An experiment of the researcher's kind: `fewshot run +task=medical_terms shots=5`."""
    from fewshot.cli.main import main as run_experiment

    raise typer.Exit(run_experiment(settings or []))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(printable(line))
