"""Policies as folders, without pickle: a folder that is read cannot run code, crash or hang.

The layout
----------
=========================== ==========================================================================================
policy.json                 format, schema, class, tcalloc's version, what it was trained on (gold answers, or the
                            agreement with a reference), the state (parameters, feature names, actions, price,
                            guarantee, ...), the name, size and SHA-256 of every other file, and that of all of this
arrays-XXXXXXXX.npz         arrays of numbers and of texts
model-NAME-XXXXXXXX.json    XGBoost's trees
=========================== ==========================================================================================

XXXXXXXX is from the SHA-256 of the contents. A policy that is saved over another replaces it at the moment in which
policy.json is replaced. A reader at that time gets the old policy or the new one, never a mixture.

The hash detects files that were damaged or mixed up. It does not make a stranger's policy harmless, so everything is
checked as if there were no hash: sizes and types before memory is taken, the trees before XGBoost sees them
(`boosters`), and the state by its class.
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

from tcalloc._files import finite_number, read_bounded, refuse_constant, replaced_by, replacing, strict_json
from tcalloc._version import __version__
from tcalloc.errors import InputError, TcallocError
from tcalloc.learn.registry import POLICIES
from tcalloc.learn.saving.arrays import read_arrays, write_arrays
from tcalloc.learn.saving.boosters import MOST_BYTES, checked_booster
from tcalloc.measure.labels import GOLD, Labels, labels_of

__all__ = [
    "CLASSES",
    "SCHEMA",
    "load_policy",
    "origin_of",
    "refuse_folder",
    "refuse_new",
    "refuse_out",
    "save_policy",
    "seal",
]

# How often a folder is read anew that others save over meanwhile.
ATTEMPTS = 20
SCHEMA = 1
FORMAT = "tcalloc policy"
# The classes that can be saved, and their modules: the policies of the registry, `Fixed`, and `Features`. Nothing else
# is ever imported because a file names it.
CLASSES = {
    "Features": "tcalloc.learn.features.features",
    "Fixed": "tcalloc.learn.routing.baselines",
    **{name: module for module, name in (entry.made_by.split(":") for entry in POLICIES if entry.deployable)},
}
File = tuple[bytes, str]  # the contents, and the name of the file in messages
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
        A new or empty folder, or one that holds a policy. The policy is replaced as a whole or not at all.

    Raises
    ------
    InputError
        If the policy cannot be saved (because of its class, or of an estimator inside that only pickle could store), or
        the folder cannot be written.
    """
    name = type(policy).__name__
    if CLASSES.get(name) != type(policy).__module__:
        raise InputError(
            f"a {name} of {type(policy).__module__} cannot be saved; {', '.join(CLASSES)} can. Others need pickle, "
            "which runs any code in a file."
        )
    meta, arrays, boosters = policy._state()
    stored = write_arrays(arrays)
    files: dict[str, Any] = {"arrays": _entry("arrays", stored, ".npz"), "boosters": {}}
    contents: dict[str, bytes] = {files["arrays"]["name"]: stored}
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
        "trained_on": labels_of(policy).to_dict(),
        "tcalloc": __version__,
        "files": files,
        "state": _plain(meta, "state"),
    }
    text = json.dumps(top | {"sha256": seal(top)}, indent=1, allow_nan=False) + "\n"
    if len(text) > MOST_META:
        raise InputError(f"the policy's state has {len(text):,} characters; at most {MOST_META:,} are allowed.")
    _write(os.fspath(path), contents, text)


