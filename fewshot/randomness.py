"""One root seed, many named generators: the same name gives the same stream in any process."""

import hashlib

import torch


def child_seed(seed: int, name: str) -> int:
    """A seed for the stream `name`, independent of hash randomisation, platform and order of calls.

    Args:
        seed: the root seed.
        name: the stream, for example `"sampler"`.

    Returns:
        An integer in `[0, 2**63)`.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def child_generator(seed: int, name: str) -> torch.Generator:
    """A CPU generator for the stream `name` of the root `seed`.

    Example:
        >>> a, b = child_generator(0, "sampler"), child_generator(0, "sampler")
        >>> bool(torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b)))
        True
    """
    return torch.Generator().manual_seed(child_seed(seed, name))
