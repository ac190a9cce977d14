"""What the server answers, over HTTP in this process."""

import asyncio
import json
import logging
import shutil
from dataclasses import replace

import pytest

from fewshot.cli.app import main
from fewshot.serving import server, service
from fewshot.serving.audit import AuditLog, TextDigest
from fewshot.serving.drift import Window
from fewshot.serving.limits import MAX_BODY, Limits
from fewshot.serving.scoring import Query
from fewshot.serving.service import PredictionRequest
from fewshot.serving.variants import Experiment
from fewshot.text_classifier import TextClassifier
from tests.serving.conftest import TEXTS, records, serving


def test_texts_get_the_labels_and_probabilities_of_the_classifier(mails):
    classifier = TextClassifier.from_pretrained(mails)

    async def scenario(client, service):
        one = (await client.post("/predict", json={"texts": TEXTS[0]})).json()
        many = (await client.post("/predict", json={"texts": TEXTS, "top": None})).json()
        return one, many

    one, many = serving({"mails": mails}, scenario)
    assert one["model"] == "mails"
    assert one["predictions"][0]["label"] == many["predictions"][0]["label"]
    assert [said["label"] for said in many["predictions"]] == classifier.predict(TEXTS)
    probabilities = classifier.predict_proba(TEXTS).tolist()
    for said, row in zip(many["predictions"], probabilities, strict=True):
        named = {each["label"]: each["probability"] for each in said["probabilities"]}
        assert named == pytest.approx(dict(zip(classifier.labels, row, strict=True)), abs=1e-5)
        assert [each["probability"] for each in said["probabilities"]] == sorted(named.values(), reverse=True)
        assert said["probability"] == max(named.values())


def test_an_explanation_adds_up(mails):
    async def scenario(client, service):
        return (await client.post("/predict", json={"texts": TEXTS[1], "explain": True, "top": 1})).json()

    said = serving({"mails": mails}, scenario)["predictions"][0]
    why = said["explanation"]
    assert why["label"] == said["label"] == said["probabilities"][0]["label"]
    assert sum(one["weight"] for one in why["evidence"]) + why["rest"] == pytest.approx(why["score"], abs=1e-4)
    assert why["evidence"][0]["text"] == TEXTS[1]  # of the support itself


