"""Check what a wheel of tcalloc holds: every file, no other exported symbol, no fused multiply-add, not too large.

Usage: python .ci/check_wheel.py WHEEL SDIST. It needs `nm` and `objdump` (Debian: binutils).
"""

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

KERNELS = ("_oracle", "_stopping", "_votes")
LARGEST = 3_000_000  # bytes, without the recorded data
# Multiply and add in one rounding: x86 and ARM. The kernels' compensated sums are wrong with them.
FUSED = re.compile(r"\s(vfn?m(?:add|sub)\w*|fn?m(?:add|sub)|fml[as])\s")
# What a package folder may hold beside Python: pyproject.toml's package-data.
SHIPPED = (".py", ".pyi", "py.typed", ".npz", ".jsonl.gz", ".html", ".css", ".js")


def expected(sdist: Path) -> set[str]:
    """Return the names of the package's files, as the sdist has them."""
    with tarfile.open(sdist) as archive:
        names = [re.sub(r"^[^/]+/", "", member.name) for member in archive if member.isfile()]
    return {name.removeprefix("src/") for name in names if name.startswith("src/tcalloc/") and name.endswith(SHIPPED)}


def faults_of_files(wheel: zipfile.ZipFile, sdist: Path) -> list[str]:
    """Return a sentence for each file that is missing or does not belong, and for a wheel that is too large."""
    names = {name for name in wheel.namelist() if not name.endswith("/") and ".dist-info/" not in name}
    libraries = {name for name in names if name.endswith((".so", ".pyd"))}
    wanted = expected(sdist)
    faults = [f"{name} is missing." for name in sorted(wanted - names)]
    faults += [f"{name} does not belong into a wheel." for name in sorted(names - wanted - libraries)]
    for kernel in KERNELS:
        if not any(re.fullmatch(rf"tcalloc/{kernel}\.[\w.-]+", name) for name in libraries):
            faults.append(f"The compiled module tcalloc/{kernel} is missing.")
    size = sum(item.compress_size for item in wheel.infolist() if not item.filename.startswith("tcalloc/datasets/"))
    if size > LARGEST:
        faults.append(f"The wheel has {size:,} bytes without the recorded data: at most {LARGEST:,} are allowed.")
    print(f"{len(names)} files, {size:,} bytes without the recorded data")
    return faults


def faults_of_library(library: Path) -> list[str]:
    """Return a sentence for each exported symbol that is not the initialiser, and for fused arithmetic."""
    module = library.name.split(".")[0]
    symbols = run("nm", "-D", "--defined-only", "--format=posix", str(library))
    exported = {line.split()[0].split("@")[0] for line in symbols.splitlines()}
    allowed = {f"PyInit_{module}", f"PyModExport_{module}", "_init", "_fini"}
    faults = [f"{library.name} exports the symbol {name}." for name in sorted(exported - allowed)]
    if f"PyInit_{module}" not in exported:
        faults.append(f"{library.name} does not export PyInit_{module}.")
    fused = FUSED.findall(run("objdump", "-d", "--no-show-raw-insn", str(library)))
    if fused:
        faults.append(
            f"{library.name} holds {len(fused)} fused multiply-adds, such as {fused[0]}. Build with -ffp-contract=off."
        )
    return faults


def run(*command: str) -> str:
    """Run a program and return what it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def faults(wheel: Path, sdist: Path) -> list[str]:
    """Return all that is wrong with a wheel, a sentence each."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        found = faults_of_files(archive, sdist)
        for name in sorted(archive.namelist()):
            if name.endswith(".so"):
                found += faults_of_library(Path(archive.extract(name, folder)))
    return found


def main() -> int:
    """Check the wheel that the command line names."""
    wheel, sdist = map(Path, sys.argv[1:])
    found = faults(wheel, sdist)
    print("\n".join(found) or f"{wheel.name}: nothing is missing, exported by mistake or fused")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
