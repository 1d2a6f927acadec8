"""Runs the blocks of a Markdown document as a reader pastes them: in order, in one folder, each to success.

A block is fenced (```sh, ```python, or data) or indented by four blanks (commands). What a block of ```text right after
it says must stand in its output, line by line in this order; ``...`` stands for anything. ``print(...)  # this`` says
what the line prints. A comment in the source, on the line before a block, says what is special:

    <!-- test: file table.csv -->                       the block is the contents of this file
    <!-- test: skip; REASON -->                         the block is not run
    <!-- test: add OPTIONS to "BEGINNING"; REASON -->   the command that begins so is run with these options added
    <!-- test: exit 1 -->                               the last command of the block ends with this exit code

A server at http://127.0.0.1:8080/v1 is the one of `chaos`, and so is the local model unless TCALLOC_TEST_LOCAL=1.
A gateway at http://127.0.0.1:9000 listens on another port here, and ends with the page if serve.pid names its process.
"""

import ast
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from places import ENVIRONMENT

from tcalloc import cli

URL = "http://127.0.0.1:8080/v1"
GATEWAY = "http://127.0.0.1:9000"
DATA = ("csv", "json", "text")


@dataclass(frozen=True)
class Block:
    place: str
    language: str
    code: str
    remark: str = ""

    def option(self, name):
        """What the remark of this name says, without its reason; None if there is none."""
        word, _, rest = self.remark.partition(";")[0].partition(" ")
        return rest if word == name else None


def blocks_of(path):
    found, fence, code, remark, before = [], None, [], "", ""
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], 1):
        if fence is not None:
            if line == "```" if fence else not line.startswith("    "):
                found.append(Block(f"{path.name}, line {number}", fence or "sh", "\n".join(code) + "\n", remark))
                fence, code, remark = None, [], ""
            else:
                code.append(line if fence else line[4:])
        elif line.startswith("```"):
            fence = line[3:] or "nothing"
        elif line.startswith("    ") and not before:
            fence, code = "", [line[4:]]
        elif match := re.fullmatch(r"<!-- test: (.*) -->", line):
            remark = match[1]
        before = line
    return found


def commands_of(code):
    """The commands of a block, with continued lines joined; comments and empty lines are none."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


class Reader:
    """Does what a reader does: pastes one block after the other."""

    def __init__(self, folder, url):
        self.folder, self.url = Path(folder), url
        self.names = {"__name__": "__main__"}
        self.tools = self.folder.resolve() / ".tools"  # a program, so that $! is its process
        self.tools.mkdir(exist_ok=True)
        (self.tools / "tcalloc").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tcalloc "$@"\n')
        (self.tools / "tcalloc").chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def read(self, path):
        try:
            self._read(path)
        finally:
            with suppress(OSError, ValueError):  # a page that failed half-way
                os.kill(int((self.folder / "serve.pid").read_text()), signal.SIGTERM)

    def _read(self, path):
        output = ""
        for block in blocks_of(path):
            try:
                if file := block.option("file"):
                    (self.folder / file).write_text(block.code, encoding="utf-8")
                elif block.language == "text" and block.option("skip") is None:
                    expect(block.code, output)
                elif block.language in ("sh", "python") and block.option("skip") is None:
                    output = self.shell(block) if block.language == "sh" else self.python(block)
                elif block.language not in DATA and block.option("skip") is None:
                    raise AssertionError(f"a block of {block.language}; expected sh, python or {DATA}")
            except Exception as error:
                error.add_note(f"{block.place}:\n{block.code}")
                raise

    def shell(self, block):
        said = []
        options, _, beginning = (block.option("add") or "").partition(" to ")
        commands = [without_comment(command) for command in commands_of(block.code)]
        if options and not any(command.startswith(shlex.split(beginning)[0]) for command in commands):
            raise AssertionError(f"no command begins with {beginning}")
        for command in commands:
            added = f" {options}" if options and command.startswith(shlex.split(beginning)[0]) else ""
            code, output = self._run(command + added)
            expected = int(block.option("exit") or 0) if command is commands[-1] else 0
            assert code == expected, f"exit code {code} of: {command}\n{output}"
            said.append(output)
        return "".join(said)

    def _run(self, command):
        command = command.replace(URL, self.url).replace(GATEWAY, f"http://127.0.0.1:{self.port}")
        command = command.replace("tcalloc serve", f"tcalloc serve --port {self.port}")
        if os.environ.get("TCALLOC_TEST_LOCAL") != "1":
            command = command.replace(" --local", f" --base-url {self.url} --model tiny")
        if command.startswith("pip install"):
            return 0, ""  # .ci/run runs the README's; extras are checked by a test
        words = shlex.split(command)
        if words[0] == "cd":
            self.folder /= words[1]
            return 0, ""
        if words[0] == "tcalloc" and not {"|", ">", "&&", ";"} & set(words):
            out = io.StringIO()
            with chdir(self.folder), redirect_stdout(out), redirect_stderr(out):
                code = cli.main(words[1:])
            return code, out.getvalue()
        tool = f"PATH={shlex.quote(str(self.tools))}:$PATH\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", tool + command],
            cwd=self.folder,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        return done.returncode, done.stdout

    def python(self, block):
        code = block.code.replace(URL, self.url)
        lines = code.splitlines()
        said = []
        with chdir(self.folder):
            for statement in ast.parse(code).body:
                out = io.StringIO()
                with redirect_stdout(out):
                    exec(compile(ast.Module([statement], []), block.place, "exec"), self.names)
                said.append(out.getvalue())
                comment = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode().strip()
                if lines[statement.lineno - 1].startswith("print(") and comment:
                    assert out.getvalue().split() == comment.removeprefix("#").split(), lines[statement.lineno - 1]
        return "".join(said)


def without_comment(command):
    return re.sub(r"\s{2,}#.*", "", command)


def expect(text, output):
    """Assert that the lines stand in the output, in this order."""
    got = [" ".join(line.split()) for line in output.splitlines()]
    at = 0
    for line in filter(None, (" ".join(line.split()) for line in text.splitlines())):
        pattern = ".*".join(map(re.escape, line.split("...")))
        while at < len(got) and not re.fullmatch(pattern, got[at]):
            at += 1
        assert at < len(got), f"not in the output: {line}\n{output}"
        at += 1