def test_models_of_one_encoder_are_encoded_together(mails, other):
    async def scenario(client, service):
        encoder = service.models["mails"].classifier.encoder
        assert service.models["other"].classifier.encoder is encoder
        before = encoder.n_encoded
        asked = [client.post("/predict", json={"texts": "red card", "model": name}) for name in ("mails", "other")]
        said = [answer.json() for answer in await asyncio.gather(*asked)]
        return encoder.n_encoded - before, said

    n_encoded, said = serving({"mails": mails, "other": other}, scenario)
    assert n_encoded == 1
    assert [one["model"] for one in said] == ["mails", "other"]
    assert said[0]["digest"] != said[1]["digest"]
    assert said[0]["predictions"] != said[1]["predictions"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "The field texts is absent. Expected a text, or a list of 1 to 256 texts"),
        ({"texts": []}, "Got texts=[], expected a text, or a list of 1 to 256 texts, each of 20,000 characters"),
        ({"texts": ["a", 3]}, "Got texts[1]=3, expected a text, or a list of 1 to 256 texts"),
        ({"texts": None}, "Got texts=null, expected a text"),
        ({"texts": "x" * 20_001}, "Got texts='xxxx"),
        ({"texts": ["a"] * 257}, "expected a text, or a list of 1 to 256 texts"),
        ({"texts": "a", "top": 0}, "Got top=0, expected a whole number from 1 on"),
        ({"texts": "a", "explain": "yes"}, "Got explain='yes', expected true or false"),
        ({"texts": "a", "modl": "x"}, "There is no field 'modl'. Leave it out."),
        ([1], "The body is no JSON object"),
        ({"texts": "\ud800"}, r"Got texts='\ud800', expected a text"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(mails, body, sentence):
    async def scenario(client, service):
        content = json.dumps(body).encode()
        return await client.post("/predict", content=content, headers={"content-type": "application/json"})

    answer = serving({"mails": mails}, scenario)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 400


def test_bodies_of_other_kinds_are_refused(mails):
    async def scenario(client, service):
        json_kind = {"content-type": "application/json"}

        async def endless():
            for _ in range(MAX_BODY // 2**20 + 1):
                yield b" " * 2**20

        return [
            await client.post("/predict", content=b'{"texts": ', headers=json_kind),
            await client.post("/predict", content=b"", headers=json_kind),
            await client.post("/predict", content=b'{"texts": "a"}'),
            await client.post("/predict", content=b" " * (MAX_BODY + 1), headers=json_kind),
            await client.post("/predict", content=endless(), headers=json_kind),
            await client.post("/predict", content=b"\xff\xfe", headers=json_kind),
            await client.get("/predict"),
            await client.get("/nothing"),
        ]

    answers = serving({"mails": mails}, scenario)
    assert [answer.status_code for answer in answers] == [422, 422, 415, 413, 413, 400, 405, 404]
    assert all(answer.json()["detail"] for answer in answers)


def test_a_model_that_is_not_there_is_not_found(mails):
    async def scenario(client, service):
        return [await client.post("/predict", json={"texts": "a", "model": name}) for name in ("x", "", "x" * 10_000)]

    answers = serving({"mails": mails}, scenario)
    assert [answer.status_code for answer in answers] == [404] * 3
    assert answers[0].json()["detail"] == "Got the model 'x', expected one of 'mails'. Leave it out for the first."
    assert len(answers[2].content) < 200


@pytest.mark.parametrize("text", ["", " ", "\0", "a\nb", "日本語", "\U0001f600" * 300, "\u202e" * 5])
def test_any_text_gets_an_answer(mails, text):
    async def scenario(client, service):
        return await client.post("/predict", json={"texts": text})

    assert serving({"mails": mails}, scenario).status_code == 200


def test_a_key_is_needed_for_all_but_what_says_nothing(mails):
    async def scenario(client, service):
        found = {}
        for bearer in (None, "Bearer wrong", "Basic secret", "Bearer secret"):
            headers = {} if bearer is None else {"authorization": bearer}
            answers = [await client.get(path, headers=headers) for path in ("/health", "/", "/models", "/metrics")]
            found[bearer] = [answer.status_code for answer in answers]
            found[bearer].append((await client.post("/predict", json={"texts": "a"}, headers=headers)).status_code)
        return found

    refused = [200, 200, 401, 401, 401]
    assert serving({"mails": mails}, scenario, key="secret") == {
        None: refused,
        "Bearer wrong": refused,
        "Basic secret": refused,
        "Bearer secret": [200] * 5,
    }


def test_a_key_of_any_bytes_is_compared(mails):
    async def scenario(client, service):
        keys = (b"Bearer \xff", b"Bearer \xfe")
        return [(await client.get("/models", headers={b"authorization": key})).status_code for key in keys]

    assert serving({"mails": mails}, scenario, key=b"\xff".decode("utf-8", "surrogateescape")) == [200, 401]


def test_a_key_may_end_in_a_line_end(mails, monkeypatch):
    served = []
    monkeypatch.setenv("FEWSHOT_API_KEY", "secret\n")
    monkeypatch.setattr(server, "serve", lambda *given: served.append(given))
    assert main(["serve", str(mails), "--port", "0"]) == 0
    assert served[0][3] == "secret"


def test_a_page_of_another_site_cannot_reach_a_server_without_a_key(mails):
    async def scenario(client, service):
        return [
            await client.get("/models", headers={"host": host})
            for host in ("127.0.0.1:8000", "LocalHost", "[::1]:8000", "evil.example:8000")
        ]

    answers = serving({"mails": mails}, scenario, hosts=("127.0.0.1", "localhost", "::1"))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 421]
    assert "'evil.example:8000'" in answers[-1].json()["detail"]


def test_a_full_queue_is_said_at_once(mails):
    async def scenario(client, service):
        asked = [client.post("/predict", json={"texts": ["red card"] * 200}) for _ in range(4)]
        return await asyncio.gather(*asked)

    answers = serving({"mails": mails}, scenario, limits=Limits(max_queue=256))
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429]
    full = next(answer for answer in answers if answer.status_code == 429)
    assert int(full.headers["retry-after"]) >= 1
    assert full.json()["detail"].startswith("Too many texts wait. Send the request again in ")


