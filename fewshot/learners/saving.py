"""Learners by name, and learners and adapted classifiers as safetensors and JSON.  No pickle, no class of others."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from fewshot.encoders import Adapter, Encoder, Full, LoRA
from fewshot.errors import ConfigError
from fewshot.learners.attention_prototypical import AttentionClassifier, AttentionPrototypical
from fewshot.learners.centroid import Centroid, NearestPrototype
from fewshot.learners.discriminant import FeatureMap, SharedCovariance
from fewshot.learners.learner import Classifier, Learner
from fewshot.learners.logistic import Logistic
from fewshot.learners.maml import MAML
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.learners.maml.maml import AdaptedNetwork
from fewshot.learners.maml.network import Layer, Network
from fewshot.learners.maml.settings import MAMLSettings
from fewshot.learners.names import NAMES
from fewshot.learners.one_vs_rest import OneVsRest
from fewshot.learners.prototypical import ProjectedPrototype, Prototypical, ResidualProjection
from fewshot.learners.ridge import DualLinear, Ridge
from fewshot.storage import UNREADABLE, read_sealed, read_tensors, tensors_digest, write_sealed, write_tensors

LEARNERS: dict[str, type[Learner]] = dict(
    zip(NAMES, (Centroid, Logistic, Ridge, Prototypical, AttentionPrototypical, MAML), strict=True)
)
DESCRIPTION, TENSORS = "learner.json", "learner.safetensors"
WRITTEN = (DESCRIPTION, TENSORS)
_CLASSIFIERS = (
    AttentionClassifier,
    NearestPrototype,
    ProjectedPrototype,
    DualLinear,
    OneVsRest,
    AdaptedNetwork,
    SharedCovariance,
)
_PARTS: dict[str, type] = {kind.__name__: kind for kind in (*_CLASSIFIERS, FeatureMap, Network, Layer)}


def save_learner(
    learner: Learner | EncoderMAML,
    folder: Path | str,
    encoder: Encoder | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a learner to `learner.safetensors` and `learner.json`.

    Args:
        learner: any learner of this package.
        folder: made if absent.
        encoder: whose features it was trained on; its fingerprint is kept, and compared by `load_learner`.
        details: kept in the JSON beside the learner (the task, shots, ...).

    Raises:
        StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    state = {name: tensor.detach().cpu() for name, tensor in learner.state_dict().items()}
    write_tensors(folder / TENSORS, state)
    content = {"class": type(learner).__name__, "arguments": learner.arguments, "details": dict(details or {})}
    content["tensors"] = tensors_digest(state, {})  # a folder that was overwritten by half is noticed
    encoder = learner.published if isinstance(learner, EncoderMAML) else encoder
    if encoder is not None:
        content["encoder"] = {"model": encoder.model, "fingerprint": encoder.portable_fingerprint}
    if isinstance(learner, EncoderMAML):
        content["trainable"] = {"kind": learner.trainable.kind, **dataclasses.asdict(learner.trainable)}
    write_sealed(folder / DESCRIPTION, content)


def load_learner(folder: Path | str, encoder: Encoder | None = None) -> Learner | EncoderMAML:
    """Read a learner that `save_learner` wrote; its logits are identical.

    Args:
        folder: where it is.
        encoder: the one that it was trained with, which is compared. MAML through the encoder needs it; without it
            other learners remember the fingerprint, and `MetaModel` compares it.

    Raises:
        ConfigError: a file is missing or damaged, the class is none of this package's, an encoder is needed, or it is
            not the one that the learner was trained with.
    """
    folder = Path(folder)
    try:
        return read_learner(folder, encoder)
    except ConfigError:
        raise
    except (*UNREADABLE, SafetensorError) as error:
        raise ConfigError(
            f"{str(folder)!r} holds no learner that can be read ({type(error).__name__}: {error}). Expected "
            f"{DESCRIPTION} and {TENSORS} as a run writes them. Run the training again."
        ) from error


def read_learner(folder: Path, encoder: Encoder | None = None) -> Learner | EncoderMAML:
    """As `load_learner`, for what holds a learner among other things: damage comes as it was found.

    Raises:
        OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError: a file is missing or damaged.
        ConfigError: an encoder is needed, or it is not the one that the learner was trained with.
    """
    content = read_sealed(folder / DESCRIPTION)
    kind, arguments = content["class"], dict(content["arguments"])
    trained_on = content.get("encoder", {}).get("fingerprint")
    if encoder is not None and trained_on is not None:
        check_encoder(encoder, trained_on, f"The learner in {str(folder)!r}")
    tensors, _ = read_tensors(folder / TENSORS)
    digest = tensors_digest(tensors, {})
    if content.get("tensors", digest) != digest:  # earlier versions wrote none
        raise ValueError(f"{DESCRIPTION} and {TENSORS} were not written together")
    learner: Learner | EncoderMAML
    if kind == EncoderMAML.__name__:
        learner = _encoder_maml(folder, content, arguments, encoder)
    else:
        learner = {one.__name__: one for one in LEARNERS.values()}[kind](**arguments)
        learner.trained_on = trained_on
    learner.load_state_dict(tensors)
    return learner


def check_encoder(encoder: Encoder, trained_on: str, whose: str) -> None:
    """Refuse an encoder of another portable fingerprint with a ConfigError."""
    if encoder.portable_fingerprint != trained_on:
        raise ConfigError(
            f"{whose} was trained on features of an encoder with the fingerprint {trained_on}, and the one given, "
            f"{encoder.model!r}, has {encoder.portable_fingerprint}. Expected the same weights and settings. Make the "
            f"encoder as it was then; weights that a run trained are in its folder encoder/ (encoder.weights)."
        )


def _encoder_maml(
    folder: Path, content: Mapping[str, Any], arguments: dict[str, Any], encoder: Encoder | None
) -> EncoderMAML:
    if encoder is None:
        raise ConfigError(
            f"The learner in {str(folder)!r} adapts an encoder, and none was given. Expected the one that it was "
            f"trained with. Write load_learner(folder, encoder=encoder)."
        )
    kinds = {kind.kind: kind for kind in (LoRA, Adapter, Full)}
    described = dict(content["trainable"])
    trainable = kinds[described.pop("kind")](**described)
    seed = arguments.pop("seed")
    settings = MAMLSettings(**arguments)
    return EncoderMAML(encoder, trainable, settings, seed)


def described_classifier(classifier: Classifier) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A classifier of a learner of this package as a description that JSON can hold, and its tensors by name."""
    tensors: dict[str, Tensor] = {}
    return _described(classifier, "classifier", tensors), tensors


