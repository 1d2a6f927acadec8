"""docs/faults.md: every row names a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_fault_has_a_test():
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| fault |", "| --- |"))
    ]
    assert len(rows) > 10
    for row in rows:
        assert len(row) == 3, row
        named = re.findall(r"`(tests/test_\w+\.py)?::(test_\w+)`", row[2])
        assert named, row
        assert named[0][0], row
        file = ""
        for other, name in named:  # one without a file is in that of the one before
            file = other or file
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert name in {
                node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }, f"{file}::{name}"
