"""Benchmarks: ``pytest bench/`` (see README.md). A package, so that its modules may be named like those of tests/."""
