"""What the tests of the command line share: running it, and a small table."""

import pytest

from tcalloc import cli
from tcalloc.measure import recorded

CSV = "id,acc:vote1,acc:vote4,cost:vote1,cost:vote4\nq1,0.90,0.90,1,4\nq2,0.30,0.80,1,4\nq3,0.50,0.60,1,4\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Go to a folder that holds the table t.csv; return its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(CSV)
    return "t.csv"


@pytest.fixture
def few_recorded(monkeypatch):
    """Have --demo take 49 of the 293 recorded questions, for the sake of time; they are of all levels."""
    samples, *known = recorded.recorded_samples()
    rows = range(0, len(samples), 6)
    few = recorded.RecordedSamples(samples.take(rows), *([column[i] for i in rows] for column in known))
    monkeypatch.setattr(recorded, "recorded_samples", lambda: few)


@pytest.fixture
def run(capfdbinary, monkeypatch):
    """Run the command line; return (exit code, standard output, standard error)."""
    # After an OSError, standard output is given up. Here it is the file that pytest captures into.
    monkeypatch.setattr(cli, "_abandon_stdout", lambda: None)
    capfdbinary.readouterr()  # what fixtures printed

    def run(*argv):
        code = cli.main([str(part) for part in argv])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run
