"""The server as a process: signals, kills, and what is left behind."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from fewshot.cli.app import main
from fewshot.serving.audit import read_audit
from tests.serving.conftest import TEXTS

pytestmark = pytest.mark.slow


class Running:
    """A server that listens."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fewshot", "serve", *map(str, arguments), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        said = []
        while not (found := re.search(r"Listening on http://127\.0\.0\.1:(\d+)", said[-1] if said else "")):
            said.append(self.process.stdout.readline())
            assert said[-1], self.process.stderr.read()
        self.port = int(found[1])

    def connected(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ended(self):
        """The exit status, and what was said on standard error."""
        _, error = self.process.communicate(timeout=20)
        return self.process.returncode, error


@contextmanager
def running(*arguments, **environment):
    server = Running(*arguments, **environment)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def ask(connection, texts, path="/predict", **more):
    """Status and answer of one request; None where the connection was not made or was closed before it was sent."""
    body = json.dumps({"texts": texts, **more})
    try:
        connection.connect() if connection.sock is None else None
    except OSError:
        return None
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def ask_once(server, texts):
    """Status and answer of one request on a connection of its own."""
    with closing(server.connected()) as connection:
        return ask(connection, texts)


def asking(server, until, found):
    """Ask again and again on one connection, and keep the statuses; an answer that does not come is kept as 0."""
    with closing(server.connected()) as connection:
        while not until.is_set():
            try:
                answer = ask(connection, TEXTS[:3])
            except (OSError, http.client.HTTPException) as error:
                found.append((0, repr(error)))
                return
            if answer is None:
                return
            found.append(answer)


def under_load(server, act, n_clients=16, after=1.0):
    """What clients get before, while and after something is done to a server."""
    until, found = threading.Event(), []
    with ThreadPoolExecutor(n_clients) as clients:
        for _ in range(n_clients):
            clients.submit(asking, server, until, found)
        time.sleep(0.7)
        before = len(found)
        act()
        time.sleep(after)
        until.set()
    return found, before


def test_a_stop_loses_no_answer(mails, tmp_path):
    log = tmp_path / "audit.jsonl"
    with running(mails, "--audit-log", log) as server:
        found, before = under_load(server, lambda: server.process.send_signal(signal.SIGTERM), after=3.0)
        status, error = server.ended()
    assert before > 16
    assert [one for one in found if one[0] != 200] == []
    assert (status, error) == (0, "")
    lines = list(read_audit(log))
    assert None not in lines
    assert sum(line["kind"] == "prediction" for line in lines) == 3 * len(found)


def test_loading_anew_drops_no_request(mails, other, tmp_path):
    import shutil

    folder, log = tmp_path / "mails", tmp_path / "audit.jsonl"
    shutil.copytree(mails, folder)
    with running(folder, "--audit-log", log) as server:

        def act():
            shutil.rmtree(folder)
            shutil.copytree(other, folder)
            os.rename(log, tmp_path / "audit.1")
            server.process.send_signal(signal.SIGHUP)

        found, before = under_load(server, act, after=2.0)
        server.process.terminate()
        status, error = server.ended()
    assert status == 0
    assert "Loaded mails anew: " in error
    assert {one[0] for one in found} == {200}
    digests = [one[1]["digest"] for one in found]
    assert len(set(digests)) == 2
    assert len(set(digests[:before])) == 1
    assert all(line["digest"] == digests[-1] for line in list(read_audit(log))[-3:])  # the new file


def test_a_kill_leaves_a_log_that_can_be_read_and_written_on(mails, tmp_path):
    log = tmp_path / "audit.jsonl"
    with running(mails, "--audit-log", log) as server:
        under_load(server, server.process.kill)
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"kind": "predic')  # as if it had died in the middle of a line
    with running(mails, "--audit-log", log) as server:
        assert ask_once(server, "red card")[0] == 200
    lines = list(read_audit(log))
    assert lines.count(None) == 1
    assert lines[-1]["kind"] == "prediction"
    assert sum(line is not None for line in lines) == whole.count(b"\n") + 2


@pytest.fixture(scope="module")
def small(mails):
    """A server with a short queue and little patience, which learns."""
    with running(mails, "--max-queue", "256", "--timeout", "3", "--learn") as server:
        yield server


def test_overload_is_refused_and_nothing_is_left_unanswered(small):
    def many(_):
        return ask_once(small, ["red card " * 200] * 128)[0]

    with ThreadPoolExecutor(24) as clients:
        statuses = list(clients.map(many, range(48)))
    assert 429 in statuses
    assert set(statuses) <= {200, 429, 503}
    assert ask_once(small, "red card")[0] == 200


def test_a_slow_client_and_clients_that_leave_hold_up_nobody(small):
    with closing(small.connected()) as slow:
        slow.putrequest("POST", "/predict")
        slow.putheader("Content-Type", "application/json")
        slow.putheader("Content-Length", "100")
        slow.endheaders(b"{")
        for _ in range(20):
            with closing(small.connected()) as gone:
                gone.request("POST", "/predict", json.dumps({"texts": TEXTS}), {"Content-Type": "application/json"})
        assert ask_once(small, "red card")[0] == 200
        answer = slow.getresponse()
        assert (answer.status, "did not come within 3 seconds" in answer.read().decode()) == (408, True)


def test_requests_drawn_from_the_openapi_document_get_what_it_says(small):
    schemathesis, hypothesis = pytest.importorskip("schemathesis"), pytest.importorskip("hypothesis")
    few = hypothesis.settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    unequal = [schemathesis.checks.positive_data_acceptance]  # as many labels as texts
    asked = set()

    def holds(operation, mode):
        @few
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def one_holds(case):
            case.call_and_validate(excluded_checks=unequal if operation.path == "/learn" else [])
            asked.add(operation.path)

        one_holds()

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{small.port}/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()
        holds(operation, schemathesis.GenerationMode.POSITIVE)
        if operation.method == "post":
            holds(operation, schemathesis.GenerationMode.NEGATIVE)
    assert asked == {"/predict", "/learn", "/models", "/health", "/metrics"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "There is no folder 'nowhere'"),
        (["{mails}", "--host", "0.0.0.0"], "Set the environment variable FEWSHOT_API_KEY"),
        (["{mails}", "--port", "99999"], "Could not listen on 127.0.0.1 port 99999"),
        (["{mails}", "{mails}"], "Got two models with the name 'mails'. Write NAME=FOLDER"),
        (["a b={mails}"], "Got the model name 'a b'"),
        (["{mails}", "--shadow", "new"], "Got --shadow new, expected the name of a second model"),
        (["{mails}", "new={mails}", "--share", "new=2"], "Got --share new=2, expected a share between 0 and 1"),
        (["{mails}", "--max-queue", "3"], "Got --max-queue 3, expected 256 or more"),
        (["{mails}", "--timeout", "0"], "Got --timeout 0, expected seconds above 0"),
        (["{mails}", "--audit-log", "/dev/null/log"], "Could not open the audit log '/dev/null/log'"),
        (["{mails}", "--save"], "Got --save without --learn"),
        (["{mails}", "--log-texts"], "Got --log-texts without --audit-log"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(mails, arguments, said, capsys, monkeypatch):
    monkeypatch.delenv("FEWSHOT_API_KEY", raising=False)
    assert main(["serve", *(one.format(mails=mails) for one in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
