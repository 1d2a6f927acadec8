"""The files of a run folder: which are tcalloc's own, what run.json says, and what is never written over.

run.json is tcalloc's mark: a folder that holds files and no run.json of tcalloc's is the user's. ``files`` in it lists
what was written beside questions and samples (``decisions.jsonl``, ``answers.jsonl``, ``requests.jsonl``,
``samples.damaged``); a file of such a name that is not listed is the user's too. Nothing is ever written through a
symbolic link.
"""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from tcalloc._files import MOST_JSON, open_regular, parse_json, read_bounded, replaced_by, replacing, strict_json
from tcalloc._version import __version__
from tcalloc.errors import InputError
from tcalloc.runs.records import manifest_problem

__all__ = [
    "LIVE",
    "SCHEMA",
    "claim",
    "is_left",
    "is_run",
    "manifest_of",
    "questions_of",
    "read_manifest",
    "refuse_foreign",
    "refuse_out",
    "refuse_taken",
    "remove_rests",
    "samples_of",
    "sync",
    "take",
    "write_into",
    "write_manifest",
    "write_whole",
]

SCHEMA = 1
# Files that are written only if they are listed in run.json. A folder of before that list has only tcalloc's.
_LISTED = ("samples.damaged", "decisions.jsonl", "answers.jsonl", "requests.jsonl")
_OWN = ("run.json", "questions.jsonl", "samples.jsonl", "lock")
# What ``tcalloc answer`` leaves in its run folder, and ``tcalloc sample`` does not.
LIVE = ("decisions.jsonl", "answers.jsonl")


def manifest_of(path: str) -> str:
    """Return the name of run.json."""
    return os.path.join(path, "run.json")


def questions_of(path: str) -> str:
    """Return the name of questions.jsonl."""
    return os.path.join(path, "questions.jsonl")


def samples_of(path: str) -> str:
    """Return the name of samples.jsonl."""
    return os.path.join(path, "samples.jsonl")


def sync(file: BinaryIO) -> None:
    """Bring what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def write_whole(file: int, line: bytes, size: int) -> int:
    """Append a whole line to a file of this size, or nothing: half of one is what a full disk leaves."""
    try:
        written = os.write(file, line)
        if written < len(line):
            written += os.write(file, line[written:])  # raises the reason: no space, quota
        if written < len(line):
            raise OSError(errno.ENOSPC, "only half of a line could be written")
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise
    return written


# ---------------------------------------------------------------------------------------------- run.json


def is_run(path: str) -> bool:
    """Say whether a folder holds a run, or something else that calls itself run.json."""
    return os.path.lexists(manifest_of(path)) and not _unfinished(path)


def _unfinished(path: str) -> bool:
    """Say whether a run was being made here when its process was killed: nothing was drawn yet."""
    try:
        manifest = strict_json(read_bounded(manifest_of(path), MOST_JSON))
    except (InputError, ValueError):
        return False
    return isinstance(manifest, dict) and _marked(manifest) and manifest.get("unfinished") is True


def _marked(manifest: Mapping[str, Any]) -> bool:
    return type(manifest.get("schema")) is int and isinstance(manifest.get("tcalloc"), str)


def write_manifest(path: str, manifest: Mapping[str, Any]) -> None:
    """Write run.json."""
    _refuse_link(manifest_of(path))
    with replacing(manifest_of(path)) as file:
        file.write(json.dumps(manifest, indent=2, allow_nan=False).encode() + b"\n")
        sync(file)


def read_manifest(path: str) -> dict[str, Any]:
    """Read run.json.

    Raises
    ------
    InputError
        If there is none, it is not tcalloc's, or of another schema.
    """
    name = manifest_of(path)
    if not os.path.lexists(name):
        raise InputError(f"{path}: not a run folder, since it has no run.json. `tcalloc sample --out` makes one.")
    manifest = parse_json(read_bounded(name, MOST_JSON), name)
    if not isinstance(manifest, dict) or not _marked(manifest):
        raise InputError(
            f"{name}: not written by tcalloc (it names no schema and version). The folder is no run; name another one."
        )
    if manifest["schema"] != SCHEMA:
        raise InputError(
            f"{name}: schema {str(manifest['schema'])[:20]}, written by tcalloc {manifest['tcalloc'][:20]}; this "
            f"tcalloc ({__version__}) reads {SCHEMA}. Use the version of tcalloc that wrote it."
        )
    if manifest.get("unfinished") is True:
        raise InputError(f"{path}: the run was being made when its process ended, and holds nothing. Make it again.")
    manifest.setdefault("arms", [])
    if (problem := manifest_problem(manifest)) is not None:
        raise InputError(f"{name}: {problem}. The file was changed; restore it.")
    return manifest


# ---------------------------------------------------------------------------------------------- whose files


def _refuse_link(path: str) -> None:
    if os.path.islink(path):
        raise InputError(f"{path}: a symbolic link, and tcalloc writes through none. Put a regular file in its place.")


def _is_rest(name: str) -> bool:
    """Say whether a process that was killed left this of a file of tcalloc's that it was writing."""
    return replaced_by(name) in (*_OWN, *_LISTED)


