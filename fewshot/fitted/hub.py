"""Model folders on the Hugging Face hub: model card, download and upload."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError, StorageError
from fewshot.progress import import_tqdm

_MAX_LABELS = 50  # in a card


def card(labels: Sequence[str | int], encoder: str, details: Mapping[str, Any]) -> str:
    """The model card of a classifier, as the hub reads it.

    Args:
        labels: of the classes.
        encoder: description of the encoder.
        details: `stage`, `command`, `n_texts`, `accuracy` (a sentence) and so on, all of them optional.
    """
    import_tqdm()
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(library_name="fewshot-text", pipeline_tag="text-classification", tags=["few-shot", "fewshot"])
    named = ", ".join(f"`{label}`" for label in labels[:_MAX_LABELS])
    more = f" and {len(labels) - _MAX_LABELS} more" if len(labels) > _MAX_LABELS else ""
    facts = {
        "Encoder": encoder,
        "Stage": details.get("stage"),
        "Fitted on": None if "n_texts" not in details else f"{details['n_texts']} texts",
        "Accuracy": details.get("accuracy"),
        "Rejection": details.get("rejection"),
        "Made by": None if "command" not in details else f"`{details['command']}`",
    }
    lines = [f"- {name}: {fact}" for name, fact in facts.items() if fact is not None]
    text = f"""---
{data.to_yaml()}
---

# A text classifier of {len(labels)} labels

{named}{more}

{chr(10).join(lines)}

```python
from fewshot import FewShotClassifier

classifier = FewShotClassifier.from_pretrained("this folder or repository")
classifier.predict(["a new text"])
```

The folder holds the texts that the classifier was fitted on (`support.json`): its predictions are explained by them.
"""
    return str(ModelCard(text))


def fetched(name: Path | str, description: str) -> Path:
    """The local folder of a model: `name` itself, or the snapshot of a repository on the hub.

    Args:
        name: a folder, or `OWNER/NAME`.
        description: name of the file that each model folder has.

    Raises:
        ConfigError: there is neither such a folder nor such a repository.
    """
    folder = Path(name).expanduser()
    if folder.exists():
        return folder
    if str(name).count("/") != 1 or str(name).startswith((".", "/", "~")):
        raise ConfigError(f"There is no folder {str(name)!r}, expected one with {description}. Correct the name.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors", "*.md"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"There is no folder {str(name)!r}, and the hub gave no model of that name ({reason}). Expected a folder "
            f"with {description}, or OWNER/NAME of a repository. Correct the name, or go online."
        ) from error


def push(save: Callable[[Path], None], repository: str, private: bool, token: str | None) -> str:
    """Save a model to a temporary folder and upload it; StorageError if the hub refuses."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "model")
        try:
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=str(Path(folder) / "model"))
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise StorageError(
                f"The hub did not take {repository!r} ({str(error).splitlines()[0]}). Expected a token that may write "
                f"there and a connection. Log in with `hf auth login`, or give token=."
            ) from error
    return str(address)
