"""Files that are not JSON lines: JSON documents, tables with separators, other encodings; and batches of Anthropic."""

import csv
import gzip
import json

import pytest

from tcalloc.errors import InputError
from tcalloc.importing.import_logs import import_logs
from tcalloc.runs.store import read_run

ROWS = [{"id": f"q{i}", "answer": str(i % 3), "gold": "1", "cost": 0.001 * (i + 1)} for i in range(6)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def table(separator, cost="{:.3f}"):
    lines = [separator.join(ROWS[0])]
    lines += [separator.join([row["id"], row["answer"], row["gold"], cost.format(row["cost"])]) for row in ROWS]
    return "\n".join(lines) + "\n"


def imported(tmp_path, content, name="log.json", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = import_logs(path, tmp_path / "run", **options)
    return report, read_run(tmp_path / "run").records


KINDS = {
    "JSON lines": LINES,
    "JSON lines with BOM": b"\xef\xbb\xbf" + LINES.encode(),
    "JSON lines, UTF-16": LINES.encode("utf-16"),
    "JSON lines, CRLF": LINES.replace("\n", "\r\n"),
    "a list on one line": json.dumps(ROWS),
    "a list over many lines": json.dumps(ROWS, indent=2),
    "a list, UTF-16": json.dumps(ROWS, indent=2).encode("utf-16"),
    "a list, gzip": gzip.compress(json.dumps(ROWS).encode()),
    "objects over many lines": "\n".join(json.dumps(row, indent=1) for row in ROWS),
    "an object that holds the list": json.dumps({"model": "m", "rows": ROWS, "tags": ["a"]}, indent=1),
    "commas": table(","),
    "semicolons": table(";"),
    "tabs": table("\t"),
    "tabs, UTF-16": table("\t").encode("utf-16"),
    "commas with BOM and CRLF": b"\xef\xbb\xbf" + table(",").replace("\n", "\r\n").encode(),
    "commas, gzip": gzip.compress(table(",").encode()),
    "dollars": table(",", "${:.3f}"),
    "euros after": table(";", "{:.3f} €"),
    "USD": table(",", "{:.3f} USD"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_says_the_same(kind, tmp_path):
    report, records = imported(tmp_path, KINDS[kind])
    assert (report.questions, report.samples, report.marked, report.right) == (6, 6, 6, 2)
    assert [record["answer"] for record in records] == [row["answer"] for row in ROWS]
    assert [record["cost"] for record in records] == pytest.approx([row["cost"] for row in ROWS])


def test_cells_of_a_table(tmp_path):
    """Quoted cells hold separators and lines; an empty cell is null, which is no answer."""
    content = 'id,text,answer,gold,correct\na,"one,\ntwo ""x""",1,1,TRUE\nb,,,1,\n\nc,three,2,1,False\n'
    report, records = imported(tmp_path, content, "log.csv")
    assert [record.get("text") for record in records] == ['one,\ntwo "x"', None, "three"]
    assert [record["answer"] for record in records] == ["1", None, "2"]
    assert [record["correct"] for record in records] == [True, False, False]
    assert report.right == 1


def test_long_cells(tmp_path):
    long = "x" * 200_000
    _, records = imported(tmp_path, f"id,text,correct\na,{long},1\nb,short,0\n", "log.csv")
    assert records[0]["text"] == long
    assert csv.field_size_limit() < len(long)  # as before: the limit is one for all readers of this process


def test_rows_that_do_not_fit(tmp_path):
    content = table(",") + "q7,1,1,0.1,more\n"
    with pytest.raises(InputError, match=r"log.csv, line 8: 5 cells, but the first line names 4"):
        imported(tmp_path, content, "log.csv")
    report, records = imported(tmp_path, content, "log.csv", skip_bad=True)
    assert (report.skipped, len(records)) == (1, 6)


def test_a_log_of_inspect(tmp_path):
    samples = [
        {
            "id": i,
            "epoch": epoch,
            "input": f"Question {i}?",
            "target": "1",
            "output": {"model": "m", "choices": [{"message": {"role": "assistant", "content": f"ANSWER: {i % 2}"}}]},
            "scores": {"match": {"value": "C" if i % 2 else "I", "answer": str(i % 2)}},
        }
        for i in range(4)
        for epoch in (1, 2)
    ]
    log = {"version": 2, "eval": {"task": "t"}, "plan": {"steps": [{"a": 1}]}, "samples": samples}
    for indent in (None, 2):
        folder = tmp_path / f"indent {indent}"
        folder.mkdir()
        report, _ = imported(folder, json.dumps(log, indent=indent))
        assert (report.questions, report.samples, report.right, report.models) == (4, 8, 4, ["m"])


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ('["a"]', "a.json", "entry 0: 'a', not an object"),
        ("[]", "a.json", "an empty list"),
        ('[{"id": 1}', "a.json", r"line 1: not JSON \(Expecting ',' delimiter, character 11\)"),
        ('[{"id": NaN}]', "a.json", "NaN is no JSON"),
        ("[" * 100_000, "a.json", "nested too deeply"),
        ('{\n"a": [{"x": 1}],\n"b": [{"x": 1}]}', "a.json", r"several lists of objects \('a', 'b'\)"),
        ("id,id\na,b\n", "a.csv", "two columns are called 'id'"),
        (b"id,answer\na,\xff\n", "a.csv", "not UTF-8 text"),
        (b"PK\x03\x04rest", "a.xlsx", "an archive or an Excel file. Read it with pandas"),
        (b"PAR1rest", "a.parquet", "a Parquet file. Read it with pandas"),
        ("just words\n", "a.txt", "line 1: not JSON"),
        ("Hello, world\nhere, there, is more\n", "a.log", "line 1: not JSON"),
        ("[INFO] started\n", "a.log", "line 1: not JSON"),
        (gzip.compress(LINES.encode(), mtime=0)[:-20], "a.gz", "damaged gzip data"),
    ],
)
def test_what_is_none_of_them(content, name, words, tmp_path):
    with pytest.raises(InputError, match=words):
        imported(tmp_path, content, name)
    assert not (tmp_path / "run").exists()


def test_a_line_of_text_before_json_lines_can_be_skipped(tmp_path):
    for first in ("[INFO] started", "{broken", "Hello, world"):
        folder = tmp_path / first[1:6]
        folder.mkdir()
        report, records = imported(folder, f"{first}\n{LINES}", skip_bad=True)
        assert (report.skipped, len(records)) == (1, 6)


# ---------------------------------------------------------------------------------------------- what has no text


def test_a_log_without_texts_is_not_graded(tmp_path):
    """Nothing is found of what the models wrote: that is no sample without an answer."""
    rows = [{"id": f"q{i}", "gold": "1", "result": {"said": "1"}} for i in range(4)]
    with pytest.raises(InputError, match="no field holds a text that could be graded"):
        imported(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), grader="numeric")
    report, _ = imported(
        tmp_path, "".join(json.dumps(row) + "\n" for row in rows), grader="numeric", fields={"text": "result.said"}
    )
    assert report.right == 4


def message(text, **more):
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 34}
    return {"type": "message", "role": "assistant", "model": "claude", "content": text, "usage": usage} | more


def test_batches_of_anthropic(tmp_path):
    parts = [{"type": "thinking", "thinking": "1"}, {"type": "text", "text": "It is "}, {"type": "text", "text": "7."}]
    rows = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": message(parts, stop_reason="end_turn")}},
        {"custom_id": "b", "result": {"type": "succeeded", "message": message(parts[1:2], stop_reason="max_tokens")}},
        {"custom_id": "c", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded"}}}},
        {"custom_id": "d", "result": {"type": "expired"}},
    ]
    questions = [{"id": name, "question": "?", "answer": "7"} for name in "abcd"]
    report, records = imported(
        tmp_path, "".join(json.dumps(row) + "\n" for row in rows), grader="numeric", questions=questions
    )
    assert report.formats == ["anthropic-batch"]
    assert report.failed == {"overloaded": 1, "expired": 1}
    assert [(record["text"], record["correct"]) for record in records] == [("It is 7.", True), ("It is ", False)]
    assert [record["truncated"] for record in records] == [False, True]
    assert {(record["input_tokens"], record["output_tokens"]) for record in records} == {(15, 34)}
    assert report.models == ["claude"]