def remove_rests(path: str) -> None:
    """Remove what processes that were killed left of files that they were writing. Only for who holds the lock."""
    for name in os.listdir(path):
        rest = os.path.join(path, name)
        if _is_rest(name) and os.path.isfile(rest) and not os.path.islink(rest):
            with contextlib.suppress(OSError):
                os.unlink(rest)


def is_left(path: str) -> bool:
    """Say whether a folder holds nothing but a run, and the process that was writing it has ended."""
    lock = os.path.join(path, "lock")
    if os.path.islink(path) or not os.path.isfile(lock):
        return False
    if not all(name in _OWN or _is_rest(name) for name in os.listdir(path)):
        return False
    held = _locked(lock)
    if held is None:
        return False
    held.close()
    return True


def refuse_foreign(path: str) -> None:
    """Refuse a folder for a new run that holds anything of the user's.

    Raises
    ------
    InputError
        Naming a file that tcalloc did not write.
    """
    if not os.path.isdir(path):
        if os.path.lexists(path):
            raise InputError(f"{path}: not a folder; a run is a folder. Choose another name.")
        return
    own = {"lock"} | ({"run.json", "questions.jsonl"} if _unfinished(path) else set())
    foreign = sorted(
        name
        for name in os.listdir(path)
        if not (name in own or _is_rest(name)) or os.path.islink(os.path.join(path, name))
    )
    lock = os.path.join(path, "lock")
    if not foreign and os.path.lexists(lock) and (not os.path.isfile(lock) or os.path.getsize(lock)):
        foreign = ["lock"]
    if foreign:
        more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise InputError(
            f"{path}: holds {foreign[0]!r}{more}, and no run of tcalloc's. Nothing was written, so that no file of "
            "yours is replaced. Name a new or empty folder."
        )


def refuse_taken(path: str, manifest: Mapping[str, Any], *names: str) -> None:
    """Refuse to write into a run folder where a file of the user's, or a link, stands in the way.

    Parameters
    ----------
    path : str
        The folder.
    manifest : mapping
        What run.json says.
    *names : str
        Files that are to be written beside questions and samples.

    Raises
    ------
    InputError
        Naming the file.
    """
    for name in (*_OWN, *_LISTED):
        _refuse_link(os.path.join(path, name))
    listed = manifest.get("files", _LISTED)
    for name in names:
        if name not in listed and os.path.lexists(os.path.join(path, name)):
            raise InputError(
                f"{path}: holds {name}, which tcalloc did not write and would replace. Move that file, or name another "
                "folder."
            )


def refuse_out(path: str, *names: str) -> None:
    """Refuse a folder that could be neither made a run nor gone on with, before anything is done for it.

    `names` are those of files that are to be written beside questions and samples.

    Raises
    ------
    InputError
        Naming what stands in the way.
    """
    if is_run(path):
        refuse_taken(path, read_manifest(path), *names)
    else:
        refuse_foreign(path)


def claim(path: str, manifest: dict[str, Any], *names: str) -> dict[str, Any]:
    """List files in run.json as tcalloc's own, before they are written; return the new manifest.

    Raises
    ------
    InputError
        If there is a file of such a name that is the user's.
    """
    refuse_taken(path, manifest, *names)
    listed = list(manifest.get("files", _LISTED))
    if new := [name for name in names if name not in listed]:
        manifest = manifest | {"files": [*listed, *new]}
        write_manifest(path, manifest)
    return manifest


def take(path: str, *, make: bool) -> BinaryIO:
    """Lock a run folder for writing."""
    if make:
        os.makedirs(path, exist_ok=True)
    lock = _locked(os.path.join(path, "lock"))
    if lock is None:
        raise InputError(f"{path}: another process is writing to this run. Wait for it, or stop it.")
    return lock


def _locked(path: str) -> BinaryIO | None:
    """Open a file and lock it until it is closed, or until this process dies; None if another holds it."""
    file = open_regular(path, os.O_RDWR | os.O_CREAT, follow=False)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def write_into(path: str, name: str, data: bytes) -> None:
    """Write a file beside the samples of a run; one of that name that tcalloc did not write is refused."""
    with take(path, make=False):
        claim(path, read_manifest(path), name)
        with replacing(os.path.join(path, name)) as file:
            file.write(data)