def classifier_from(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Classifier:
    """The classifier that was described, its logits identical; a KeyError, TypeError or ValueError where none was."""
    classifier = _built(description, tensors)
    if not isinstance(classifier, Classifier):
        raise ValueError(f"got a {type(classifier).__name__}, expected a classifier")
    return classifier


def frozen(classifier: Classifier) -> Classifier:
    """A copy of a classifier that no training of its learner changes, and that is the same after saving and loading."""
    return classifier_from(*described_classifier(classifier))


def _described(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value.detach().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, nn.Module):
        if isinstance(value, ResidualProjection):
            tensors |= {f"{name}.{key}": tensor for key, tensor in value.state_dict().items()}
        return {"module": type(value).__name__, "name": name}
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        parts = {key: _described(part, f"{name}.{key}", tensors) for key, part in fields.items()}
        return {"class": type(value).__name__, "fields": parts}
    return value


def _built(description: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(description, Mapping):
        return description
    if "tensor" in description:
        return tensors[description["tensor"]]
    if "module" in description:
        if description["module"] == "Identity":
            return nn.Identity()
        weight, centre = (tensors[f"{description['name']}.{key}"] for key in ("weight", "centre"))
        projection = ResidualProjection(len(weight))
        projection.load_state_dict({"weight": weight, "centre": centre})
        return projection.requires_grad_(False)
    fields = {key: _built(part, tensors) for key, part in description["fields"].items()}
    return _PARTS[description["class"]](**fields)
