"""The command line as a process: pipes that close, full disks, Ctrl-C, terminals that are not UTF-8."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from places import ENVIRONMENT, INTERRUPTED

from tcalloc.measure import Table, save_table

CSV = "id,acc:vote1,acc:vote4,cost:vote1,cost:vote4\nq1,0.90,0.90,1,4\nq2,0.30,0.80,1,4\nq3,0.50,0.60,1,4\n"
# The package that these tests import, installed or not.


def start(*argv, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT} | options
    return subprocess.Popen([sys.executable, "-m", "tcalloc", *map(str, argv)], **options)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_ctrl_c(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    process = start("solve", tmp_path / "t.csv", "--budget", 2, "--out", tmp_path / "a.csv")
    with open(tmp_path / "t.csv", "w") as file:  # opens as soon as the other end reads
        file.write(CSV)
        file.flush()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode in INTERRUPTED
    assert (out, err) == (b"", b"tcalloc: interrupted.\n")
    assert os.listdir(tmp_path) == ["t.csv"]


@pytest.mark.parametrize("argv", [["--json"], ["--out", "-"]])
def test_a_reader_that_stops_early(argv, tmp_path):
    n = 50_000  # more than a pipe holds
    save_table(Table(np.ones((n, 1)), [1.0]), tmp_path / "t.npz")
    process = start("solve", tmp_path / "t.npz", "--budget", 2, *argv)
    assert process.stdout.read(10)
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "Error" not in err
    assert "error" not in err
    assert "Exception" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("argv", [[], ["--json"], ["--out", "-"]])
def test_a_full_disk(argv, tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    with open("/dev/full", "w") as full:
        process = start("solve", tmp_path / "t.csv", "--budget", 2, *argv, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines()[-1] == "tcalloc: error: standard output: No space left on device."


def test_a_terminal_that_is_not_utf8(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,acc:gro\xdf,cost:gro\xdf\n\xfc,0.5,1\n", encoding="utf-8")
    environment = ENVIRONMENT | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}

    def finish(*argv):
        out, err = start("solve", path, "--budget", 2, *argv, env=environment).communicate()
        assert b"Error" not in err
        return out

    assert b"\ngro\\xdf" in finish()
    assert finish("--out", "-") == "id,action,accuracy,cost\n\xfc,gro\xdf,0.5,1.0\n".encode()  # data: always UTF-8
    assert json.loads(finish("--json"))["ids"] == ["\xfc"]
