"""What the tests of importing share: logs on disk, their import, and what is refused."""

import gzip
import json
import os

import pytest

from tcalloc.errors import InputError
from tcalloc.importing.import_logs import import_logs
from tcalloc.runs.store import read_run


def jsonl(tmp_path, rows, name="logs.jsonl"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def imported(tmp_path, rows, name="logs.jsonl", **options):
    report = import_logs(jsonl(tmp_path, rows, name), tmp_path / "run", **options)
    assert report.out == str(tmp_path / "run")
    return report, read_run(tmp_path / "run")


def refused(tmp_path, rows, name="logs.jsonl", **options):
    with pytest.raises(InputError) as caught:
        import_logs(jsonl(tmp_path, rows, name), tmp_path / "run", **options)
    assert not [entry for entry in os.listdir(tmp_path) if entry.startswith("run")], "nothing half-written"
    said = str(caught.value)
    assert said.endswith((".", "?"))
    assert "\n" not in said
    return said.replace(str(tmp_path) + os.sep, "")


def told(run, *keys):
    return [tuple(record[key] for key in keys) for record in run.records]


def taken(report):
    """Return where each field was found."""
    return {use.field: use.source for use in report.fields}


def shares(report):
    """Return how many samples of each model there are, and how many are right."""
    return {count.model: (count.samples, count.right) for count in report.by_model}
