"""Policies as folders, without pickle: what is read back cannot run code, crash or hang.

The layout
----------
=========================== ==========================================================================================
policy.json                 format, schema, class, tcalloc's version, the state (parameters, feature names, actions,
                            price, guarantee, training figures, ...), of every other file its name, size and SHA-256,
                            and the SHA-256 of all that
arrays-XXXXXXXX.npz         arrays of numbers and of texts
model-NAME-XXXXXXXX.json    XGBoost's trees
=========================== ==========================================================================================

XXXXXXXX is from the SHA-256 of the contents. A policy saved over another is there in the moment in which policy.json is
replaced; whoever loads at that time gets the old one or the new one, never a mixture.

The hash finds files that were damaged or mixed up. It does not make a stranger's policy harmless, so everything is
checked as if there were no hash: sizes and types before memory is taken, the trees before XGBoost sees them
(`boosters`), the state by the class that it belongs to.
"""

import contextlib
import hashlib
import importlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tcalloc._files import read_bounded, replaced_by, replacing, strict_json
from tcalloc._version import __version__
from tcalloc.errors import InputError, TcallocError
from tcalloc.learn.registry import POLICIES
from tcalloc.learn.saving.arrays import read_arrays, write_arrays
from tcalloc.learn.saving.boosters import MOST_BYTES, checked_booster

__all__ = ["CLASSES", "SCHEMA", "load_policy", "refuse_folder", "refuse_out", "save_policy", "seal"]

SCHEMA = 1
FORMAT = "tcalloc policy"
# What can be saved, and where its class is: the policies of the registry, one action for everyone, and what reads
# questions. Nothing else is ever imported on a file's word.
CLASSES = {
    "Features": "tcalloc.learn.features.features",
    "Fixed": "tcalloc.learn.routing.baselines",
    **{name: module for module, name in (entry.made_by.split(":") for entry in POLICIES if entry.deployable)},
}
MOST_META = 1 << 24
MOST_ARRAYS = 1 << 29
# A booster may belong to a part of the policy: "model/0".
_LABEL = re.compile(r"[A-Za-z0-9_]{1,64}(/[A-Za-z0-9_]{1,64}){0,3}")
_FILE = re.compile(r"(arrays-[0-9a-f]{8}\.npz|model-[A-Za-z0-9_-]{1,260}-[0-9a-f]{8}\.json)")


# ---------------------------------------------------------------------------------------------- save


