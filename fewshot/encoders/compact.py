"""Containers for trained weights that take less memory: matrices in 16 bits, digests as bytes."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from torch import Tensor

_DIGITS = 12  # of a digest


class In16Bits(Mapping[str, Tensor]):
    """Tensors by name, read in float32 and stored in bfloat16: without loss if bfloat16 holds them exactly."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.stored = {name: tensor.bfloat16() for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self.stored[name].float()

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)


class Digests(Collection[str]):
    """Texts' digests of 12 hex digits, in six bytes each."""

    def __init__(self, digests: Iterable[str]):
        self._bytes = bytes.fromhex("".join(digests))

    def __iter__(self) -> Iterator[str]:
        joined = self._bytes.hex()
        return (joined[start : start + _DIGITS] for start in range(0, len(joined), _DIGITS))

    def __len__(self) -> int:
        return 2 * len(self._bytes) // _DIGITS

    def __contains__(self, digest: object) -> bool:
        return digest in set(self)
