"""The run folder: whole lines or none, one writer, damage noticed once."""

import json
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ENVIRONMENT

import tcalloc
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.runs.lines import seal, unseal
from tcalloc.runs.store import SCHEMA, Store, read_run

QUESTIONS = [{"id": "a", "gold": "1", "accept": []}, {"id": "b", "gold": None, "accept": ["x"]}]


def record(question="a", sample=0, params="p", **more):
    return {
        "id": question,
        "sample": sample,
        "params": params,
        "text": "three\nlines\u2028of € text",
        "cost": 0.5,
    } | more


def filled(path, count=5):
    with Store.create(path, {"arms": [{"arm": "m"}]}, QUESTIONS) as store:
        for j in range(count):
            store.append(record(sample=j))
    return path / "samples.jsonl"


def samples_of(path):
    return [r["sample"] for r in read_run(path).records]


def test_what_is_written_is_read(tmp_path):
    filled(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.manifest["schema"] == SCHEMA
    assert run.manifest["tcalloc"] == tcalloc.__version__
    assert run.questions == QUESTIONS
    assert run.records == [record(sample=j) for j in range(5)]
    assert run.notes == []
    with Store.open(tmp_path / "run") as store:
        assert store.held("a", "p") == 0b11111
        assert list(store.records()) == run.records
        store.append(record("b"))
        with pytest.raises(InputError, match="there already"):
            store.append(record("b"))
    assert len(read_run(tmp_path / "run").records) == 6


def test_frames(tmp_path, monkeypatch):
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    filled(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.to_frame()["sample"].tolist() == [0, 1, 2, 3, 4]
    assert run.to_arrow().column("cost").to_pylist() == [0.5] * 5
    assert isinstance(run.to_arrow(), pa.Table)
    plain = pd.read_json(tmp_path / "run" / "samples.jsonl", lines=True)
    assert plain["text"].tolist() == [r["text"] for r in run.records]
    for name, method in (("pandas", run.to_frame), ("pyarrow", run.to_arrow)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match="pip install"):
            method()


@given(
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text()),
    st.text(),
    st.integers(0, 10**6),
)
def test_lines(extra, question, sample):
    whole = extra | {"id": question, "sample": sample, "params": "0123"}
    line = seal(whole)
    assert line.count(b"\n") == 1
    assert json.loads(unseal(line[:-1])) == whole
    document = json.loads(line)
    assert document.pop("crc")
    assert document == {key: value for key, value in whole.items() if key != "crc"}


@settings(max_examples=100)
@given(st.data())
def test_any_changed_byte_is_noticed(data):
    line = seal(record())[:-1]
    place = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != line[place]))
    assert unseal(line[:place] + bytes([byte]) + line[place + 1 :]) is None
    assert unseal(line[:place]) is None


def test_every_torn_end(tmp_path):
    path = filled(tmp_path / "run")
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole) + 1):
        path.write_bytes(whole[:end])
        there = 5 if end >= len(whole) - 1 else 4  # a line that lacks only its line feed is whole
        assert len(read_run(tmp_path / "run").records) == there
        assert read_run(tmp_path / "run").notes == []  # it may be being written
        with Store.open(tmp_path / "run") as store:
            assert len(store.notes) == (there == 4 and end > last)
            assert store.held("a", "p") == (1 << there) - 1
            if there == 4:
                store.append(record(sample=4))
        assert path.read_bytes() == whole


def test_damage_is_told_once_and_set_aside(tmp_path):
    path = filled(tmp_path / "run")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"three", b"seven")
    lines[3] = b"\x00\xff garbage\n"
    path.write_bytes(b"".join(lines))
    run = read_run(tmp_path / "run")
    assert [r["sample"] for r in run.records] == [0, 2, 4]
    assert run.notes == [f"{path}: 2 damaged lines (2, 4) left out; their samples count as not drawn."]
    with Store.open(tmp_path / "run") as store:
        assert store.notes == [run.notes[0] + " Set aside in samples.damaged."]
        assert store.held("a", "p") == 0b10101
        store.append(record(sample=1))
    with Store.open(tmp_path / "run") as store:
        assert store.notes == []
    assert read_run(tmp_path / "run").notes == []
    assert samples_of(tmp_path / "run") == [0, 2, 4, 1]
    assert (tmp_path / "run" / "samples.damaged").read_bytes() == lines[1] + lines[3]


