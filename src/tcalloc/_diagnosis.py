"""The report of `tcalloc doctor`: versions, kernels, extras and processor; no secret, and no path of a user."""

import os
import platform
import re
import sys
from importlib import import_module, metadata
from typing import Any

import numpy as np

from tcalloc import _reference
from tcalloc._kernel import kernel
from tcalloc._threads import processors
from tcalloc._version import __version__

__all__ = ["diagnose", "problems"]

COMPILED = ("_oracle", "_stopping", "_votes")
# Extras for developers of tcalloc; users do not need them.
DEVELOPERS = {"test", "all"}
_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([\w,.\s-]+)\])?\s*\(?([^;()]*)\)?\s*(?:;(.*))?")
_EXTRA = re.compile(r"extra\s*==\s*[\"']([\w-]+)[\"']")
_PLATFORM = re.compile(r"sys_platform\s*(==|!=)\s*[\"'](\w+)[\"']")


def diagnose() -> dict[str, Any]:
    """Return a description of this installation, as a dictionary that can be written as JSON.

    Each extra lists its `missing` packages and those of the `wrong` version. `packages` has the version of each
    dependency, or None.
    """
    extras, packages = _extras()
    return {
        "tcalloc": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}, {'-'.join(platform.libc_ver())}",
        "processor": {"name": _processor(), "usable": processors()},
        "kernel": _kernels(),
        "extras": extras,
        "packages": packages,
    }


def problems(diagnosis: dict[str, Any]) -> list[str]:
    """Return one sentence for each thing that is broken. An extra that is not installed is not broken."""
    kernels = diagnosis["kernel"]
    found = [
        f"The compiled module {name} cannot be imported ({reason}). Remedy: pip install --force-reinstall tcalloc."
        for name, reason in kernels["failed"].items()
    ]
    if kernels["exact"] is False:
        found.append(
            "The compiled kernel rounds differently from its NumPy twin, so its choices and sums can be wrong. "
            "Remedy: build it without -ffast-math and with -ffp-contract=off, or install the wheel."
        )
    wrong = {(name, bounds) for extra in diagnosis["extras"].values() for name, bounds in extra["wrong"].items()}
    return found + [
        f"{name} {diagnosis['packages'][name]} is installed, but {bounds} is needed: pip install '{name}{bounds}'."
        for name, bounds in sorted(wrong)
    ]


def _kernels() -> dict[str, Any]:
    failed, files, exact, simd = {}, {}, None, None
    for name in COMPILED:
        try:
            module = import_module(f"tcalloc.{name}")
        except ImportError as error:
            failed[name] = type(error).__name__
            continue
        files[name] = os.path.basename(module.__file__ or "")
        if name == "_oracle":
            exact, simd = _agrees(module), "AVX2" if module.USES_AVX2 else None
    runs = "reference" if kernel is _reference else "compiled"
    return {"runs": runs, "simd": simd, "exact": exact, "files": files, "failed": failed}


def _agrees(module: Any) -> bool:
    """Return whether the compiled kernel chooses and sums like its NumPy twin, to the last bit.

    In every other row all utilities tie: acc is the rounded product of price and cost. If the compiler fuses the
    multiplication and the subtraction, the product's rounding error decides instead. Sums differ if it reorders them.
    """
    rng = np.random.default_rng(0)
    n, k, price = 256, 5, 0.3
    acc, cost, weights = rng.random((n, k)), rng.random((n, k)), rng.random(n)
    acc[::2] = price * cost[::2]
    both = []
    for each in (module, _reference):
        actions, sums = np.zeros(n, np.int32), np.zeros((1, 6))
        each.best_at(acc, cost, None, weights, price, 0, n, actions, sums)
        both.append((actions.tolist(), (sums[:, ::2] + sums[:, 1::2]).tolist()))
    return bool(both[0] == both[1])


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _extras() -> tuple[dict[str, dict[str, Any]], dict[str, str | None]]:
    """Return what each extra lacks, and the versions of all dependencies, from the metadata of this distribution."""
    try:
        declared = metadata.requires("tcalloc") or []
    except metadata.PackageNotFoundError:  # a checkout on sys.path
        return {}, {"numpy": np.__version__}
    wants: dict[str, list[tuple[str, str, str]]] = {}
    for name, inner, bounds, marker in (match.groups("") for match in map(_REQUIREMENT.fullmatch, declared) if match):
        if _applies(marker):
            of_extra = _EXTRA.search(marker)
            wants.setdefault(of_extra[1] if of_extra else "", []).append((name, inner, bounds.strip()))

    def packages_of(extra: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, inner, bounds in wants.get(extra, []):
            if name == "tcalloc":
                for other in re.findall(r"[\w-]+", inner):
                    found |= packages_of(other)
            else:
                found[name] = bounds
        return found

    packages = {name: _version(name) for extra in wants for name in packages_of(extra)}
    extras = {}
    for extra in sorted(set(wants) - DEVELOPERS):
        bounds_of = packages_of(extra)
        extras[extra or "core"] = {
            "missing": [name for name in bounds_of if packages[name] is None],
            "wrong": {name: b for name, b in bounds_of.items() if packages[name] and not _within(packages[name], b)},
        }
    return extras, {name: packages[name] for name in sorted(packages, key=str.lower)}


def _applies(marker: str) -> bool:
    """Return whether a requirement holds on this platform; pyproject.toml uses only one kind of marker."""
    return all((sys.platform == name) == (sign == "==") for sign, name in _PLATFORM.findall(marker))


def _version(name: str) -> str | None:
    """Return the installed version; two distributions contain the module of XGBoost."""
    for each in (name, "xgboost") if name == "xgboost-cpu" else (name,):
        try:
            return metadata.version(each)
        except metadata.PackageNotFoundError:
            continue
    return None


def _within(version: str | None, bounds: str) -> bool:
    """Return whether a version satisfies bounds of the two kinds in pyproject.toml: at least, and below."""

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.match(r"[\d.]*", text)[0].split(".") if part]  # type: ignore[index]

    have = numbers(version or "")
    return all(
        have >= numbers(bound) if sign == ">=" else have < numbers(bound)
        for sign, bound in re.findall(r"(>=|<)\s*([\d.]+)", bounds)
    )
