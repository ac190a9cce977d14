"""The audit log: whole lines, other files, full disks, and what a report makes of it."""

import json
import os

import numpy as np
import pytest

from fewshot.cli.app import main
from fewshot.errors import StorageError
from fewshot.serving import audit
from fewshot.serving.audit import AuditLog, TextDigest, read_audit
from fewshot.serving.comparison import Log, Mean, differences


def prediction(text, label, probability, variant="champion", model="old", request="r", rejected=False):
    return {
        "kind": "prediction", "time": "2026-01-01T00:00:00.000Z", "request_id": request, "model": model,
        "digest": f"digest of {model}", "variant": variant, "text_sha256": TextDigest(None)(text), "label": label,
        "probability": probability, "rejected": rejected, "ms": 5.0,
    }  # fmt: skip


def test_texts_are_hashed_with_the_key_of_the_environment(monkeypatch):
    monkeypatch.setenv("FEWSHOT_AUDIT_KEY", "secret")
    keyed = TextDigest.from_environment()
    monkeypatch.delenv("FEWSHOT_AUDIT_KEY")
    plain = TextDigest.from_environment()
    assert (plain.field, keyed.field) == ("text_sha256", "text_hmac_sha256")
    assert plain("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert keyed("a") not in (plain("a"), TextDigest("other")("a"))


def test_a_new_file_is_its_owners_alone_and_texts_are_in_it_only_if_asked_for(tmp_path):
    log = AuditLog(tmp_path / "new" / "audit.jsonl", TextDigest(None), with_texts=True)
    assert log.of_text("mine") == {"text_sha256": TextDigest(None)("mine"), "text": "mine"}
    assert os.stat(tmp_path / "new" / "audit.jsonl").st_mode & 0o777 == 0o600
    log.close()


def test_a_half_line_is_ended_and_passed_over(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"kind": "model"}\n{"kind": "pre')
    log = AuditLog(path, TextDigest(None))
    log.write([{"kind": "drift"}])
    log.close()
    assert list(read_audit(path)) == [{"kind": "model"}, None, {"kind": "drift"}]


def test_a_full_disk_loses_records_and_no_line_is_mixed_up(tmp_path, monkeypatch, caplog):
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, TextDigest(None))
    write = os.write
    monkeypatch.setattr(audit.os, "write", lambda handle, content: write(handle, content[:10]))
    log.write([{"kind": "lost"}, {"kind": "lost"}])
    log.write([{"kind": "lost"}])
    monkeypatch.undo()
    log.write([{"kind": "kept"}])
    log.close()
    assert log.n_lost == 3
    assert [record for record in read_audit(path) if record] == [{"kind": "kept"}]
    assert [record.message for record in caplog.records] == [
        f"Could not write to the audit log {str(path)!r}: the disk is full. Free some space."
    ]


def test_a_half_line_of_another_process_is_ended_and_whole_ones_are_not_lost(tmp_path, monkeypatch):
    path = tmp_path / "audit.jsonl"
    one, other = (AuditLog(path, TextDigest(None)) for _ in range(2))
    write = os.write
    monkeypatch.setattr(audit.os, "write", lambda handle, content: write(handle, content[:25]))
    one.write([{"kind": "kept"}, {"kind": "lost"}])
    monkeypatch.undo()
    other.write([{"kind": "other"}])
    assert (one.n_lost, other.n_lost) == (1, 0)
    assert list(read_audit(path)) == [{"kind": "kept"}, None, {"kind": "other"}]


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(StorageError, match=r"Could not open the audit log .* Choose another file"):
        AuditLog(tmp_path, TextDigest(None))


def test_a_text_that_comes_again_is_one_observation():
    values, texts = [1.0, 0.0, 1.0, 1.0], ["a", "b", "c", "d"]
    once = Mean.of(values, texts)
    again = Mean.of(values * 50, texts * 50)
    assert (again.mean, again.n_texts) == (once.mean, 4)
    assert again.high - again.low == pytest.approx(once.high - once.low)
    half = 3.1824 * np.sqrt(4 / 3 * sum((v - 0.75) ** 2 for v in values)) / 4
    assert once.high - once.mean == pytest.approx(half, abs=1e-4)


def test_a_shadow_is_compared_on_the_same_texts():
    texts = [f"text {number}" for number in range(40)]
    records = [prediction(text, "a", 0.8, request=text) for text in texts]
    records += [
        prediction(text, "a" if number % 4 else "b", 0.9, "shadow", "new", text) for number, text in enumerate(texts)
    ]
    truth = {TextDigest(None)(text): "a" if number % 2 else "b" for number, text in enumerate(texts)}
    (found,) = differences(Log.of(records), truth)
    assert (found.first[0], found.second[0], found.paired) == ("old", "new", True)
    assert found.agreement.mean == 0.75
    assert found.probability.mean == pytest.approx(0.1)
    assert found.probability.high == pytest.approx(0.1)  # the same of all texts
    assert found.accuracy.mean == pytest.approx(0.25)  # 20 of 40, and 30 of 40
    assert 0 < found.accuracy.low < 0.25 < found.accuracy.high


def test_a_share_is_compared_on_texts_of_its_own():
    generator = np.random.default_rng(0)
    records = [prediction(f"a {n}", "a", float(generator.uniform()), request=f"a {n}") for n in range(30)]
    records += [prediction(f"b {n}", "a", float(generator.uniform()), "challenger", "new", f"b {n}") for n in range(20)]
    (found,) = differences(Log.of(records), {})
    ours = [record["probability"] for record in records]
    assert (found.paired, found.agreement, found.accuracy) == (False, None, None)
    assert found.probability.mean == pytest.approx(np.mean(ours[30:]) - np.mean(ours[:30]))
    both = np.hypot(2.0452 * np.std(ours[:30], ddof=1) / 30**0.5, 2.0930 * np.std(ours[30:], ddof=1) / 20**0.5)
    assert found.probability.high - found.probability.mean == pytest.approx(both, abs=1e-3)


def test_the_report_of_a_log_with_a_table_of_labels(tmp_path, capsys):
    texts = [f"text number {number}" for number in range(60)]
    reference = {"labels": [["a", 8], ["b", 8]], "confidences": []}
    records = [{"kind": "model", "model": "old", "digest": "digest of old", "reference": reference}]
    records += [prediction(text, "a", 0.8, request=text) for text in texts]
    records += [prediction(text, "b", 0.7, "shadow", "new", text, rejected=text == texts[0]) for text in texts]
    shift = {"size": 0.2, "p_value": 0.01}
    records += [{"kind": "drift", "model": "old", "digest": "d", "n_texts": 60, "texts": shift}]
    path, labels = tmp_path / "audit.jsonl", tmp_path / "labels.csv"
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"kind": "pre')
    labels.write_text("text,label\n" + "".join(f"{text},{'a' if n < 45 else 'b'}\n" for n, text in enumerate(texts)))
    assert main(["report", str(path), "--labels", str(labels)]) == 0
    said = capsys.readouterr().out
    for part in ("75.0 (", "25.0 (", "0.0 (0.0 to 6.0)", "-50.0 (", "on the same texts", "1.7", "0.500", "0.010"):
        assert part in said
    assert "1 lines are no whole records" in said


def test_the_report_shows_labels_of_any_kind_and_takes_none_of_them_for_a_rejection(tmp_path, capsys):
    path, labels = tmp_path / "audit.jsonl", tmp_path / "labels.csv"
    records = [prediction("one", "\x1b[31m\ud800", 0.5), prediction("two", "a", 0.5, rejected=True)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    labels.write_text("text,label\none,a\ntwo,None\n")
    assert main(["report", str(path), "--labels", str(labels)]) == 0
    said = capsys.readouterr().out
    assert r"\x1b[31m\ud800 50%, none 50%" in said
    assert "0.0 (0.0 to " in said  # right: neither of the two


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        ("", [], "holds no answers. Expected a file that `fewshot serve --audit-log` wrote."),
        ("no json\n", [], "holds no answers."),
        ("[1]\n" + "[" * 100_000 + "\n", [], "holds no answers."),
        ('{"kind": "prediction"}\n', [], "holds no answers."),
        ("", ["-o", "page.html"], "Got --output for audit logs, which have no page."),
    ],
)
def test_a_log_that_cannot_be_used_is_said_in_a_sentence(tmp_path, capsys, content, more, sentence):
    path = tmp_path / "audit.jsonl"
    path.write_text(content)
    assert main(["report", str(path), *more]) == 2
    assert sentence in capsys.readouterr().err


def test_labels_of_other_texts_are_said(tmp_path, capsys):
    path, labels = tmp_path / "audit.jsonl", tmp_path / "labels.csv"
    path.write_text(json.dumps(prediction("mine", "a", 0.5)) + "\n")
    labels.write_text("text,label\nyours,a\nothers,b\n")
    assert main(["report", str(path), "--labels", str(labels)]) == 2
    assert "None of the 2 texts of" in capsys.readouterr().err