def test_what_is_not_computed_in_time_gets_status_503(mails, monkeypatch):
    async def scenario(client, service):
        await service._batcher.call(lambda: None)
        busy = asyncio.create_task(service._batcher.call(__import__("time").sleep, 0.2))
        answer = await client.post("/predict", json={"texts": "a"})
        await busy
        return answer, await client.post("/predict", json={"texts": "a"})

    late, next_one = serving({"mails": mails}, scenario, limits=Limits(timeout=0.1))
    assert (late.status_code, next_one.status_code) == (503, 200)
    assert late.headers["retry-after"] == "1"


def test_a_failure_of_the_server_shows_nothing_of_it(mails, monkeypatch, caplog):
    async def scenario(client, service):
        monkeypatch.setattr(TextClassifier, "predictions_from", lambda *_: 1 / 0)
        return await client.post("/predict", json={"texts": "a"})

    with caplog.at_level(logging.CRITICAL, "fewshot.serving"):
        answer = serving({"mails": mails}, scenario)
    assert answer.status_code == 500
    assert answer.json() == {"detail": "The server failed at this request. Its log says how."}


def test_learning_is_off_unless_asked_for(mails):
    async def scenario(client, service):
        return await client.post("/learn", json={"texts": ["a"], "labels": ["b"]})

    assert serving({"mails": mails}, scenario).status_code == 404


def test_a_model_learns_a_label_while_it_answers(mails, tmp_path):
    new = ["a loan with interest", "the loan and its interest"]

    async def scenario(client, service):
        before = (await client.get("/models")).json()["models"][0]
        asked = asyncio.gather(*(client.post("/predict", json={"texts": text}) for text in TEXTS))
        learnt = await client.post("/learn", json={"texts": new, "labels": ["loan", "loan"]})
        answers = await asked
        after = (await client.get("/models")).json()["models"][0]
        said = await client.post("/predict", json={"texts": new[0]})
        wrong = await client.post("/learn", json={"texts": ["a", "b"], "labels": ["loan"]})
        return before, learnt.json(), [answer.status_code for answer in answers], after, said.json(), wrong

    audit = AuditLog(tmp_path / "audit.jsonl", TextDigest(None))
    before, learnt, statuses, after, said, wrong = serving({"mails": mails}, scenario, learns=True, audit=audit)
    assert statuses == [200] * len(TEXTS)
    assert (learnt["labels"], learnt["n_texts"]) == (["blue", "green", "loan", "red"], 26)
    assert learnt["saved"] is False
    assert before["digest"] != learnt["digest"] == after["digest"] == said["digest"]
    assert after["n_learnt"] == 2
    assert after["held_out_accuracy"] is None
    assert said["predictions"][0]["label"] == "loan"
    assert (wrong.status_code, wrong.json()["detail"]) == (
        422,
        "Got 2 texts and 1 labels, expected one label for each text.",
    )
    taught = records(tmp_path / "audit.jsonl", "learnt")
    assert [record["label"] for record in taught] == ["loan", "loan"]
    assert taught[0]["before"] == before["digest"]
    assert TextClassifier.from_pretrained(mails).labels == ("blue", "green", "red")  # only in memory


@pytest.mark.parametrize("label", ["", "\ud800", "x" * 1001, 2**53])
def test_a_label_that_counters_and_files_cannot_hold_is_not_learnt(mails, label):
    async def scenario(client, service):
        body = json.dumps({"texts": ["a"], "labels": [label]}).encode()
        return await client.post("/learn", content=body, headers={"content-type": "application/json"})

    answer = serving({"mails": mails}, scenario, learns=True)
    assert answer.status_code == 422
    assert "expected a list with the label of each text, a text of 1 to 1,000 characters" in answer.json()["detail"]


def test_a_folder_that_was_fitted_again_is_not_replaced_by_what_an_older_model_learns(mails, other, tmp_path):
    folder = tmp_path / "mails"
    shutil.copytree(mails, folder)

    async def scenario(client, service):
        shutil.copytree(other, folder, dirs_exist_ok=True)
        refused = await client.post("/learn", json={"texts": ["loan interest"], "labels": ["loan"]})
        await service.reload()
        return refused, await client.post("/learn", json={"texts": ["loan interest"], "labels": ["loan"]})

    refused, learnt = serving({"mails": folder}, scenario, learns=True, saves=True)
    assert refused.status_code == 422
    assert "has changed since the model was read" in refused.json()["detail"]
    assert (learnt.json()["n_texts"], learnt.json()["saved"]) == (7, True)


