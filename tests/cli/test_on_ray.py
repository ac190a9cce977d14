"""The start of Ray, which stands in here."""

import socket
from types import SimpleNamespace

import pytest

from fewshot.cli import on_ray
from fewshot.errors import ConfigError


@pytest.fixture
def asked(monkeypatch):
    """The addresses that Ray is given."""
    addresses = []
    ray = SimpleNamespace(is_initialized=lambda: False, init=lambda address, **settings: addresses.append(address))
    monkeypatch.setattr(on_ray, "needed", lambda *names: ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return addresses


def test_an_address_where_nothing_listens_is_refused_at_once(asked):
    with socket.socket() as bound:  # a port that is taken, without anyone who accepts
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:99999"):
            with pytest.raises(ConfigError, match=f"--engine ray found no Ray cluster at '{address}'"):
                on_ray.start_ray(address, "--engine ray")
    assert asked == []


def test_ray_gets_an_address_that_listens_and_words_of_its_own(asked, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        on_ray.start_ray(address, "--engine ray")
    on_ray.start_ray("auto", "--engine ray")
    on_ray.start_ray(None, "--engine ray")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    on_ray.start_ray(None, "--engine ray")
    assert asked == [address, "auto", "local", "auto"]