def seal(top: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the contents of policy.json, whatever its white space and order."""
    said = {key: value for key, value in top.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _entry(stem: str, data: bytes, suffix: str) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"name": f"{stem}-{digest[:8]}{suffix}", "bytes": len(data), "sha256": digest}


def _plain(value: Any, place: str) -> Any:
    """Return a value that JSON stores and gives back unchanged; raise an error for any other."""
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
        f"{place} is a {type(value).__name__}, which cannot be saved without pickle, and pickle runs any code in a "
        "file. Numbers, texts, lists and mappings can be saved; of the estimators, ridge, kNN and XGBoost."
    )


def refuse_out(path: str) -> None:
    """Before the work, raise an error for a folder in which the policy could not be stored afterwards.

    Parameters
    ----------
    path : str
        The folder for the policy.

    Raises
    ------
    InputError
        If it is no folder, holds files of the user's, or would lie in a folder that does not exist.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"{path}: not a folder; a policy is a folder. Choose another name.")
    refuse_folder(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InputError(f"{path}: the folder {folder} does not exist. Create it first.")


def refuse_new(path: str) -> None:
    """Before the work, raise an error for a folder that holds anything, or in which a policy could not be stored.

    Parameters
    ----------
    path : str
        The folder for the policy.

    Raises
    ------
    InputError
        If it is no new or empty folder.
    """
    refuse_out(path)
    if os.path.isdir(path) and os.listdir(path):
        raise InputError(f"{path}: holds a policy already, which is not overwritten. Name a new folder.")


def refuse_folder(folder: str) -> None:
    """Raise an error for a folder that holds files of the user's and no policy, or that contains a symbolic link.

    Raises
    ------
    InputError
        The message names the file.
    """
    there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    main = os.path.join(folder, "policy.json")
    if "policy.json" not in there:
        if all(_is_begun(folder, name) for name in there):
            return  # empty, or the rest of a first save that was killed
        raise InputError(f"{folder}: it holds other files ({there[0]}, ...) and no policy. Name a new folder.")
    for name in there:
        if (name == "policy.json" or _FILE.fullmatch(name)) and os.path.islink(os.path.join(folder, name)):
            raise InputError(f"{folder}: {name} is a symbolic link, which tcalloc does not follow. Name a new folder.")
    try:
        top = strict_json(read_bounded(main, MOST_META))
    except (InputError, ValueError):
        top = None
    if not isinstance(top, dict) or top.get("format") != FORMAT:
        raise InputError(f"{main}: not a policy that tcalloc wrote, so it is not replaced. Name a new folder.")


def _is_rest(name: str) -> bool:
    """Return whether a file is the unfinished rest of a save that was killed."""
    whole = replaced_by(name)
    return whole is not None and (whole == "policy.json" or _FILE.fullmatch(whole) is not None)


def _is_begun(folder: str, name: str) -> bool:
    """Return whether a file is from a save that was killed before policy.json existed: its name holds its own hash."""
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
    for name in there:  # the files of the policy that was replaced
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            # Another process may be saving here now; files older than a minute belong to no running save.
            old = _is_rest(name) and not os.path.islink(path) and time.time() - os.path.getmtime(path) > 60
            if old or (_FILE.fullmatch(name) and name not in files):
                os.unlink(path)


# ---------------------------------------------------------------------------------------------- load


def load_policy(path: str | os.PathLike[str], *, embed: Callable[[list[str]], Any] | None = None) -> Any:
    """Read a policy (or `Features`) that `save_policy` wrote.

    Parameters
    ----------
    path : path
        The folder.
    embed : callable, optional
        The embeddings that its features were fitted with, if they came from a function of your own. Functions are not
        saved.

    Returns
    -------
    policy
        An object of the class that was saved.

    Raises
    ------
    InputError
        If a file is missing, damaged, malformed or of another schema; the message names the file and the problem.
    """
    folder = os.fspath(path)
    failed = None
    for attempt in range(ATTEMPTS):
        top, main = _top(folder)
        try:
            kind, state, arrays, boosters = _contents(folder, main, top)
            break
        except InputError:
            # Another process may have saved over it since policy.json was read; perhaps twice, the same at last.
            if attempt == ATTEMPTS - 1 or _top(folder)[0] == top == failed:
                raise
            failed = top
    found = read_arrays(*arrays)
    checked = {label: checked_booster(*booster) for label, booster in boosters.items()}
    try:
        made = getattr(importlib.import_module(CLASSES[kind]), kind)
        policy = made._from_state(_with_embed(state, embed, 0), found, checked)
        if not (labels := Labels.from_dict(top["trained_on"]) if "trained_on" in top else GOLD).gold:
            policy.trained_on_ = labels
        policy._sealed = top["sha256"]
        return policy
    except TcallocError as error:
        if not isinstance(error, InputError):
            raise
        raise InputError(f"{main}: {error}") from error
    except Exception as error:  # whatever error a state that does not fit causes
        raise InputError(f"{main}: the state does not fit a {kind}: {type(error).__name__}: {error}") from error


def origin_of(policy: Any) -> str:
    """Return what tells a policy from those of other folders: the start of its folder's seal; "" if it has no folder.

    The same policy at another budget has the same origin.

    Parameters
    ----------
    policy : policy
        As `load_policy` returned it, or any other.
    """
    return str(getattr(policy, "_sealed", ""))[:16]


def _top(folder: str) -> tuple[dict[str, Any], str]:
    main = os.path.join(folder, "policy.json")
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder; expected one that a policy was saved to.")
    if not os.path.lexists(main):
        raise InputError(f"{folder}: holds no policy (no policy.json); expected a folder that tcalloc fit wrote.")
    data = read_bounded(main, MOST_META)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key occurs twice")
        return found

    hooks: dict[str, Any] = {"parse_constant": refuse_constant, "parse_float": finite_number, "object_pairs_hook": once}
    try:
        top = json.loads(data.decode("utf-8"), **hooks)
        sealed = isinstance(top, dict) and top.get("sha256") == seal(top)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{main}: not readable as JSON: {error}") from None
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
            f"{main}: its SHA-256 differs from the one that it states: it was changed or damaged. Save it again."
        )
    return top, main


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
                f"{file}: its size or SHA-256 differs from that in policy.json: it was changed or damaged. "
                "Save the policy again."
            )
        return data, file

    read = {label: content(label, entry, ".json", MOST_BYTES) for label, entry in boosters.items()}
    return kind, state, content("arrays", files["arrays"], ".npz", MOST_ARRAYS), read


def _with_embed(state: Any, embed: Callable[[list[str]], Any] | None, depth: int) -> Any:
    """Set the user's function in those features that need one."""
    if depth > 8 or not isinstance(state, dict):
        return state
    return {
        key: embed if key == "embed" and value == "given" else _with_embed(value, embed, depth + 1)
        for key, value in state.items()
    }
