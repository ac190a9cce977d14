import pytest

from fewshot.augment.chat.answer_cache import AnswerCache
from fewshot.errors import StorageError


def test_an_answer_is_there_for_another_process(tmp_path):
    AnswerCache(tmp_path / "a").write("k", 'é "x" \ud800', "model", "host")

    assert AnswerCache(tmp_path / "a").read("k") == 'é "x" ?'
    assert AnswerCache(tmp_path / "a").read("other") is None
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["k.json"]


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"answer": 3}', '{"answer": "cut'])
def test_a_damaged_file_counts_as_absent(tmp_path, content):
    (tmp_path / "k.json").write_text(content)

    assert AnswerCache(tmp_path).read("k") is None


def test_without_a_folder_nothing_is_kept():
    cache = AnswerCache(None)
    cache.write("k", "a", "model", "host")

    assert cache.read("k") is None


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match=r"set augment\.sources\.llm\.cache to another folder"):
        AnswerCache(tmp_path / "file").write("k", "a", "model", "host")
