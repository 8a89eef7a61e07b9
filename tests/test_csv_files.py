from pathlib import Path

import pytest
from builders import sentence_of

from mocliplite.csv_files import append_rows, read_csv, read_rows, resume_rows, write_csv, write_rows

pytestmark = pytest.mark.usefixtures("folder")


def test_csv_has_the_keys_as_header_and_floats_with_six_decimals():
    write_csv("out.csv", [{"epoch": 1, "loss": 2 / 3, "head": "a,b"}, {"epoch": 2, "loss": 0.25, "head": "c"}])
    assert Path("out.csv").read_bytes() == b'epoch,loss,head\n1,0.666667,"a,b"\n2,0.25,c\n'


def test_csv_rows_with_different_keys_are_refused():
    with pytest.raises(ValueError, match="not all rows have the keys"):
        write_csv("out.csv", [{"a": 1}, {"b": 2}])
    assert not Path("out.csv").exists()


def test_csv_text_is_read_back_unchanged():
    rows = [['say "hi"', "a,b"], ["two\nlines", "a\rb"], ["é", ""], ["", "\r\n"], [" x ", "'"]]
    write_rows("out.csv", ["id", "reason"], rows)
    assert read_rows("out.csv", ["id", "reason"]) == rows


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            b"id,why\na,b\n",
            "out.csv does not have the columns id,reason in every row; run `dvc repro` to write it again.",
        ),
        (
            b"id,reason\na\n",
            "out.csv does not have the columns id,reason in every row; run `dvc repro` to write it again.",
        ),
        (b"", "out.csv does not have the columns id,reason in every row; run `dvc repro` to write it again."),
    ],
)
def test_csv_with_other_columns_is_refused(text, wanted):
    Path("out.csv").write_bytes(text)
    assert sentence_of(read_rows, "out.csv", ["id", "reason"]) == wanted


def test_a_file_that_is_not_csv_is_refused():
    Path("out.csv").write_bytes(b"id,reason\n\xff\xfe")
    sentence = sentence_of(read_rows, "out.csv", ["id", "reason"])
    assert sentence.startswith("out.csv is not valid CSV (")
    assert sentence.endswith("); run `dvc repro` to write it again.")


@pytest.mark.parametrize("read", [lambda path: read_rows(path, ["id", "reason"]), read_csv])
def test_a_table_with_a_character_that_no_path_can_contain_is_refused(read):
    Path("out.csv").write_text('id,reason\na,"\n\0"\n')
    assert sentence_of(read, "out.csv") == (
        "out.csv is not valid CSV (line contains NUL); run `dvc repro` to write it again."
    )


def test_a_missing_csv_is_refused():
    assert (
        sentence_of(read_rows, "out.csv", ["id"])
        == "out.csv does not exist; run `dvc pull --allow-missing`, or else `dvc repro`."
    )


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(1)", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff20A"]
)
def test_no_text_in_a_table_for_readers_is_a_formula(text):
    write_csv("a.csv", [{"class": text, "gain": -0.5, "clips": -1}])
    assert read_csv("a.csv") == [{"class": f"'{text}", "gain": "-0.5", "clips": "-1"}]


def test_of_a_table_that_was_cut_off_anywhere_whole_rows_are_kept():
    header, rows = ["id", "reason"], [["a", 'say "hi"'], ["b", "two\nlines\n"], ["c,d", "e"]]
    write_rows("out.csv", header, [])
    for row in rows:
        append_rows("out.csv", [row])
    whole = Path("out.csv").read_bytes()
    assert resume_rows("out.csv", header) == rows
    found = []
    for size in range(len("id,reason\n"), len(whole)):
        Path("out.csv").write_bytes(whole[:size])
        found.append(resume_rows("out.csv", header))
    assert [kept for kept in found if kept not in (rows[:0], rows[:1], rows[:2])] == []
    assert rows[:2] in found
