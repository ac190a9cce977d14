"""The nearest of many unit vectors: by comparison with each up to 50,000, in an index above.

The index is faiss's inverted file: k-means puts the vectors into lists, a query is compared in 8 bits a dimension with
those in the nearest half of the lists, and with the best of these exactly. `benchmarks/scale.py` measures its recall,
beside a graph (hnswlib), which answers faster and takes twenty times as long to build.

Source: Douze et al. 2024, "The Faiss library", https://arxiv.org/abs/2401.08281
"""

import logging
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

log = logging.getLogger(__name__)

EXACT = 50_000  # vectors that are compared without an index, at most
_CHUNK = 16_384  # vectors that are embedded at once
_CANDIDATES = 4  # compared exactly, for each neighbour
_TRAINING_VECTORS = 40  # for each list


class Neighbours:
    """The nearest of some vectors to a query, by cosine.

    Args:
        features: the vectors.
        embed: maps each feature vector to a unit vector of the space of comparison.
    """

    def __init__(self, features: Float[Tensor, "n dim"], embed: Callable[[Tensor], Tensor]):
        self.features, self.embed = features, embed

    def nearest(self, query: Float[Tensor, " embedded"], k: int) -> Int[Tensor, " k"]:
        """Indices of the nearest vectors, the nearest one first.

        Args:
            query: a unit vector of the space.
            k: number of neighbours; fewer are returned only if there are fewer vectors.
        """
        if self._index is None:
            cosines, indices = [], []
            for start, part in self._parts():
                best = (part @ query).topk(min(k, len(part)))
                cosines.append(best.values)
                indices.append(best.indices + start)
            order = torch.cat(cosines).topk(min(k, len(self.features))).indices
            return torch.cat(indices)[order]
        candidates = torch.from_numpy(self._index.search(query[None].numpy(), _CANDIDATES * k)[1][0])
        candidates = candidates[candidates >= 0]
        return candidates[(self.embed(self.features[candidates]) @ query).topk(min(k, len(candidates))).indices]

    def _parts(self) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self.features), _CHUNK):
            yield start, self.embed(self.features[start : start + _CHUNK])

    @cached_property
    def _index(self) -> Any:
        """The index of more than `EXACT` vectors, built at first use; otherwise None."""
        n = len(self.features)
        if n <= EXACT:
            return None
        try:
            import faiss
        except ImportError:
            log.warning(f"{n:,} vectors are compared one by one; pip install 'fewshot-text[index]' looks them up.")
            return None
        lists = round(math.sqrt(n))
        sample = self.embed(self.features[:: max(1, n // (_TRAINING_VECTORS * lists))])
        dim = sample.shape[1]
        kind = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, lists, kind, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = lists // 2
        index.train(sample.numpy())
        for _, part in self._parts():
            index.add(part.numpy())
        return index
