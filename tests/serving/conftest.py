"""A server in this process, over a tiny encoder."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fewshot.classifier import FewShotClassifier
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.serving.app import create_app
from fewshot.serving.guard import Guard
from fewshot.serving.limits import Limits
from fewshot.serving.models import Models
from fewshot.serving.service import Service
from tests.adaptation.conftest import coloured
from tests.tiny_models import save_sentence_transformer

TEXTS, LABELS = coloured(8)
Scenario = Callable[[Any, Service], Awaitable[Any]]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> str:
    return str(save_sentence_transformer(tmp_path_factory.mktemp("serving")))


@pytest.fixture(scope="session")
def mails(encoder, tmp_path_factory) -> Path:
    """The folder of a classifier of three colours."""
    folder = tmp_path_factory.mktemp("served") / "mails"
    classifier = FewShotClassifier(encoder=SentenceTransformerEncoder(encoder), adapter=None, stage="prototypes")
    classifier.fit(TEXTS, LABELS).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def other(encoder, tmp_path_factory) -> Path:
    """The folder of a classifier of the same colours, by fewer texts."""
    folder = tmp_path_factory.mktemp("served") / "other"
    classifier = FewShotClassifier(encoder=SentenceTransformerEncoder(encoder), adapter=None, stage="prototypes")
    classifier.fit(TEXTS[:6], LABELS[:6]).save_pretrained(folder)
    return folder


def serving(
    folders: dict[str, Path],
    scenario: Scenario,
    *,
    limits: Limits | None = None,
    key: str | None = None,
    hosts: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """What a scenario gives, which gets a client and the service behind it."""

    async def played() -> Any:
        service = Service(Models(folders), limits or Limits(), **options)
        app = create_app(service)
        guard = Guard(app, key=key, hosts=hosts, timeout=5.0, on_response=service.metrics.request)
        transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
        ):
            return await scenario(client, service)

    return asyncio.run(played())


def records(path: Path, kind: str) -> list[dict[str, Any]]:
    """The records of a kind in an audit log."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [record for record in found if record["kind"] == kind]
