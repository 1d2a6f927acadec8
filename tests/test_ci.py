"""What CI installs is the same today and tomorrow."""

import re
import tomllib

from places import CHECKOUT


def plain(name):
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_all_that_ci_installs_is_pinned():
    lines = (CHECKOUT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition(";")[0].strip() for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", pin) for pin in pins)
    pinned = {plain(pin.partition("==")[0]) for pin in pins}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        named += extra
    for group in project["dependency-groups"].values():
        named += [one for one in group if isinstance(one, str)]
    wanted = {plain(re.match(r"[\w.-]+", one)[0]) for one in named if "darwin'" not in one or "!=" in one}
    assert wanted - {"tcalloc"} <= pinned
    script = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    for variable in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"):
        assert f'{variable}="$PWD/.ci/constraints.txt"' in script
