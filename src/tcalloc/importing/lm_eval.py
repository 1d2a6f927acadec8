"""A results folder of lm-evaluation-harness as samples, in one call."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tcalloc._checks import one_of
from tcalloc.errors import InputError
from tcalloc.importing.import_logs import TASK, import_logs
from tcalloc.measure.samples import Samples

__all__ = ["from_lm_eval"]

RUNS = ("latest", "all")


def from_lm_eval(
    results: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    tasks: str | Iterable[str] | None = None,
    runs: str | None = None,
    filter: str | Iterable[str] | None = None,
    metric: str | None = None,
    grader: Any = None,
) -> Samples:
    """Return the samples of a results folder of lm-evaluation-harness, written with ``--log_samples``.

    Parameters
    ----------
    results : path
        What its ``--output_path`` named: a folder with one folder per model, or one of these.
    out : path, optional
        A run folder to make of them, as `import_logs` does. Default: nothing is kept on disk.
    tasks : str or iterable of str, optional
        Which tasks. Default: all; their questions are named "TASK/ID" if there are several.
    runs : {"latest", "all"}, optional
        Which runs count if a model did a task several times: the latest, or all as further samples of the same
        questions. It must be given then.
    filter : str or iterable of str, optional
        Which of the harness's filters counts: a name, or ``"TASK=NAME"`` for one task. It must be given if there are
        several.
    metric : str, optional
        Which metric says right or wrong. Default: the usual ones, such as exact_match and acc.
    grader : str, Grader or callable, optional
        Grades the texts anew, such as "numeric"; filters and metrics then do not count.

    Returns
    -------
    Samples
        One model per folder; its `notes` hold what the import has to say.

    Raises
    ------
    InputError
        If there are no samples in the folder, or `runs`, `filter`, `metric` or `grader` must be given.
    """
    if runs is not None:
        one_of("runs", runs, RUNS)
    wanted = None if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
    files = _files(Path(os.fspath(results)), wanted, runs)
    models = {path.parent for path in files}
    options: dict[str, Any] = {"filter": filter, "metric": metric, "grader": grader}
    if runs == "all":
        if len(models) > 1:
            raise InputError(
                f"runs is 'all', but there are the models {', '.join(sorted(path.name for path in models))}. Call it "
                "once for the folder of each model, or use runs='latest'."
            )
        options["model"] = files[0].parent.name
    with TemporaryDirectory(prefix="tcalloc-lm-eval-") as folder:
        target = os.path.join(folder, "run") if out is None else os.fspath(out)
        try:
            report = import_logs(files, target, format="lm-eval", **options)
        except InputError as error:  # the command's options are arguments here
            words = str(error)
            for option in ("filter", "metric", "grader"):
                words = words.replace(f"--{option} ", f"{option}=").replace(f"--{option}", f"{option}=")
            raise type(error)(words) from None
        samples = Samples.load(target)
    return replace(samples, notes=(*samples.notes, *report.notes, *report.warnings))


def _files(results: Path, tasks: list[str] | None, runs: str | None) -> list[Path]:
    """Return the logs that count, in a fixed order."""
    if not results.is_dir():
        raise InputError(f"{results}: no folder. Pass what --output_path of lm-evaluation-harness named.")
    found: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(results.rglob("samples_*.jsonl*")):
        if (named := TASK.fullmatch(path.name)) is not None:
            found.setdefault((path.parent, named["task"]), []).append(path)
    if not found:
        more = " There are results without samples." if any(results.rglob("results*.json")) else ""
        raise InputError(
            f"{results}: no samples_*.jsonl.{more} Run lm-evaluation-harness with --log_samples --output_path."
        )
    known = sorted({task for _, task in found})
    for task in tasks or ():
        one_of("tasks", task, known)
    kept = {key: paths for key, paths in found.items() if tasks is None or key[1] in tasks}
    several = [key for key, paths in kept.items() if len(paths) > 1]
    if several and runs is None:
        folder, task = several[0]
        raise InputError(
            f"{folder}: {len(kept[several[0]])} runs of the task {task!r}. Say which count: runs='latest', or "
            "runs='all' if they are further samples of the same questions."
        )
    return [path for paths in kept.values() for path in (paths if runs == "all" else paths[-1:])]
