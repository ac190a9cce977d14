"""The service without HTTP: it answers, learns, reloads models, and counts."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fewshot.errors import ConfigError, FewshotError
from fewshot.serving.audit import AuditLog, now
from fewshot.serving.batcher import Batcher, ClientGone, QueueFull
from fewshot.serving.drift import MIN_TEXTS, Reference, Window
from fewshot.serving.limits import Limits
from fewshot.serving.metrics import Metrics
from fewshot.serving.models import Models, ServedModel, folder_digest
from fewshot.serving.scoring import Answer, Query, score
from fewshot.serving.variants import CHALLENGER, CHAMPION, SHADOW, Experiment

log = logging.getLogger(__name__)

_DRIFT_EVERY = 60.0  # seconds
_BATCH_WAIT = 0.005  # seconds that the first text of a batch waits at most for others
PATHS = ("/predict", "/learn", "/models", "/metrics", "/health", "/", "/docs", "/openapi.json")


@dataclass(frozen=True)
class PredictionRequest:
    """One request.

    Args:
        texts: one or more.
        model: the name of a model; None is the first.
        top: labels that are given with their probabilities; None gives all.
        explain: True adds explanations.
        request_id: for the audit log.
        is_gone: True once the client no longer waits.
    """

    texts: Sequence[str]
    model: str | None
    top: int | None
    explain: bool
    request_id: str
    is_gone: Callable[[], Awaitable[bool]]


class Service:
    """Models behind one queue.

    Args:
        models: the models that answer.
        limits: of requests and queue.
        experiment: a second model on the requests of the first.
        audit: the log of answers.
        learns: True lets models learn.
        saves: True saves a model to its folder after learning.
    """

    def __init__(
        self,
        models: Models,
        limits: Limits,
        *,
        experiment: Experiment | None = None,
        audit: AuditLog | None = None,
        learns: bool = False,
        saves: bool = False,
    ):
        self.models, self.limits, self.learns = models, limits, learns
        self._experiment, self._audit, self._saves = experiment, audit, saves
        self.metrics = Metrics(PATHS)
        self._windows: dict[str, Window] = {}
        self._shadows: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()  # one change of a model after the other
        self._batcher = Batcher[Query, Answer](
            score, limits.batch_tokens, _BATCH_WAIT, limits.max_queue, self.metrics.batch
        )
        self.metrics.watch(lambda: self._batcher.n_waiting, lambda: 0 if audit is None else audit.n_lost)
        for model in models:
            self._register(model)

    async def run(self) -> None:
        """Run until it is cancelled, then wait for requests in flight."""
        tasks = [asyncio.create_task(self._batcher.run()), asyncio.create_task(self._measure_drift())]
        try:
            await asyncio.gather(*tasks)
        finally:
            if self._shadows:
                await asyncio.wait(self._shadows, timeout=self.limits.timeout)
            for task in tasks:
                task.cancel()
            self._batcher.close()
            if self._audit is not None:
                self._audit.close()

    async def predict(self, request: PredictionRequest) -> tuple[ServedModel, list[Answer]]:
        """The model that answers a request, and its answer to each text.

        Raises:
            UnknownModel: there is no such model.
            ConfigError: the model cannot explain.
            QueueFull: too many texts wait.
            TimeoutError: the texts were not computed in time.
            ClientGone: the client no longer waits.
        """
        model, variant = self._chosen(request)
        if request.explain and not model.explains:
            raise ConfigError(f"Got explain=true for the model {model.name!r}, which holds no evidence. Leave it out.")
        if variant == CHAMPION and self._experiment is not None and self._experiment.share is None:
            self._shadow(request, self._experiment.challenger)
        return model, await self._answers(request, Query(model, request.top, request.explain), variant)

    async def learn(
        self, texts: Sequence[str], labels: Sequence[Any], name: str | None, request_id: str
    ) -> tuple[ServedModel, bool]:
        """Let a model learn labelled texts; returns the new model, and True if it was saved.

        Raises:
            FewshotError: the texts cannot be learnt, or the model cannot be saved; it answers as before.
        """
        async with self._changing:
            old = self.models[name]
            new = await self._batcher.call(_learnt, old, texts, labels)
            if self._saves:
                new = await self._batcher.call(_saved, new, old.digest)
            self.models.replace(new)
            self._register(new)
        if self._audit is not None:
            as_json = [list(label) if isinstance(label, tuple) else label for label in labels]
            self._audit.write(
                [
                    {"kind": "learnt", "time": now(), "request_id": request_id, "model": new.name, "digest": new.digest,
                     "before": old.digest, "label": label, **self._audit.of_text(text)}
                    for text, label in zip(texts, as_json, strict=True)
                ]
            )  # fmt: skip
        return new, self._saves

    async def reload(self) -> None:
        """Read all models anew beside the old ones, and open the audit log anew; if that fails all stays."""
        async with self._changing:
            try:
                if self._audit is not None:
                    self._audit.reopen()
                before = {model.name: model for model in self.models}
                fresh = await asyncio.to_thread(self.models.read)
                await self._batcher.call(self.models.put, fresh)
            except FewshotError as error:
                log.error(f"Could not load the models anew, so the old ones go on: {error}")
                return
            for model in self.models:
                self._register(model)
                log.info(f"Loaded {model.name} anew: {before[model.name].digest} → {model.digest}")
                if n_learnt := before[model.name].n_learnt:
                    log.warning(f"Texts that {model.name} had learnt are gone: {n_learnt}. With --save they stay.")

    def _chosen(self, request: PredictionRequest) -> tuple[ServedModel, str | None]:
        model, experiment = self.models[request.model], self._experiment
        if experiment is None or model.name != experiment.champion:
            return model, None
        challenger = self.models[experiment.challenger]
        if experiment.challenged() and (challenger.explains or not request.explain):
            return challenger, CHALLENGER
        return model, CHAMPION

    async def _answers(self, request: PredictionRequest, query: Query, variant: str | None) -> list[Answer]:
        began = time.perf_counter()
        answers = await self._batcher.submit(query, request.texts, self.limits.timeout, request.is_gone)
        model = query.model
        self.metrics.answers(model.name, variant, answers)
        window = self._windows.get(model.name)
        if window is not None and window.digest == model.digest and variant != SHADOW:  # not replaced
            for answer in answers:
                window.add(answer.prediction.label, answer.prediction.probability, answer.features)
        if self._audit is not None:
            self._audit.write(self._records(request, model, variant, answers, 1000 * (time.perf_counter() - began)))
        return answers

    def _records(
        self,
        request: PredictionRequest,
        model: ServedModel,
        variant: str | None,
        answers: Sequence[Answer],
        ms: float,
    ) -> list[dict[str, Any]]:
        assert self._audit is not None
        common = {"kind": "prediction", "time": now(), "request_id": request.request_id, "model": model.name,
                 "digest": model.digest, "variant": variant}  # fmt: skip
        return [
            {**common, **self._audit.of_text(text), "label": answer.prediction.label,
             "probability": round(answer.prediction.probability, 6), "rejected": answer.prediction.rejected,
             "ms": round(ms, 2)}
            for text, answer in zip(request.texts, answers, strict=True)
        ]  # fmt: skip

    def _shadow(self, request: PredictionRequest, name: str) -> None:
        """Let another model answer a request for the log, unless many texts wait."""
        if self._batcher.n_waiting + len(request.texts) > self.limits.max_queue // 2:
            self.metrics.shadows_skipped.inc(len(request.texts))
            return
        task = asyncio.create_task(self._shadowed(replace(request, is_gone=_never), Query(self.models[name], 1)))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadowed(self, request: PredictionRequest, query: Query) -> None:
        try:
            await self._answers(request, query, SHADOW)
        except (QueueFull, TimeoutError, ClientGone):
            self.metrics.shadows_skipped.inc(len(request.texts))
        except Exception as error:
            log.error(f"The model {query.model.name} failed beside another one: {error}")

    def _register(self, model: ServedModel) -> None:
        """Register a model that answers from now on: its metrics, its window and its record in the audit log."""
        reference = Reference.of(model.classifier)
        self.metrics.models({each.name: each.digest for each in self.models})
        self._windows.pop(model.name, None)
        self.metrics.forget_drift(model.name)
        if reference is not None:
            self._windows[model.name] = Window(reference, model.digest)
        if self._audit is not None:
            described = None if reference is None else reference.described()
            self._audit.write(
                [{"kind": "model", "time": now(), "model": model.name, "digest": model.digest, "reference": described}]
            )

    async def _measure_drift(self) -> None:
        while True:
            await asyncio.sleep(_DRIFT_EVERY)
            for name, window in list(self._windows.items()):
                if window.n_new >= MIN_TEXTS:
                    try:
                        await self.measure_drift(name, window)
                    except Exception as error:  # must not stop the answers
                        log.error(f"Could not measure the drift of {name}: {type(error).__name__}: {error}")

    async def measure_drift(self, name: str, window: Window) -> None:
        """Measure the drift of the recent texts of a model from the labelled ones."""
        shifts = await asyncio.to_thread(window.shifts)
        self.metrics.drift(name, shifts, len(window))
        if self._audit is not None and shifts:
            sizes: Mapping[str, Any] = {
                what: {"size": round(shift.size, 6), "p_value": round(shift.p_value, 6)}
                for what, shift in shifts.items()
            }
            record = {"kind": "drift", "time": now(), "model": name, "digest": window.digest, "n_texts": len(window)}
            self._audit.write([{**record, **sizes}])


def _learnt(model: ServedModel, texts: Sequence[str], labels: Sequence[Any]) -> ServedModel:
    if model.family is None:
        raise ConfigError(
            f"The model {model.name!r} is an exported classifier, which cannot learn. Serve the folder that it was "
            f"exported from."
        )
    from fewshot.classifier import FewShotClassifier

    learner = FewShotClassifier.of(model.classifier)
    return model.learnt(learner.partial_fit(texts, labels).model_, texts, labels)


def _saved(model: ServedModel, before: str) -> ServedModel:
    """The model, saved to its folder if the files in it still have the digest from before."""
    if folder_digest(model.folder) != before:
        raise ConfigError(
            f"The folder {str(model.folder)!r} has changed since the model was read, and saving would undo that. Send "
            f"SIGHUP to the server, which reads it anew, and then the texts again."
        )
    model.classifier.save_pretrained(model.folder)
    return replace(model, digest=folder_digest(model.folder), n_learnt=0)


async def _never() -> bool:
    return False
