"""Settings of the libraries below torch, which read them when torch is loaded: import this module first."""

import os

_SETTINGS = {
    # OpenMP threads that spin while they wait slow down a shared machine with few cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    # oneDNN compiles a product for each batch size and keeps 1,024 of them, twice: 0.8 GB without a gain in speed.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)


def leave_a_core() -> None:
    """Compute on all cores but one, on which a server answers, unless OMP_NUM_THREADS is set."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
