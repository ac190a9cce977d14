"""The growing table of predictions: what is in it after a kill, and how writing goes on."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.errors import ConfigError, StorageError
from fewshot.tables import PredictionWriter, open_table

COLUMNS = ["text", "label", "p"]
HARD = ['say "hi", now', "two\nlines", "a\rreturn", "a\ttab; and | all", " spaces ", "", "ümläut 🐸", "=1+1"]
ROWS = [[text, f"c{i}", i / 8] for i, text in enumerate(HARD)]


def written(path, rows=ROWS, **settings):
    with PredictionWriter(path, COLUMNS, **settings) as writer:
        writer.write(rows)
    return writer


def read_back(path: Path) -> list[list[str]]:
    content = path.read_bytes().decode()
    if path.suffix == ".jsonl":
        return [list(map(str, json.loads(line).values())) for line in content.split("\n") if line]
    delimiter = "\t" if path.suffix == ".tsv" else ","
    header, *rows = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    assert header == COLUMNS
    return rows


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.txt", "out"])
def test_what_was_written_reads_back(name, tmp_path):
    written(tmp_path / name)

    assert read_back(tmp_path / name) == [[text, label, str(p)] for text, label, p in ROWS]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_the_product_of_one_command_is_input_of_the_next(suffix, tmp_path):
    written(tmp_path / f"out.{suffix}")

    table = open_table(tmp_path / f"out.{suffix}")

    assert table.columns == tuple(COLUMNS)
    assert [record["text"] for _, record in table] == HARD


def test_a_cell_without_value_is_empty_and_one_empty_column_is_no_blank_line(tmp_path):
    written(tmp_path / "a.csv", [["a", None, 0.0]])
    assert (tmp_path / "a.csv").read_text() == "text,label,p\na,,0.0\n"

    with PredictionWriter(tmp_path / "b.csv", ["label"]) as writer:
        writer.write([[None], ["x"]])
    assert (tmp_path / "b.csv").read_text() == 'label\n""\nx\n'


def test_half_a_surrogate_pair_is_replaced(tmp_path):
    for name in ("a.csv", "a.jsonl"):
        written(tmp_path / name, [["a \ud800", "x", 1]])
        assert "a ?" in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl"])
def test_cut_anywhere_and_resumed_it_is_the_same_file(name, tmp_path):
    """Whatever a kill leaves of the file: complete rows are counted, a torn one is cut, and the whole comes to be."""
    whole = written(tmp_path / f"whole{Path(name).suffix}") and (tmp_path / f"whole{Path(name).suffix}").read_bytes()
    path = tmp_path / name
    counts = []
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with PredictionWriter(path, COLUMNS, resume=True) as writer:
            counts.append(writer.rows_there)
            writer.write(ROWS[writer.rows_there :])
        assert path.read_bytes() == whole
    assert counts == sorted(counts)
    assert (counts[0], counts[-2], counts[-1]) == (0, len(ROWS) - 1, len(ROWS))


def test_a_file_that_holds_something_is_replaced_when_asked_and_resumed_when_new(tmp_path):
    before = written(tmp_path / "a.csv") and (tmp_path / "a.csv").read_bytes()
    with pytest.raises(ConfigError, match=r"is there already, and would be lost.* --resume, or replace it with --over"):
        written(tmp_path / "a.csv", ROWS[:1])
    assert (tmp_path / "a.csv").read_bytes() == before
    writer = written(tmp_path / "a.csv", ROWS[:1], overwrite=True)
    assert (writer.rows_there, writer.rows_written) == (0, 1)
    assert len(read_back(tmp_path / "a.csv")) == 1

    assert written(tmp_path / "new" / "b.csv", ROWS[:1], resume=True).rows_there == 0
    assert len(read_back(tmp_path / "new" / "b.csv")) == 1

    (tmp_path / "empty.csv").touch()
    assert written(tmp_path / "empty.csv").rows_written == len(ROWS)
    assert written("/dev/null").rows_written == len(ROWS)


def test_two_never_write_one_file(tmp_path):
    pytest.importorskip("fcntl", reason="the system has no locks of files")
    with PredictionWriter(tmp_path / "a.csv", COLUMNS) as first:
        first.write(ROWS[:2])
        for settings in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(StorageError, match=r"Another process writes .*a\.csv"):
                written(tmp_path / "a.csv", **settings)
        first.write(ROWS[2:])
    assert len(read_back(tmp_path / "a.csv")) == len(ROWS)


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\na,b\n"), ("a.jsonl", '{"text": "a"}\n'), ("b.jsonl", "[1]\n")]
)
def test_a_file_of_other_columns_is_not_gone_on_with(name, content, tmp_path):
    (tmp_path / name).write_text(content)

    with pytest.raises(ConfigError, match=r"Cannot go on with .*expected the columns 'text', 'label', 'p'"):
        PredictionWriter(tmp_path / name, COLUMNS, resume=True)

    assert (tmp_path / name).read_text() == content


def test_outputs_that_cannot_be(tmp_path):
    for name in ("a.xlsx", "a.parquet", "a.json"):
        with pytest.raises(ConfigError, match=r"expected a file that ends in \.csv, \.tsv or \.jsonl"):
            PredictionWriter(tmp_path / name, COLUMNS)
    with pytest.raises(ConfigError, match="is a folder, expected a file"):
        PredictionWriter(tmp_path, COLUMNS)
    with pytest.raises(ConfigError, match="--resume with standard output"):
        PredictionWriter("-", COLUMNS, resume=True)
    for path in (tmp_path / ("x" * 5000), tmp_path / "a\0b", "/proc/no/such.csv"):
        with pytest.raises(StorageError, match="Could not write") as caught:
            PredictionWriter(path, COLUMNS)
        assert len(str(caught.value)) < 500


def test_the_file_that_is_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mails.csv").write_text("text\na\n")
    (tmp_path / "link.csv").symlink_to("mails.csv")

    for name in ("mails.csv", "./mails.csv", "link.csv"):
        with pytest.raises(ConfigError, match="is the file that is read, and would be lost"):
            PredictionWriter(name, COLUMNS, inputs=["-", "no/such", tmp_path / "mails.csv"])

    assert (tmp_path / "mails.csv").read_text() == "text\na\n"


class Full(io.RawIOBase):
    """A disk with room for some bytes."""

    def __init__(self, path, room):
        self.file = open(path, "rb+", buffering=0)  # noqa: SIM115
        self.file.seek(0, 2)
        self.room = room

    def write(self, content):
        if not self.room:
            raise OSError(28, "No space left on device")
        count = self.file.write(bytes(content[: self.room]))
        self.room -= count
        return count

    def truncate(self, size=None):
        return self.file.truncate(size)

    def close(self):
        self.file.close()
        super().close()


def test_a_full_disk_leaves_complete_rows_and_a_sentence(tmp_path):
    writer = PredictionWriter(tmp_path / "a.csv", COLUMNS)
    writer.write(ROWS[:3])
    writer._file.close()
    writer._file = Full(tmp_path / "a.csv", room=20)

    with pytest.raises(StorageError, match=r"No space left on device\. The 3 rows in it are complete\..*--resume"):
        writer.write(ROWS[3:])
    writer.close()

    assert len(read_back(tmp_path / "a.csv")) == 3


def test_an_interrupt_inside_of_a_block_leaves_complete_rows(tmp_path):
    class Interrupted(Full):
        def write(self, content):
            if not self.room:
                raise KeyboardInterrupt
            return super().write(content)

    writer = PredictionWriter(tmp_path / "a.jsonl", COLUMNS)
    writer.write(ROWS[:2])
    writer._file.close()
    writer._file = Interrupted(tmp_path / "a.jsonl", room=30)
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(ROWS[2:])

    assert len(read_back(tmp_path / "a.jsonl")) == 2


KILLED = """
import sys
from fewshot.tables import PredictionWriter
with PredictionWriter(sys.argv[1], ["text", "label", "p"], resume=True) as writer:
    print(writer.rows_there, flush=True)
    for start in range(writer.rows_there, 10**9, 50):
        writer.write([["two\\nlines, " + str(i), "x" * (i % 7), i] for i in range(start, start + 50)])
        print(start, flush=True)
