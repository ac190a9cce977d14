"""The HTTP interface of a service."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response

import fewshot.serving.schemas as schemas
from fewshot.errors import FewshotError, StorageError, as_typed, sentence
from fewshot.resources import __version__
from fewshot.serving import pages
from fewshot.serving.answers import predictions
from fewshot.serving.batcher import ClientGone, QueueFull
from fewshot.serving.models import UnknownModel
from fewshot.serving.schemas import problems
from fewshot.serving.service import PredictionRequest, Service

log = logging.getLogger(__name__)

_UNUSABLE = problems(
    _400="the body is no UTF-8, or ended early",
    _401="no key, or a wrong one",
    _404="no such model",
    _408="the body did not come in time",
    _413="the body is too large",
    _415="the body is no JSON",
    _421="a host that the server does not answer to",
    _422="something in the request cannot be used",
)
_BUSY = problems(_429="too many texts wait: come again after the seconds in Retry-After", _503="not computed in time")
_DETAIL_LENGTH = 100  # of a value in a message


def create_app(service: Service) -> FastAPI:
    """The application of a service, which runs as long as the application."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(service.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app = FastAPI(
        title="fewshot", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Text classifiers from a handful of labelled texts.",
    )  # fmt: skip
    _add_answers(app, service)
    _add_pages(app, service)
    if service.learns:
        _add_learning(app, service)
    app.add_exception_handler(RequestValidationError, _unusable)
    app.add_exception_handler(FewshotError, _with_status(422))
    app.add_exception_handler(UnknownModel, _with_status(404))
    app.add_exception_handler(StorageError, _with_status(500))
    app.add_exception_handler(QueueFull, _full)
    app.add_exception_handler(TimeoutError, _late)
    app.add_exception_handler(ClientGone, _late)
    app.add_exception_handler(Exception, _failed)
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post("/predict", response_model=schemas.PredictResponse, responses=_UNUSABLE | _BUSY)
    async def predict(body: schemas.PredictRequest, request: Request) -> Response:
        """Label one text or many: label, calibrated probabilities, whether a text seems to be of no label."""
        texts = [body.texts] if isinstance(body.texts, str) else body.texts
        request_id = request.state.request_id
        query = PredictionRequest(texts, body.model, body.top, body.explain, request_id, request.is_disconnected)
        model, answers = await service.predict(query)
        source = {"request_id": request_id, "model": model.name, "digest": model.digest}
        return _json({**source, "predictions": predictions(model, answers)})

    @app.get("/models", response_model=schemas.ModelList, responses=problems(_401=_UNUSABLE[401]["description"]))
    async def models() -> Response:
        """The models by name, the one that answers where none is named first."""
        return _json({"models": [model.described() for model in service.models]})

    @app.get("/health", response_model=schemas.Health)
    async def health() -> Response:
        """Whether requests are answered; needs no key."""
        return _json({"status": "ok"})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(_401=_UNUSABLE[401]["description"]),
        },
    )
    async def metrics() -> Response:
        """Counters for Prometheus: requests, batches, labels, and how far recent texts are from the labelled ones."""
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_learning(app: FastAPI, service: Service) -> None:
    @app.post("/learn", response_model=schemas.LearnResponse, responses=_UNUSABLE)
    async def learn(body: schemas.LearnRequest, request: Request) -> Response:
        """Add labelled texts to a model, of known labels or new ones; requests in flight end on the old one."""
        request_id = request.state.request_id
        labels = [tuple(label) if isinstance(label, list) else label for label in body.labels]
        model, saved = await service.learn(body.texts, labels, body.model, request_id)
        described = model.described()
        fields = {name: described[name] for name in ("digest", "labels", "n_texts")}
        return _json({"request_id": request_id, "model": model.name, **fields, "saved": saved})


def _add_pages(app: FastAPI, service: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return _html(pages.try_page())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _html(pages.docs_page(app.openapi()))


def _html(page: str) -> Response:
    return HTMLResponse(page, headers=pages.headers(page))


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, "application/json")


async def _unusable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    schema = schemas.LearnRequest if request.url.path == "/learn" else schemas.PredictRequest
    return _json({"detail": sentence(" ".join(_messages(error, schema.model_fields)))}, 422)


def _with_status(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler that answers with the sentence of an error."""

    async def handler(request: Request, error: Exception) -> Response:
        return _json({"detail": str(error)}, status)

    return handler


async def _full(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFull)
    detail = f"Too many texts wait. Send the request again in {error.retry_after} s."
    return _json({"detail": detail}, 429, {"retry-after": str(error.retry_after)})


async def _late(request: Request, error: Exception) -> Response:
    return _json({"detail": "The texts were not computed in time. Send fewer, or later."}, 503, {"retry-after": "1"})


async def _failed(request: Request, error: Exception) -> Response:
    log.error(f"A request failed with {type(error).__name__}: {error}")
    return _json({"detail": "The server failed at this request. Its log says how."}, 500)


def _messages(error: RequestValidationError, fields: Mapping[str, Any]) -> list[str]:
    """A sentence for each field that cannot be used."""
    messages: dict[str, str] = {}
    for problem in sorted(error.errors(), key=lambda problem: -len(problem["loc"])):  # the most exact location first
        location = [part for part in problem["loc"] if part != "body"]
        if problem["type"] == "json_invalid":
            return [f"The body is no JSON ({problem.get('ctx', {}).get('error', 'malformed')}). Correct it."]
        if not location:
            return ['The body is no JSON object, or is absent. Send one such as {"texts": ["a text"]}.']
        field = str(location[0])
        messages.setdefault(field, _message(field, fields, problem))
    return list(messages.values())


def _message(field: str, fields: Mapping[str, Any], problem: Any) -> str:
    if problem["type"] == "extra_forbidden" or field not in fields:
        return f"There is no field {field[:_DETAIL_LENGTH]!r}. Leave it out."
    expected = fields[field].description
    if problem["type"] == "missing":
        return f"The field {field} is absent. Expected {expected}."
    got = as_typed(problem["input"])
    shown = got if len(got) <= _DETAIL_LENGTH else f"{got[:_DETAIL_LENGTH]}..."
    index = "".join(f"[{part}]" for part in problem["loc"] if isinstance(part, int))
    return f"Got {field}{index}={shown}, expected {expected}."
