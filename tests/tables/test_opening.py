"""One table in every format and encoding: the same rows, and a sentence on what was recognised."""

import io
import json
import subprocess
import sys
import tracemalloc
from itertools import islice

import pyarrow
import pyarrow.parquet
import pytest

from fewshot.errors import TaskError
from fewshot.resources import shipped
from fewshot.tables import Table, open_table

CSV = 'message,category\n"My card, it is gone",lost\nWo ist mein Päckchen?,parcel\n"two\nlines",lost\n'
ROWS = [
    {"message": "My card, it is gone", "category": "lost"},
    {"message": "Wo ist mein Päckchen?", "category": "parcel"},
    {"message": "two\nlines", "category": "lost"},
]


def write(path, content) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(path)


def separated(mark: str) -> str:
    lines = [("message", "category"), *(tuple(row.values()) for row in ROWS)]
    return "".join(f'"{text}"{mark}{label}\n' for text, label in lines)


SEMICOLONS = "Its columns are separated by ';'."
CASES = {
    "csv": ("mails.csv", CSV, []),
    "with a mark": ("mails.csv", "\ufeff" + CSV, []),
    "windows line ends": ("mails.csv", CSV.replace("two\nlines", "two\rlines").replace("\n", "\r\n"), None),
    "semicolons": ("mails.csv", separated(";"), [SEMICOLONS]),
    "pipes": ("mails.csv", separated("|"), ["Its columns are separated by '|'."]),
    "tabs in csv": ("mails.csv", separated("\t"), ["Its columns are separated by tabs."]),
    "tsv": ("mails.tsv", separated("\t"), []),
    "tab": ("mails.TAB", separated("\t"), []),
    "sep=": ("mails.csv", "sep=;\r\n" + separated(";"), [SEMICOLONS]),
    "UTF-16": ("mails.csv", CSV.encode("utf-16"), ["{path} was read as UTF-16."]),
    "Windows-1252": ("mails.csv", CSV.encode("cp1252"), ["{path} was read as Windows-1252."]),
    "of a spreadsheet": (
        "mails.csv",
        separated(";").encode("cp1252"),
        ["{path} was read as Windows-1252.", SEMICOLONS],
    ),
    "unicode text": ("mails.txt", separated("\t").replace("two\n", "two ").encode("utf-16"), None),
    "jsonl": ("mails.jsonl", "\n".join(map(json.dumps, ROWS)), []),
    "ndjson": ("mails.ndjson", "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), []),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_and_notes(case, tmp_path):
    name, content, notes = CASES[case]

    table = write(tmp_path / name, content)

    assert table.columns == ("message", "category")
    read = [record for _, record in table]
    assert [" ".join(row["message"].split()) for row in read] == [" ".join(row["message"].split()) for row in ROWS]
    assert [row["category"] for row in read] == ["lost", "parcel", "lost"]
    if notes is not None:
        assert read == ROWS
        assert list(table.notes) == [note.format(path=tmp_path / name) for note in notes]


def test_a_place_is_the_path_as_it_was_given_and_the_line_where_a_row_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mails.csv", 'text,label\n\n"a\nb",x\n\nc,y\n')

    assert [place for place, _ in open_table("mails.csv")] == ["mails.csv, line 3", "mails.csv, line 6"]


def test_a_line_above_the_table_is_counted(tmp_path):
    table = write(tmp_path / "mails.csv", "sep=;\ntext;label\na;b\n")

    assert [place for place, _ in table] == [f"{tmp_path / 'mails.csv'}, line 3"]


def test_a_table_is_read_anew_each_time(tmp_path):
    table = write(tmp_path / "mails.csv", CSV)

    assert list(table) == list(table)
    assert next(iter(table))[1] == ROWS[0]


def test_the_home_folder_is_filled_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mails.csv", CSV)

    assert open_table("~/mails.csv").name == "~/mails.csv"
    assert len(list(open_table("~/mails.csv"))) == 3


def test_one_text_a_line_and_blank_lines_are_read_past(tmp_path):
    table = write(tmp_path / "texts.txt", 'My card, it is gone\r\n\n"Where?" \n')

    assert table.columns == ("text",)
    assert [record["text"] for _, record in table] == ["My card, it is gone", '"Where?"']
    assert [place[-6:] for place, _ in table] == ["line 1", "line 3"]


def test_utf8_is_never_taken_for_windows_1252(tmp_path):
    table = write(tmp_path / "mails.csv", "text,label\n" + "ä” à »" * 1000 + ",x\n")

    assert table.notes == ()
    assert next(iter(table))[1]["text"].startswith("ä” à »")


def test_windows_1252_is_told_from_far_down_and_despite_some_pairs_that_look_like_utf8(tmp_path):
    text = "text,label\n" + ("plain " * 20 + ",x\n") * 15_000 + "où est « là » le café,y\nÜ“berall,y\nélève,y\n"

    table = write(tmp_path / "mails.csv", text.encode("cp1252"))

    assert table.notes == (f"{tmp_path / 'mails.csv'} was read as Windows-1252.",)
    assert list(table)[-1][1]["text"] == "élève"


def test_letters_of_another_alphabet_are_refused(tmp_path):
    with pytest.raises(TaskError, match=r"line 2: the byte 0xcf is not UTF-8.*does not look like Windows-1252"):
        write(tmp_path / "mails.csv", "text,label\nПривет мой друг,а\n".encode("cp1251"))


def test_a_text_of_a_megabyte_comes_through(tmp_path):
    long = "word " * 250_000
    for name, content in (
        ("a.csv", f"text,label\nshort,x\n{long},y\n"),
        ("a.jsonl", json.dumps({"text": long, "label": "y"})),
        ("a.txt", long),
    ):
        assert list(write(tmp_path / name, content))[-1][1]["text"].strip() == long.strip()


def test_a_tsv_whose_quotes_are_letters(tmp_path):
    table = write(tmp_path / "a.tsv", 'text\tlabel\n"Hello he said\tx\nfoo "bar" baz\ty\n"in" the middle\tx\n')

    assert [row["text"] for _, row in table] == ['"Hello he said', 'foo "bar" baz', '"in" the middle']
    assert table.notes == ("Its double quotes were read as part of the texts.",)


def test_separators_at_the_ends_of_lines_are_no_columns(tmp_path):
    table = write(tmp_path / "a.csv", "text;label;;\nan a;x;;\na b;y;;\n")

    assert table.columns == ("text", "label")
    assert [record["label"] for _, record in table] == ["x", "y"]


def test_columns_of_one_name_or_none_are_told_apart(tmp_path):
    table = write(tmp_path / "a.csv", "text,,text,label\n1,2,3,4\n")

    assert table.columns == ("text", "column 2", "text (2)", "label")
    assert next(iter(table))[1] == {"text": "1", "column 2": "2", "text (2)": "3", "label": "4"}


def test_a_key_that_comes_later_is_a_column_too(tmp_path):
    table = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b", "label": "c"}\n')

    assert table.columns == ("text", "label")


def test_parquet_is_read_in_batches(tmp_path):
    pyarrow.parquet.write_table(
        pyarrow.table({"text": [f"text {i}" for i in range(3000)], "label": [i % 3 for i in range(3000)]}),
        tmp_path / "a.parquet",
    )
    table = open_table(tmp_path / "a.parquet")

    rows = list(table)

    assert table.columns == ("text", "label")
    assert len(rows) == 3000
    assert rows[2999] == (f"{tmp_path / 'a.parquet'}, row 3000", {"text": "text 2999", "label": 2})


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.parquet"])
def test_memory_does_not_grow_with_the_rows(name, tmp_path):
    count = 10_000
    texts = [f"text number {i}, which is about a card" * 25 for i in range(count)]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path)
    elif name.endswith(".csv"):
        path.write_text("id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(texts)))
    else:
        path.write_text("".join((json.dumps({"text": t}) if "json" in name else t) + "\n" for t in texts))
    del texts
    tracemalloc.start()

    table = open_table(path)
    opened = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    read = sum(1 for _ in table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert read == count
    assert peak < 3_000_000
    assert opened < 8_000_000  # the first lines, by which the layout is told


def pipe(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_standard_input_has_one_text_a_line(monkeypatch):
    pipe(monkeypatch, b"\xef\xbb\xbfone, two\r\n\nthree \xc3\xa4")

    table = open_table("-")

    assert table.columns == ("text",)
    assert list(table) == [
        ("standard input, line 1", {"text": "one, two"}),
        ("standard input, line 3", {"text": "three ä"}),
    ]
    assert table.notes == ("Empty rows between others were left out: 1.",)
    assert table.sample == ()
    with pytest.raises(TaskError, match="was read already"):
        list(table)


def test_standard_input_in_windows_1252_is_said_once_it_is_read(monkeypatch):
    pipe(monkeypatch, b"plain\ncaf\xe9\n\xc3\xa4\n")

    table = open_table("-")

    assert [record["text"] for _, record in table] == ["plain", "café", "Ã¤"]
    assert table.notes == ("standard input was read as Windows-1252.",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xc3\xa4\ncaf\xe9\n", "standard input, line 2: the byte 0xe9 is not UTF-8"),
        (b"a\0b\n", "line 1: there is a NUL byte"),
        (b"\xff\xfea\0", "is UTF-16, expected UTF-8"),
        (b"PK\x03\x04...", "seems to be a zip archive, expected one text a line"),
    ],
)
def test_what_is_no_text_on_standard_input(content, said, monkeypatch):
    pipe(monkeypatch, content)

    with pytest.raises(TaskError, match=said):
        list(open_table("-"))


def test_texts_of_a_pipe_come_as_soon_as_they_are_there():
    code = "from fewshot.tables import open_table\nfor _, row in open_table('-'): print(row['text'], flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "one\n"  # while the pipe is open
        process.stdin.write("two\n")
        process.stdin.close()
        assert process.stdout.read() == "two\n"


def test_the_room_needs_no_torch():
    code = "import fewshot.tables as t, sys; [getattr(t, n) for n in t.__all__]; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_the_samples_are_tables():
    labelled, new = (
        list(islice(open_table(shipped("samples") / name), 100)) for name in ("mails.csv", "new_mails.csv")
    )

    assert len(labelled) == 40
    assert len({record["message"] for _, record in labelled + new}) == 48
    assert list(new[0][1]) == ["message"]
