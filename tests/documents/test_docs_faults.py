"""docs/faults.md: every row names a test that exists."""

import ast
import re

from places import CHECKOUT
from syntax import tree_of


def test_every_fault_has_a_test():
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in (CHECKOUT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| fault |", "| --- |"))
    ]
    assert len(rows) > 10
    for row in rows:
        assert len(row) == 3, row
        named = re.findall(r"(tests/[\w/]+\.py)?::(test_\w+)", row[2])
        assert named, row
        file = ""
        for said, name in named:
            file = said or file  # "::test_more" is of the same file
            tree = tree_of(CHECKOUT / file)
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (
                f"{file}::{name}"
            )
