"""Settings of the libraries below torch, which read them when torch is first loaded: import this before it."""

import os

_SETTINGS = {
    # OpenMP threads that wait by spinning bring a shared machine of few cores to a crawl.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    # oneDNN compiles a product for each size of batch and keeps 1,024 of them, twice: 0.8 GB that make nothing faster.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)


def leave_a_core() -> None:
    """Let computations have all cores but one, where OMP_NUM_THREADS says nothing: a server answers on that one."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
