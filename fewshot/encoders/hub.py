"""Download a model from the Hugging Face hub, once, and say in one sentence why it did not work."""

from pathlib import Path

from fewshot.errors import EncoderError

_FILES = ["*.json", "*.jinja", "*.model", "*.safetensors", "*.spm", "*.txt"]
_PICKLES = ["pytorch_model*.bin", "*/pytorch_model*.bin"]


def download(model: str, revision: str | None, trust_remote_code: bool = False, pickled_weights: bool = False) -> Path:
    """Fetch config, tokenizer and safetensors into the hub's local cache, and Python files and .bin weights if asked.

    Returns:
        The snapshot's folder, named after the commit.

    Raises:
        EncoderError: unknown id or revision, no access, or the hub cannot be reached.
    """
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