def save_policy(policy: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted policy (or `Features`) to a folder.

    Parameters
    ----------
    policy : policy
        One of the classes in `CLASSES`, fitted.
    path : path
        A folder: new, empty, or one that holds a policy, which is replaced at once or not at all.

    Raises
    ------
    InputError
        If the policy cannot be saved (its class, or an estimator inside that only pickle could keep), or the folder
        cannot be written.
    """
    name = type(policy).__name__
    if CLASSES.get(name) != type(policy).__module__:
        raise InputError(
            f"a {name} of {type(policy).__module__} cannot be saved; {', '.join(CLASSES)} can. Others need pickle, "
            "which runs whatever a file says."
        )
    meta, arrays, boosters = policy._state()
    contents: dict[str, bytes] = {}
    stored = write_arrays(arrays)
    files: dict[str, Any] = {"arrays": _entry("arrays", stored, ".npz"), "boosters": {}}
    contents[files["arrays"]["name"]] = stored
    for label, data in boosters.items():
        if not _LABEL.fullmatch(label):
            raise InputError(f"the booster's name {label!r} is not allowed; use letters, digits and underscores.")
        checked_booster(data, f"the booster {label}")
        entry = _entry("model-" + label.replace("/", "-"), data, ".json")
        files["boosters"][label] = entry
        contents[entry["name"]] = data
    top = {
        "format": FORMAT,
        "schema": SCHEMA,
        "class": name,
        "tcalloc": __version__,
        "files": files,
        "state": _plain(meta, "state"),
    }
    text = json.dumps(top | {"sha256": seal(top)}, indent=1, allow_nan=False) + "\n"
    if len(text) > MOST_META:
        raise InputError(f"the policy's state has {len(text):,} characters; at most {MOST_META:,} are kept.")
    _write(os.fspath(path), contents, text)


def seal(top: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what policy.json says, whatever its blanks and order."""
    said = {key: value for key, value in top.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _entry(stem: str, data: bytes, suffix: str) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"name": f"{stem}-{digest[:8]}{suffix}", "bytes": len(data), "sha256": digest}


def _plain(value: Any, place: str) -> Any:
    """Return what JSON holds and gives back the same; refuse the rest."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if value != value or value in (np.inf, -np.inf):
            raise InputError(f"{place} is {value}, which JSON does not hold. Save None, or an array.")
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f"{place} has the key {key!r}; expected texts.")
        return {key: _plain(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{place}[{i}]") for i, inner in enumerate(value)]
    raise InputError(
        f"{place} is a {type(value).__name__}, which cannot be saved without pickle, and pickle runs whatever a file "
        "says. Numbers, texts, lists and mappings can; of estimators ridge, kNN and XGBoost."
    )


def refuse_out(path: str) -> None:
    """Refuse before the work a folder in which a policy could not be stored after it.

    Parameters
    ----------
    path : str
        Where the policy shall go.

    Raises
    ------
    InputError
        If it is no folder, holds something of the user's, or would lie in a folder that does not exist.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"{path}: not a folder; a policy is a folder. Choose another name.")
    refuse_folder(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InputError(f"{path}: the folder {folder} does not exist. Create it first.")


def refuse_folder(folder: str) -> None:
    """Refuse a folder that holds files of the user's and no policy of tcalloc's, or a symbolic link in place of one.

    Raises
    ------
    InputError
        Naming the file.
    """
    there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    main = os.path.join(folder, "policy.json")
    if "policy.json" not in there and all(_is_begun(folder, name) for name in there):
        return  # nothing, or a policy whose first save was killed
    if there and "policy.json" not in there:
        raise InputError(f"{folder}: it holds other files ({there[0]}, ...) and no policy. Name a new folder.")
    for name in there:
        if (name == "policy.json" or _FILE.fullmatch(name)) and os.path.islink(os.path.join(folder, name)):
            raise InputError(f"{folder}: {name} is a symbolic link; tcalloc writes through none. Name a new folder.")
    if there:
        try:
            top = strict_json(read_bounded(main, MOST_META))
        except (InputError, ValueError):
            top = None
        if not isinstance(top, dict) or top.get("format") != FORMAT:
            raise InputError(f"{main}: not a policy that tcalloc wrote, so it is not replaced. Name a new folder.")


def _is_rest(name: str) -> bool:
    """Say whether a save that was killed left this of a file that it was writing."""
    whole = replaced_by(name)
    return whole is not None and (whole == "policy.json" or _FILE.fullmatch(whole) is not None)


def _is_begun(folder: str, name: str) -> bool:
    """Say whether a file is of a save that was killed before there was a policy.json: a file's name holds its hash."""
    path = os.path.join(folder, name)
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    if not _FILE.fullmatch(name):
        return _is_rest(name)
    data = read_bounded(path, max(MOST_ARRAYS, MOST_BYTES))
    return name.rpartition(".")[0].endswith(hashlib.sha256(data).hexdigest()[:8])


def _write(folder: str, files: dict[str, bytes], text: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        there = os.listdir(folder)
    except OSError as error:
        raise InputError(f"{folder}: not a folder that can be written ({error.strerror}).") from None
    refuse_folder(folder)
    try:
        for name, data in files.items():
            with replacing(os.path.join(folder, name)) as file:
                file.write(data)
        with replacing(os.path.join(folder, "policy.json")) as file:
            file.write(text.encode("ascii"))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error}).") from None
    for name in there:  # the files of the policy that stood there
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            # Another process may be saving here now; what is older than a minute is nobody's any more.
            old = _is_rest(name) and not os.path.islink(path) and time.time() - os.path.getmtime(path) > 60
            if old or (_FILE.fullmatch(name) and name not in files):
                os.unlink(path)


# ---------------------------------------------------------------------------------------------- load


def load_policy(path: str | os.PathLike[str], *, embed: Callable[[list[str]], Any] | None = None) -> Any:
    """Read a policy (or `Features`) that `save_policy` wrote.

    Parameters
    ----------
    path : path
        Its folder.
    embed : callable, optional
        The embeddings that its features were fitted with, if those were a function of your own: functions are not
        saved.

    Returns
    -------
    policy
        Of the class that was saved.

    Raises
    ------
    InputError
        If a file is missing, damaged, malformed or of another schema; names the file and the problem.
    """
    folder = os.fspath(path)
    for attempt in range(3):
        top, main = _top(folder)
        try:
            kind, state, arrays, boosters = _contents(folder, main, top)
            break
        except InputError:
            # Another process may have saved over it since policy.json was read.
            if attempt == 2 or _top(folder)[0] == top:
                raise
    found = read_arrays(*arrays)
    checked = {label: checked_booster(*booster) for label, booster in boosters.items()}
    try:
        made = getattr(importlib.import_module(CLASSES[kind]), kind)
        return made._from_state(_with_embed(state, embed, 0), found, checked)
    except TcallocError as error:
        if not isinstance(error, InputError):
            raise
        raise InputError(f"{main}: {error}") from error
    except Exception as error:  # whatever a state that does not fit runs into
        raise InputError(f"{main}: the state does not fit a {kind}: {type(error).__name__}: {error}") from error


def _top(folder: str) -> tuple[dict[str, Any], str]:
    main = os.path.join(folder, "policy.json")
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder; expected one that a policy was saved to.")
    data = read_bounded(main, MOST_META)

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not allowed")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands there twice")
        return found

    def finite(word: str) -> float:
        value = float(word)
        if value in (np.inf, -np.inf):
            raise ValueError(f"{word} is too large")
        return value

    try:
        top = json.loads(data.decode("utf-8"), parse_constant=refuse, parse_float=finite, object_pairs_hook=once)
        sealed = isinstance(top, dict) and top.get("sha256") == seal(top)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{main}: not JSON that can be read: {error}") from None
    if not isinstance(top, dict) or top.get("format") != FORMAT:
        raise InputError(f"{main}: not a policy of tcalloc (its format is not {FORMAT!r}).")
    schema = top.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        newer = isinstance(schema, int) and schema > SCHEMA
        remedy = "Update tcalloc" if newer else "Fit the policy again and save it"
        by = f", written by tcalloc {top['tcalloc']}" if isinstance(top.get("tcalloc"), str) else ""
        raise InputError(
            f"{main}: schema {str(schema)[:20]}{by}; tcalloc {__version__} reads schema {SCHEMA} only. {remedy}."
        )
    if not sealed:
        raise InputError(
            f"{main}: its SHA-256 is not what it says of itself: it was changed or damaged. Save the policy again."
        )
    return top, main