"""


def test_killed_twice_it_goes_on_where_it_was(tmp_path):
    path = tmp_path / "a.csv"
    there = []
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as process:
            there.append(int(process.stdout.readline()))
            for _ in range(20):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)

    with PredictionWriter(path, COLUMNS, resume=True) as writer:
        assert writer.rows_there >= there[1] + 20 * 50 - 50
    rows = read_back(path)
    assert there[0] == 0
    assert there[1] >= 19 * 50
    assert [int(row[2]) for row in rows] == list(range(writer.rows_there))


def test_standard_output(capsysbinary):
    written("-", ROWS[:2])

    assert capsysbinary.readouterr().out == b'text,label,p\n"say ""hi"", now",c0,0.0\n"two\nlines",c1,0.125\n'


def test_standard_output_that_was_replaced_by_a_text(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    written("-", [["ä", "x", 1]])

    assert sys.stdout.getvalue() == "text,label,p\nä,x,1\n"


def test_a_row_of_another_width_is_a_mistake_of_the_caller(tmp_path):
    with (
        pytest.raises(ValueError, match="Got 1 cells, expected 3"),
        PredictionWriter(tmp_path / "a", COLUMNS) as writer,
    ):
        writer.write([["a"]])
    assert (tmp_path / "a").read_text() == "text,label,p\n"