def test_what_is_learnt_and_not_saved_is_gone_with_the_next_reading_and_the_log_says_so(mails, caplog):
    async def scenario(client, service):
        await client.post("/learn", json={"texts": ["loan interest"], "labels": ["loan"]})
        await service.reload()
        return (await client.get("/models")).json()["models"][0]

    assert serving({"mails": mails}, scenario, learns=True)["n_learnt"] == 0
    assert "Texts that mails had learnt are gone: 1. With --save they stay." in caplog.text


def test_what_is_learnt_is_saved_if_asked_for_and_loaded_anew(mails, tmp_path):
    folder = tmp_path / "mails"
    shutil.copytree(mails, folder)

    async def scenario(client, service):
        learnt = (await client.post("/learn", json={"texts": ["loan interest"], "labels": ["loan"]})).json()
        await service.reload()
        after = (await client.get("/models")).json()["models"][0]
        (folder / "classifier.json").write_text("{")
        with_damage = service.models["mails"]
        await service.reload()
        assert service.models["mails"] is with_damage
        return learnt, after, (await client.post("/predict", json={"texts": "a"})).status_code

    learnt, after, status = serving({"mails": folder}, scenario, learns=True, saves=True)
    assert learnt["saved"] is True
    assert after["digest"] == learnt["digest"]
    assert after["labels"] == learnt["labels"] == ["blue", "green", "loan", "red"]
    assert status == 200


def test_the_log_holds_a_line_for_each_text(mails, tmp_path):
    async def scenario(client, service):
        headers = {"x-request-id": "mine-1"}
        answer = await client.post("/predict", json={"texts": ["red card", "blue tax"]}, headers=headers)
        strange = await client.post("/predict", json={"texts": "a"}, headers={"x-request-id": "a b\t"})
        return answer, strange

    path = tmp_path / "audit.jsonl"
    answer, strange = serving({"mails": mails}, scenario, audit=AuditLog(path, TextDigest(None)))
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"
    assert strange.json()["request_id"] not in ("a b", "")
    lines = records(path, "prediction")
    assert [record["request_id"] for record in lines[:2]] == ["mine-1"] * 2
    assert lines[0]["text_sha256"] == TextDigest(None)("red card")
    said = answer.json()["predictions"]
    assert [record["label"] for record in lines[:2]] == [one["label"] for one in said]
    assert [record["probability"] for record in lines[:2]] == [one["probability"] for one in said]
    assert {record["digest"] for record in lines} == {answer.json()["digest"]}
    assert "red card" not in path.read_text()


def test_a_shadow_sees_each_text_and_a_share_answers_some(mails, other, tmp_path):
    async def scenario(client, service):
        answers = await asyncio.gather(*(client.post("/predict", json={"texts": text}) for text in TEXTS * 4))
        while service._shadows:
            await asyncio.sleep(0.01)
        return [answer.json()["model"] for answer in answers]

    folders = {"mails": mails, "other": other}
    shadow, share = tmp_path / "shadow.jsonl", tmp_path / "share.jsonl"
    experiment = Experiment("mails", "other", None)
    models = serving(folders, scenario, experiment=experiment, audit=AuditLog(shadow, TextDigest(None)))
    assert set(models) == {"mails"}
    by_variant = {
        variant: {record["text_sha256"] for record in records(shadow, "prediction") if record["variant"] == variant}
        for variant in ("champion", "shadow")
    }
    assert by_variant["champion"] == by_variant["shadow"] == {TextDigest(None)(text) for text in TEXTS}

    experiment = Experiment("mails", "other", 0.5)
    models = serving(folders, scenario, experiment=experiment, audit=AuditLog(share, TextDigest(None)))
    assert 20 < models.count("other") < 76  # of 96, by a fair coin: 5 standard deviations
    variants = [record["variant"] for record in records(share, "prediction")]
    assert variants.count("challenger") == models.count("other")


