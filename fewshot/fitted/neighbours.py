"""The nearest of many unit vectors: compared one by one up to 50,000, and looked up in an index above.

The index is faiss's inverted file: k-means puts the vectors into lists, a query is compared in 8 bits a dimension with
those of the half of the lists that is nearest to it, and the best of these once more exactly. `benchmarks/scale.py`
measures what it finds, beside a graph (hnswlib), which answers faster and takes twenty times as long to build.

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

EXACT = 50_000  # vectors that are compared one by one
_CHUNK = 16_384  # vectors that are embedded at once
_COMPARED = 4  # times as many as are asked for are compared exactly
_TRAINED_ON = 40  # vectors for each list


class Neighbours:
    """The nearest of some vectors to a query, by cosine.

    Args:
        features: the vectors, as they are kept.
        embed: maps features to unit vectors, each by itself, in whose space is compared.
    """

    def __init__(self, features: Float[Tensor, "n dim"], embed: Callable[[Tensor], Tensor]):
        self.features, self.embed = features, embed

    def nearest(self, query: Float[Tensor, " embedded"], k: int) -> Int[Tensor, " k"]:
        """Places of the nearest, the nearest one first.

        Args:
            query: a unit vector of the space.
            k: how many; there are fewer only if there are fewer vectors.
        """
        if self._index is None:
            values, places = [], []
            for start, part in self._parts():
                best = (part @ query).topk(min(k, len(part)))
                values.append(best.values)
                places.append(best.indices + start)
            order = torch.cat(values).topk(min(k, len(self.features))).indices
            return torch.cat(places)[order]
        found = torch.from_numpy(self._index.search(query[None].numpy(), _COMPARED * k)[1][0])
        found = found[found >= 0]
        return found[(self.embed(self.features[found]) @ query).topk(min(k, len(found))).indices]

    def _parts(self) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self.features), _CHUNK):
            yield start, self.embed(self.features[start : start + _CHUNK])

    @cached_property
    def _index(self) -> Any:
        """The index of more vectors than are compared one by one, built when it is first asked; else None."""
        n = len(self.features)
        if n <= EXACT:
            return None
        try:
            import faiss
        except ImportError:
            log.warning(f"{n:,} vectors are compared one by one; pip install 'fewshot-text[index]' looks them up.")
            return None
        lists = round(math.sqrt(n))
        sample = self.embed(self.features[:: max(1, n // (_TRAINED_ON * lists))])
        dim = sample.shape[1]
        kind = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, lists, kind, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = lists // 2
        index.train(sample.numpy())
        for _, part in self._parts():
            index.add(part.numpy())
        return index
