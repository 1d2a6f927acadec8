"""Who reads or writes fields of a stored sample by name names fields that exist."""

import ast

from places import SOURCE
from syntax import tree_of

from tcalloc.importing import fields
from tcalloc.measure import load_run
from tcalloc.runs.records import PLAIN, SampleRecord

FIELDS = set(SampleRecord.__annotations__)


def test_numbers_that_are_loaded_are_fields():
    assert set(load_run.NUMBERS) <= FIELDS


def test_facts_of_logs_are_fields():
    assert {*fields.NUMBERS, *fields.CACHE, "finish", "answer", "correct", "text"} <= FIELDS


def test_plain_fields_are_fields():
    assert set(PLAIN) <= FIELDS - {"text", "answer", "seed", "params"}


def test_what_is_asked_of_a_record_is_a_field():
    """A call such as `record.get("logprob")` names a field; mypy does not look into casts."""
    asked = {}
    for path in sorted((SOURCE / "tcalloc").rglob("*.py")):
        if path.name == "verdicts.py":  # its records are verdicts
            continue
        for node in ast.walk(tree_of(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "record"
                and isinstance(node.args[0], ast.Constant)
            ):
                asked.setdefault(node.args[0].value, path)
    assert len(asked) > 10
    assert not {name: path for name, path in asked.items() if name not in FIELDS}