def test_a_challenger_without_evidence_is_not_asked_to_explain(mails, other, tmp_path):
    replace(TextClassifier.from_pretrained(other), evidence=None).save_pretrained(tmp_path / "new")

    async def scenario(client, service):
        asked = {"texts": TEXTS[0], "explain": True}
        return [await client.post("/predict", json=asked) for _ in range(20)]

    experiment = Experiment("mails", "new", 0.9)
    answers = serving({"mails": mails, "new": tmp_path / "new"}, scenario, experiment=experiment)
    assert [answer.status_code for answer in answers] == [200] * 20
    assert {answer.json()["model"] for answer in answers} == {"mails"}


def test_counters_follow_what_was_answered(mails):
    async def scenario(client, service):
        await client.post("/predict", json={"texts": ["red card"] * 3})
        await client.post("/predict", json={"texts": []})
        await client.get("/secret/path")
        return (await client.get("/metrics")).text, service.models["mails"].digest

    page, digest = serving({"mails": mails}, scenario)
    label = TextClassifier.from_pretrained(mails).predict(["red card"])[0]
    for line in (
        'fewshot_requests_total{path="/predict",status="200"} 1.0',
        'fewshot_requests_total{path="/predict",status="422"} 1.0',
        'fewshot_requests_total{path="other",status="404"} 1.0',
        f'fewshot_predictions_total{{label="{label}",model="mails",variant=""}} 3.0',
        f'fewshot_model_info{{digest="{digest}",model="mails"}} 1.0',
        "fewshot_batch_texts_sum 3.0",
        "fewshot_queue_texts 0.0",
    ):
        assert line in page.splitlines()


def test_answers_of_a_model_that_was_replaced_are_not_in_the_drift_of_the_new_one(mails):
    async def scenario(client, service):
        old = Query(service.models["mails"])
        await client.post("/learn", json={"texts": ["loan interest"], "labels": ["loan"]})
        await service._answers(PredictionRequest(TEXTS, None, 5, False, "late", request_is_there), old, None)
        return len(service._windows["mails"])

    assert serving({"mails": mails}, scenario, learns=True) == 0


def test_drift_that_cannot_be_measured_stops_no_answer(mails, monkeypatch, caplog):
    monkeypatch.setattr(service, "_DRIFT_EVERY", 0.01)
    monkeypatch.setattr(Window, "shifts", lambda window: 1 / 0)

    async def scenario(client, service):
        await client.post("/predict", json={"texts": TEXTS * 3})
        while not caplog.messages:
            await asyncio.sleep(0.01)
        return (await client.post("/predict", json={"texts": "red card"})).status_code

    assert serving({"mails": mails}, scenario) == 200
    assert caplog.messages[0] == "Could not measure the drift of mails: ZeroDivisionError: division by zero"


async def request_is_there():
    return False


def test_drift_is_measured_on_what_was_answered(mails, tmp_path):
    async def scenario(client, service):
        same = await client.post("/predict", json={"texts": TEXTS * 3})
        assert same.status_code == 200
        await service.measure_drift("mails", service._windows["mails"])
        first = (await client.get("/metrics")).text
        await client.post("/predict", json={"texts": ["red fever cough"] * 250})
        await client.post("/predict", json={"texts": ["red fever cough"] * 250})
        await service.measure_drift("mails", service._windows["mails"])
        second = (await client.get("/metrics")).text
        await service.reload()
        return first, second, (await client.get("/metrics")).text

    path = tmp_path / "audit.jsonl"
    first, second, reloaded = serving({"mails": mails}, scenario, audit=AuditLog(path, TextDigest(None)))

    def p_value(page, what):
        line = next(line for line in page.splitlines() if line.startswith("fewshot_drift_p_value") and what in line)
        return float(line.rpartition(" ")[2])

    assert p_value(first, "texts") > 0.05
    assert p_value(second, "texts") < 0.01
    assert p_value(second, "labels") < 0.01 < p_value(first, "labels")
    assert records(path, "drift")[-1]["n_texts"] == 500
    assert 'fewshot_drift_texts{model="mails"} 500.0' in second
    assert 'model="mails"' not in "".join(line for line in reloaded.splitlines() if "drift" in line)
