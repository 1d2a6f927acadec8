"""Saved policies: the same decisions, no pickle, whole or not at all, and nothing that a file can do to the process."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from places import HELPERS

from tcalloc import InputError

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_mutations import make_policies, questions, table

from tcalloc.learn.features import Features
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.saving.policy_folder import CLASSES, SCHEMA, load_policy, save_policy, seal

TEXTS = questions(80)
NEW = questions(40, seed=5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make_policies(str(tmp_path_factory.mktemp("policies")))


def top_of(folder):
    return json.loads((Path(folder) / "policy.json").read_text())


def copied(folder, tmp_path, change=None):
    """Copy a policy; `change` edits what policy.json holds."""
    target = tmp_path / "copy"
    target.mkdir()
    for file in Path(folder).iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    if change is not None:
        top = top_of(target)
        change(top)
        (target / "policy.json").write_text(json.dumps(top | {"sha256": seal(top)}))
    return target


# ---------------------------------------------------------------------------------------------- the folder


@pytest.mark.parametrize("name", ["imitator", "ridge", "xgboost", "knn", "mixture", "length"])
def test_what_is_loaded_decides_the_same(folders, name):
    loaded = load_policy(folders[name])
    fitted = {
        "imitator": Imitator(features=Features(components=4), budget=2.0),
        "ridge": PricedPolicy(features=Features(components=4), budget=2.0),
        "xgboost": PricedPolicy(features=Features(components=4), budget=2.0, regressor="xgboost"),
        "knn": PricedPolicy(features=Features(components=4), budget=2.0, regressor="knn"),
    }.get(name)
    if fitted is not None:
        fitted.fit(TEXTS, table(TEXTS))
        assert np.array_equal(loaded.decide(NEW), fitted.decide(NEW))
        assert np.array_equal(loaded.decide(NEW, budget=1.5), fitted.decide(NEW, budget=1.5))
    chosen = loaded.decide(NEW)
    again = load_policy(folders[name])
    assert np.array_equal(again.decide(NEW), chosen)
    assert CLASSES[type(loaded).__name__] == type(loaded).__module__


def test_features_survive(folders, tmp_path):
    loaded = load_policy(folders["features"])
    fitted = Features(components=4).fit(TEXTS)
    assert np.array_equal(loaded.transform(NEW), fitted.transform(NEW))
    assert loaded.get_params() == fitted.get_params()
    assert loaded.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()


def test_policy_json_tells_what_it_holds(folders):
    top = top_of(folders["imitator"])
    assert (top["format"], top["schema"], top["class"]) == ("tcalloc policy", SCHEMA, "Imitator")
    for entry in [top["files"]["arrays"], *top["files"]["boosters"].values()]:
        data = (Path(folders["imitator"]) / entry["name"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert entry["sha256"][:8] in entry["name"]


def test_no_file_is_a_pickle_and_none_is_ever_unpickled(folders, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    for folder in folders.values():
        load_policy(folder)
        for file in Path(folder).iterdir():
            assert file.suffix in (".json", ".npz")
            assert not file.read_bytes().startswith(b"\x80")


def test_no_word_of_the_training_texts_is_kept(folders):
    for name in ("features", "imitator", "ridge"):
        for file in Path(folders[name]).iterdir():
            assert b"apple" not in file.read_bytes()


def test_saving_over_a_policy_replaces_it(folders, tmp_path):
    target = copied(folders["imitator"], tmp_path)
    load_policy(folders["ridge"]).save(target)
    assert type(load_policy(target)).__name__ == "PricedPolicy"
    named = {top_of(target)["files"]["arrays"]["name"], "policy.json"}
    assert {file.name for file in target.iterdir()} == named  # the old one's files are gone


def test_a_folder_of_other_files_is_left_alone(folders, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        load_policy(folders["ridge"]).save(tmp_path)
    file = tmp_path / "thesis.txt"
    with pytest.raises(InputError, match="not a folder"):
        load_policy(folders["ridge"]).save(file)
    assert file.read_text() == "years of work"


def test_a_failed_save_leaves_the_old_policy(folders, tmp_path, monkeypatch):
    target = copied(folders["ridge"], tmp_path)
    before = load_policy(target).decide(NEW)
    calls = []

    def failing(source, destination):
        calls.append(destination)
        if destination.endswith("policy.json"):
            raise OSError(28, "No space left on device")
        os.rename(source, destination)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(InputError, match="No space left"):
        load_policy(folders["imitator"]).save(target)
    monkeypatch.undo()
    assert calls
    assert np.array_equal(load_policy(target).decide(NEW), before)


def test_whoever_loads_while_others_save_gets_one_or_the_other(folders, tmp_path):
    target = copied(folders["ridge"], tmp_path)
    both = [load_policy(folders[name]) for name in ("ridge", "mixture")]
    stop, problems, kinds = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            try:
                kinds.add(type(load_policy(target)).__name__)
            except InputError as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(40):
        both[turn % 2].save(target)
    stop.set()
    reader.join()
    # Files that are replaced under a reader are read anew.
    assert problems == []
    assert kinds <= {"PricedPolicy", "Mixture"}


def test_what_only_pickle_could_keep_is_refused(tmp_path):
    from sklearn.linear_model import LogisticRegression

    policy = Imitator(classifier=LogisticRegression(), features=Features(text=None), budget=2.0)
    policy.fit(TEXTS, table(TEXTS))
    with pytest.raises(InputError, match="pickle"):
        policy.save(tmp_path / "p")
    with pytest.raises(InputError, match="cannot be saved"):
        save_policy(LogisticRegression(), tmp_path / "p")

    class Features2(Features):
        pass

    Features2.__name__ = "Features"
    with pytest.raises(InputError, match="cannot be saved"):
        save_policy(Features2().fit(TEXTS), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_embeddings_are_asked_for_again(tmp_path):
    def embed(texts):
        return [[len(text), text.count("a")] for text in texts]

    fitted = Features(text=None, embed=embed).fit(TEXTS)
    save_policy(fitted, tmp_path / "p")
    assert np.array_equal(load_policy(tmp_path / "p", embed=embed).transform(NEW), fitted.transform(NEW))
    with pytest.raises(InputError, match="embed"):
        load_policy(tmp_path / "p").transform(NEW)
    with pytest.raises(InputError, match="expected"):
        load_policy(tmp_path / "p", embed=lambda texts: [[1.0]] * len(texts)).transform(NEW)


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda top: top.update(schema=0), "schema 0, written by tcalloc .*Fit the policy again"),
        (lambda top: top.update(schema=SCHEMA + 1), "Update tcalloc"),
        (lambda top: top.pop("schema"), "schema None"),
        (lambda top: top.update(schema=True), "schema True"),
        (lambda top: top.update(format="other"), "not a policy of tcalloc"),
        (lambda top: top.update({"class": "os.system"}), "the class is 'os.system'"),
        (lambda top: top.update({"class": ["Imitator"]}), "the class is"),
        (lambda top: top.update({"class": "Mixture"}), "does not fit a Mixture|policy.json"),
        (lambda top: top.pop("state"), "no state"),
        (lambda top: top.update(files=[]), "files"),
        (lambda top: top["files"]["arrays"].update(name="../../etc/passwd"), "not one of a policy"),
        (lambda top: top["files"]["arrays"].update(name="policy.json"), "not one of a policy"),
        (lambda top: top["files"]["arrays"].update(bytes=1), "changed or damaged"),
        (lambda top: top["files"]["arrays"].update(sha256="0" * 64), "changed or damaged"),
        (lambda top: top["files"]["boosters"].clear(), "policy.json"),
        (lambda top: top["state"].clear(), "does not fit"),
    ],
)
def test_what_policy_json_may_not_say(folders, tmp_path, change, said):
    target = copied(folders["imitator"], tmp_path, change)
    with pytest.raises(InputError, match=said) as caught:
        load_policy(target)
    assert str(caught.value).startswith(str(target))


def test_a_changed_policy_json_is_noticed_a_reformatted_one_is_not(folders, tmp_path):
    target = copied(folders["mixture"], tmp_path)
    top = top_of(target)
    (target / "policy.json").write_text(json.dumps(dict(reversed(top.items())), indent=4))
    load_policy(target)
    top["state"]["price"] = None
    (target / "policy.json").write_text(json.dumps(top))
    with pytest.raises(InputError, match="changed or damaged"):
        load_policy(target)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not readable as JSON"),
        (b"{", "not readable as JSON"),
        (b"\xff\xfe", "not readable as JSON"),
        (b"[" * 100_000, "not readable as JSON"),
        (b'{"format": NaN}', "NaN is not allowed"),
        (b'{"format": 1e999}', "too large"),
        (b'{"format": ' + b"9" * 10_000 + b"}", "not readable as JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[]", "not a policy"),
        (b"null", "not a policy"),
    ],
)
def test_what_is_no_policy_json(tmp_path, text, said):
    (tmp_path / "policy.json").write_bytes(text)
    with pytest.raises(InputError, match=said):
        load_policy(tmp_path)


def test_what_is_no_folder_or_no_file(folders, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_policy(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"holds no policy"):
        load_policy(tmp_path)
    target = copied(folders["ridge"], tmp_path)
    (name,) = [file for file in target.iterdir() if file.suffix == ".npz"]
    name.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        load_policy(target)
    name.mkdir()
    with pytest.raises(InputError, match=r"npz: (not a regular file|cannot be read)"):
        load_policy(target)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_make_it_wait(folders, tmp_path):
    target = copied(folders["ridge"], tmp_path)
    (target / "policy.json").unlink()
    os.mkfifo(target / "policy.json")
    with pytest.raises(InputError, match="not a regular file"):
        load_policy(target)


# ---------------------------------------------------------------------------------------------- mutated files


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the mutated copies are read in forked processes")
def test_mutated_policies_neither_crash_nor_hang(tmp_path):
    script = HELPERS / "policy_mutations.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "m"), "--count", "50"], capture_output=True, text=True, timeout=300
    )
    found = json.loads(done.stdout)
    assert found["bad"] == []
    assert done.returncode == 0
    assert sum(found["outcomes"].values()) == 50
    assert sum(count for outcome, count in found["outcomes"].items() if "refused" in outcome) > 25
