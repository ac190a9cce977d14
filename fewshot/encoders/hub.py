"""Download a model from the Hugging Face hub, once, and say in one sentence why it did not work."""

from pathlib import Path

from fewshot.errors import EncoderError

_FILES = ["*.json", "*.jinja", "*.model", "*.safetensors", "*.spm", "*.txt"]
_PICKLES = ["pytorch_model*.bin", "*/pytorch_model*.bin"]
_OTHER_RUNTIMES = ["onnx/*", "openvino/*", "original/*"]


def download(model: str, revision: str | None, trust_remote_code: bool = False, pickled_weights: bool = False) -> Path:
    """Fetch config, tokenizer and safetensors into the hub's local cache; nothing that would be unpickled unasked.

    Args:
        model: hub id.
        revision: branch, tag or commit.
        trust_remote_code: also fetch the model's own Python files.
        pickled_weights: also fetch .bin weights.

    Returns:
        The snapshot's folder, named after the commit.

    Raises:
        EncoderError: unknown id or revision, no access, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=_FILES + ["*.py"] * trust_remote_code + _PICKLES * pickled_weights,
                ignore_patterns=_OTHER_RUNTIMES,
            )
        )
    except GatedRepoError as error:
        raise _failed(
            model,
            "its authors give access on request only",
            f"Ask for it on https://huggingface.co/{model} and run `hf auth login`, "
            "or set encoder.model=/path/to/folder",
            error,
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise _failed(
            model,
            "there is neither such a folder nor such a public model on the Hugging Face hub",
            "Check the spelling, run `hf auth login` if it is private, or set encoder.model=/path/to/folder",
            error,
        ) from error
    except RevisionNotFoundError as error:
        raise _failed(
            model, f"it has no revision {revision!r}", "Set encoder.revision=main, or a commit of it", error
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise _failed(
            model,
            "it is neither a folder nor in the local cache, and the Hugging Face hub cannot be reached",
            "Connect to the internet and unset HF_HUB_OFFLINE, or set encoder.model=/path/to/folder",
            error,
        ) from error


def _failed(model: str, reason: str, advice: str, error: Exception) -> EncoderError:
    detail = str(error).strip().partition("\n")[0][:200].rstrip(".")
    return EncoderError(
        f"Encoder model {model!r} could not be loaded: {reason} ({type(error).__name__}: {detail}). "
        f"Expected a folder, or a hub id such as 'organisation/name'. {advice}."
    )
