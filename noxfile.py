#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Sessions for those who like nox. Each calls what CI calls; CONTRIBUTING.md has the commands without nox."""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
PINNED = {"PIP_CONSTRAINT": ".ci/constraints.txt", "PIP_BUILD_CONSTRAINT": ".ci/constraints.txt"}


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest."""
    session.install(".[test]", env=PINNED)
    session.run("pytest", *session.posargs, env={"MPLBACKEND": "Agg"})


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linters and check types and stubs."""
    session.install("--group", "lint", "--group", "bench", ".[all]", "pandas", env=PINNED)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("cython-lint", *(f"src/tcalloc/{name}.pyx" for name in ("_oracle", "_stopping", "_votes")))
    session.run("mypy")
    stubtest = ["--mypy-config-file", "pyproject.toml", "--allowlist", ".ci/stubtest-allow"]
    session.run("python", "-m", "mypy.stubtest", "tcalloc", *stubtest)
    session.run("lint-imports")
    session.run("zizmor", "--offline", ".github/workflows")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure speed; arguments go to pytest."""
    session.install("--group", "bench", ".", env=PINNED)
    session.run("pytest", *(session.posargs or ["bench/speed"]))


@nox.session(default=False)
def wheels(session: nox.Session) -> None:
    """Build and check the sdist and this machine's wheel; an argument is the folder for them."""
    session.run(".ci/wheels", *session.posargs, external=True)


@nox.session(default=False)
def minimums(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml allows; arguments go to pytest."""
    session.run(".ci/minimums", *session.posargs, external=True)


if __name__ == "__main__":
    nox.main()
