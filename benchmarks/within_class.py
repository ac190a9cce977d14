"""Make the directions in which texts of one class vary most, which ship with the bundled encoder.

    FEWSHOT_SOURCES=DIR python -m benchmarks.within_class

The folder `wordnet_terms` of FEWSHOT_SOURCES has 22,000 terms in classes of kinds.  Of the covariance within classes,
shrunk by 0.3 towards the identity, the 128 leading directions are kept; each is damped by the root of the ratio of the
mean of the others to its own variance, so that what is left has the same variance in all.
"""

import os
from pathlib import Path

import torch
from torch.nn.functional import normalize

from fewshot.continual.within_class import FILE, FOLDER
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.resources import shipped
from fewshot.storage import write_tensors
from fewshot.tasks import load_folder

RANK, SHRINKAGE, FEWEST = 128, 0.3, 5


def main() -> None:
    """Measure and write."""
    task = load_folder(Path(os.environ["FEWSHOT_SOURCES"]) / "wordnet_terms", duplicates="drop")
    features = normalize(SentenceTransformerEncoder().encode(task.texts), dim=-1).double()
    counts = torch.bincount(task.labels)
    kept = counts[task.labels] >= FEWEST
    features, labels = features[kept], task.labels[kept]
    sums = torch.zeros(len(counts), features.shape[1], dtype=features.dtype).index_add_(0, labels, features)
    rest = features - (sums / counts.clamp(min=1)[:, None])[labels]
    covariance = rest.T @ rest
    dim = len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * covariance.trace() / dim * torch.eye(dim).double()
    variances, directions = torch.linalg.eigh(covariance)
    damping = (variances[:-RANK].mean() / variances[-RANK:]).sqrt()
    tensors = {"directions": directions[:, -RANK:].T.bfloat16(), "damping": damping.float()}
    write_tensors(shipped("weights") / FOLDER / FILE, {name: t.contiguous() for name, t in tensors.items()})
    print(f"{len(features):,} terms, {len(labels.unique())} classes, damping {damping[-1]:.2f} to {damping[0]:.2f}")


if __name__ == "__main__":
    main()
