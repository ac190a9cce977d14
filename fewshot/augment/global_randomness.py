"""Libraries that draw from the process's global generators: seeded for a while, and nobody else notices."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of `random`, NumPy and torch; put all of them back, also after an error.

    Args:
        seed: any integer from 0; NumPy gets its last 32 bits.

    Example:
        >>> before = random.getstate()
        >>> with seeded(1):
        ...     drawn = random.random()
        >>> before == random.getstate()
        True
    """
    # A GPU's generator counts only where one is in use: asking for it would start the device.
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if on_gpu else []
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds every device
        if on_gpu:
            torch.cuda.manual_seed_all(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if on_gpu:
            torch.cuda.set_rng_state_all(gpus)
