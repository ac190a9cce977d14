"""`fewshot serve`: from the command line to a server."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fewshot.cli.extras import needed
from fewshot.errors import ConfigError
from fewshot.native import leave_a_core
from fewshot.serving.limits import Limits

KEY = "FEWSHOT_API_KEY"  # environment variable


@dataclass(frozen=True)
class ServeSettings:
    """The options of `fewshot serve`."""

    host: str = "127.0.0.1"
    port: int = 8000
    insecure: bool = False
    learn: bool = False
    save: bool = False
    share: str | None = None
    shadow: str | None = None
    audit_log: Path | None = None
    log_texts: bool = False
    timeout: float = Limits.timeout
    max_queue: int = Limits.max_queue


def serve_models(models: Sequence[str], settings: ServeSettings) -> None:
    """Answer requests until the process is stopped.

    Args:
        models: folders of classifiers, or NAME=FOLDER.
        settings: the options.

    Raises:
        FewshotError: anything that the user can mend.
    """
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        needed(package, "serve", "fewshot serve")
    leave_a_core()
    from fewshot.serving.audit import AuditLog, TextDigest
    from fewshot.serving.models import Models, named_folders
    from fewshot.serving.server import bound, check_address, serve
    from fewshot.serving.service import Service
    from fewshot.serving.variants import Experiment

    if settings.save and not settings.learn:
        raise ConfigError("Got --save without --learn, so there is nothing to save. Add --learn, or leave it out.")
    if settings.log_texts and settings.audit_log is None:
        raise ConfigError("Got --log-texts without --audit-log, so there is no log. Add --audit-log FILE.")
    folders, limits = named_folders(models), Limits(settings.max_queue, settings.timeout)
    experiment = Experiment.of(list(folders), settings.share, settings.shadow)
    key = os.environ.get(KEY, "").strip() or None  # a key read from a file ends in a line break
    check_address(settings.host, key, settings.insecure)
    audit = None
    if settings.audit_log is not None:
        audit = AuditLog(settings.audit_log, TextDigest.from_environment(), settings.log_texts)
    with bound(settings.host, settings.port) as listening:
        service = Service(
            Models(folders), limits, experiment=experiment, audit=audit, learns=settings.learn, saves=settings.save
        )
        for model in service.models:
            print(f"{model.name}: {len(model.classifier.labels)} labels, digest {model.digest}")
        listening.listen()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        message = f"Listening on http://{host}:{listening.getsockname()[1]} (Ctrl-C stops)"
        serve(service, listening, settings.host, key, partial(print, message, flush=True))