def test_a_line_twice_counts_once(tmp_path):
    path = filled(tmp_path / "run")
    path.write_bytes(path.read_bytes() * 2)
    assert samples_of(tmp_path / "run") == [0, 1, 2, 3, 4]


def test_threads_write_whole_lines(tmp_path):
    with Store.create(tmp_path / "run", {}, QUESTIONS) as store:

        def write(worker):
            for j in range(200):
                store.append(record(f"q{worker}", j, text="x" * (7 * worker * j)))

        threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    run = read_run(tmp_path / "run")
    assert len(run.records) == 1600
    assert run.notes == []


def test_one_writer(tmp_path):
    with Store.create(tmp_path / "run", {}, QUESTIONS) as store:
        with pytest.raises(InputError, match="another process is writing"):
            Store.open(tmp_path / "run")
        store.append(record())
        assert samples_of(tmp_path / "run") == [0]  # reading is always possible
    with pytest.raises(InputError, match="is closed"):
        store.append(record(sample=1))
    Store.open(tmp_path / "run").close()
    # A killed process leaves no lock behind.
    code = "import os; from tcalloc.runs.store import Store\n"
    code += f"s = Store.open({str(tmp_path / 'run')!r}); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-B", "-c", code], env=ENVIRONMENT, check=False, timeout=60)
    Store.open(tmp_path / "run").close()


def test_arms_are_added_once(tmp_path):
    with Store.create(tmp_path / "run", {"arms": [{"arm": "m"}]}, QUESTIONS) as store:
        store.add_arm({"arm": "m", "other": 1})
        store.add_arm({"arm": "n"})
    assert read_run(tmp_path / "run").manifest["arms"] == [{"arm": "m"}, {"arm": "n"}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", None, "not a run folder"),
        ("run.json", "{", "not readable as JSON"),
        ("run.json", "[]", "not written by tcalloc"),
        ("run.json", '{"schema": 2, "tcalloc": "9.9"}', r"schema 2, written by tcalloc 9\.9; this tcalloc .* reads 1"),
        ("run.json", '{"schema": true, "tcalloc": "0"}', "not written by tcalloc"),
        ("run.json", '{"schema": 1}', "not written by tcalloc"),
        ("run.json", '{"schema": 1, "tcalloc": "0", "arms": 3}', "arms is 3; expected a list"),
        ("questions.jsonl", "{\n", "line 1: not readable as JSON"),
    ],
)
def test_changed_files_are_refused(name, content, words, tmp_path):
    filled(tmp_path / "run")
    if content is None:
        (tmp_path / "run" / name).unlink()
    else:
        (tmp_path / "run" / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_run(tmp_path / "run")


def test_folders_that_cannot_be_new_runs(tmp_path):
    filled(tmp_path / "run")
    with pytest.raises(InputError, match="holds a run already"):
        Store.create(tmp_path / "run", {}, QUESTIONS)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(InputError, match=r"holds 'questions\.jsonl' and 1 more, and no run of tcalloc's"):
        Store.create(tmp_path / "run", {}, QUESTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        Store.create(tmp_path / "file", {}, QUESTIONS)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_leaves_whole_lines(tmp_path):
    """In a child process, whose files may not grow beyond a limit: a write then stops half way."""
    code = f"""
import resource, signal
from tcalloc.runs.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store.create({str(tmp_path / "run")!r}, {{}}, [])
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
for kind in range(2):
    for j in range(100):
        try:
            if kind:
                store.add_question({{"id": f"q{{j}}", "question": "x" * 300}})
            else:
                store.append({{"id": "a", "sample": j, "params": "p", "text": "x" * 300}})
        except OSError as error:
            print(j, error.strerror)
            break
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))
store.add_question({{"id": "later", "question": None}})
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    (samples, words), (questions, again) = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert words == again == "File too large"
    assert samples_of(tmp_path / "run") == list(range(int(samples)))
    assert (tmp_path / "run" / "samples.jsonl").read_bytes().endswith(b"\n")
    ids = [one["id"] for one in read_run(tmp_path / "run").questions]
    assert ids == [*(f"q{j}" for j in range(int(questions))), "later"]