File = tuple[bytes, str]  # contents, and what it is called in errors


def _contents(folder: str, main: str, top: dict[str, Any]) -> tuple[str, dict[str, Any], File, dict[str, File]]:
    """Check policy.json and read the files that it names: the class, the state, the arrays, the boosters."""
    kind, state, files = top.get("class"), top.get("state"), top.get("files")
    if not isinstance(kind, str) or kind not in CLASSES:
        raise InputError(f"{main}: the class is {str(kind)[:40]!r}; allowed are {', '.join(CLASSES)}.")
    if not isinstance(state, dict) or not isinstance(files, dict) or set(files) != {"arrays", "boosters"}:
        raise InputError(f"{main}: it has no state, or its files are not arrays and boosters.")
    boosters = files["boosters"]
    if not isinstance(boosters, dict) or not all(map(_LABEL.fullmatch, boosters)):
        raise InputError(f"{main}: the boosters have no names, or names that are not allowed.")

    def content(label: str, entry: Any, suffix: str, most: int) -> File:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not _FILE.fullmatch(name) or not name.endswith(suffix):
            raise InputError(f"{main}: the file {str(name)[:80]!r} of {label[:80]} is not one of a policy.")
        file = os.path.join(folder, name)
        data = read_bounded(file, most)
        if entry.get("bytes") != len(data) or entry.get("sha256") != hashlib.sha256(data).hexdigest():
            raise InputError(
                f"{file}: its size or SHA-256 is not what policy.json says: it was changed or damaged. "
                "Save the policy again."
            )
        return data, file

    read = {label: content(label, entry, ".json", MOST_BYTES) for label, entry in boosters.items()}
    return kind, state, content("arrays", files["arrays"], ".npz", MOST_ARRAYS), read


def _with_embed(state: Any, embed: Callable[[list[str]], Any] | None, depth: int) -> Any:
    """Put the user's function where the features that need one say so."""
    if depth > 8 or not isinstance(state, dict):
        return state
    return {
        key: embed if key == "embed" and value == "given" else _with_embed(value, embed, depth + 1)
        for key, value in state.items()
    }
