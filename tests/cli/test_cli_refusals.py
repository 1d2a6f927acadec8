"""The command line: what it refuses, in which words, with which exit code, and that nothing is left half written."""

import os
from pathlib import Path

import pytest

from tcalloc.measure import Table


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ("solve t.csv", 2, "one of the arguments --budget --total --accuracy is required (see: tcalloc solve --help)"),
        ("solve --budget 2", 2, "the following arguments are required: TABLE (see: tcalloc solve --help)"),
        ("solve t.csv --budget 1 --total 2", 2, "argument --total: not allowed with argument --budget (see: "),
        ("solve t.csv --budget x", 2, "argument --budget: 'x' is not a number (see: "),
        ("solve t.csv --budget nan", 2, "argument --budget: 'nan' is not a number (see: "),
        ("solve t.csv --budget 2 --threads 0", 2, "argument --threads: '0' is not a whole number of at least 1 (see: "),
        ("solve t.csv --budget 2 --threads 1.5", 2, "argument --threads: '1.5' is not a whole number of at least 1"),
        ("solve t.csv --budget 2 --method best", 2, "argument --method: invalid choice: 'best'"),
        (
            "solve t.csv --bud 2",
            2,
            "unrecognized arguments: --bud. Did you mean '--budget'? (see: tcalloc solve --help)",
        ),
        ("solve t.csv --accuracy 0.7 --method bisect", 2, "--method bisect works with --budget and --total only"),
        ("solve t.csv --budget 2 --out x.txt", 2, "argument --out: x.txt: unknown suffix '.txt'; allowed are .csv, "),
        ("solve t.csv --budget 2 --out - --json", 2, "--out - and --json both write to standard output; choose one."),
        ("solve t.csv --budget 2 --out t.csv", 2, "t.csv is the table itself and would be overwritten; write to"),
        ("solve t.csv --budget 2 --out no/x.csv", 1, "no/x.csv: the folder "),
        ("solve t.csv --budget 0.5", 1, "budget is 0.5, but the cheapest action of every instance already costs 1.0"),
        ("solve t.csv --budget=-1", 1, "budget is -1.0, but"),
        ("solve t.csv --accuracy 0.99", 1, "accuracy is 0.99, but the best action of every instance reaches 0.7666"),
        ("solve no.csv --budget 2", 1, "no.csv: no such file. Check the path."),
        ("frontier no.csv", 1, "no.csv: no such file. Check the path."),
        ("frontier t.csv --points 1", 2, "argument --points: '1' is not a whole number of at least 2"),
        ("frontier t.csv --plot x.gif", 2, "argument --plot: x.gif: allowed are names that end in .png, .svg or .pdf"),
        ("frontier t.csv --plot no/x.png", 1, "no/x.png: the folder "),
        ("frontier t.csv --out - --json", 2, "--out - and --json both"),
        ("demo --plot x.png --no-plot", 2, "argument --no-plot: not allowed with argument --plot"),
        ("nonsense", 2, "argument COMMAND: invalid choice: 'nonsense'"),
    ],
)
def test_refusals(argv, code, message, table, run):
    before = Path(table).read_text()
    found, out, err = run(*argv.split())
    assert (found, out) == (code, "")
    assert err.startswith(f"tcalloc: error: {message}")
    assert err.count("\n") == 1
    assert os.listdir() == ["t.csv"]
    assert Path(table).read_text() == before


def test_what_nobody_expected_is_one_line_too(table, run, monkeypatch):
    for error, code, message in (
        (MemoryError(), 1, "tcalloc: error: not enough memory for this table. Use float32, or fewer rows at a time.\n"),
        (PermissionError(13, "Permission denied", "x.csv"), 1, "tcalloc: error: x.csv: Permission denied.\n"),
        (KeyboardInterrupt(), 130, "tcalloc: interrupted.\n"),
    ):

        def fail(*_args, error=error, **_options):
            raise error

        monkeypatch.setattr(Table, "solve", fail)
        assert run("solve", table, "--budget", 2) == (code, "", message)


def test_ctrl_c_while_writing_leaves_the_old_file(table, run, monkeypatch):
    Path("a.csv").write_text("id,action,accuracy,cost\nold")

    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("tcalloc.measure.table_files.write._cells", interrupted)
    assert run("solve", table, "--budget", 2, "--out", "a.csv") == (130, "", "tcalloc: interrupted.\n")
    assert Path("a.csv").read_text() == "id,action,accuracy,cost\nold"
    assert sorted(os.listdir()) == ["a.csv", "t.csv"]
