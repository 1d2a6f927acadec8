"""What the hook is told: keys of a section of LiteLLM's config, or environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tcalloc._checks import number, one_of, whole
from tcalloc.errors import InputError
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

__all__ = ["PREFIX", "Settings", "keeper_of", "settings_of"]

PREFIX = "TCALLOC_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the hook is told.

    Parameters
    ----------
    policy : str
        A policy's folder, or the name of an action such as "vote3".
    extract : str
        Finds the answers that are voted on, as `make_grader` names it; "none": no votes.
    budget : float, optional
        Average cost per request; sets a policy that has several budgets.
    max_tokens : int, optional
        The most tokens of an answer, where a request names no limit.
    n_per_request : int
        The most samples that one request to a model asks for.
    total : float, optional
        What may be spent in a period; None: no budget is kept. Needs `max_tokens`.
    unit, period, cap_per_question, state
        As in `BudgetKeeper`. LiteLLM's prices are in dollars.
    """

    policy: str
    extract: str = "numeric"
    budget: float | None = None
    max_tokens: int | None = None
    n_per_request: int = 1
    total: float | None = None
    unit: str = "usd"
    period: str | int | None = None
    cap_per_question: float | None = None
    state: str | None = None


_AMOUNTS = ("budget", "total", "cap_per_question")
_COUNTS = ("max_tokens", "n_per_request")


def settings_of(section: Any, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; a key of the section is used before the variable of its name.

    Parameters
    ----------
    section : mapping or None
        ``litellm_settings: tcalloc:`` in the config; in Python ``litellm.tcalloc``.
    environment : mapping, optional
        Where variables such as ``TCALLOC_POLICY`` are; default: those of the process.

    Raises
    ------
    InputError
        If a key is unknown, a value is not allowed, or no policy is named.
    """
    environment = os.environ if environment is None else environment
    if section is not None and not isinstance(section, Mapping):
        raise InputError(f"litellm_settings: tcalloc is a {type(section).__name__}; expected keys such as policy.")
    known = [field.name for field in fields(Settings)]
    for name in section or ():
        one_of("a key of litellm_settings: tcalloc", name, known)
    given: dict[str, Any] = {}
    for name in known:
        where, value = name, (section or {}).get(name)
        if value is None:
            where = PREFIX + name.upper()
            value = environment.get(where) or None
        if value is not None:
            given[name] = _read(name, where, value)
    if "policy" not in given:
        raise InputError(
            f"no policy is named. Set {PREFIX}POLICY to a policy's folder (tcalloc fit makes one) or to an action such "
            "as vote3."
        )
    settings = Settings(**given)
    if settings.total is not None and settings.max_tokens is None:
        raise InputError(f"a total needs max_tokens ({PREFIX}MAX_TOKENS): without them no request has a highest cost.")
    return settings


def keeper_of(settings: Settings) -> BudgetKeeper | None:
    """Return the keeper of the budget; None if none is kept."""
    if settings.total is None:
        return None
    return BudgetKeeper(
        settings.total, settings.unit, settings.period, cap_per_question=settings.cap_per_question,
        state=settings.state, lifetime=3600.0,
    )  # fmt: skip


def _read(name: str, where: str, value: Any) -> Any:
    if name in _AMOUNTS or name in _COUNTS:
        try:
            value = float(value) if name in _AMOUNTS else int(value)
        except (TypeError, ValueError):
            raise InputError(f"{where} is {value!r}; expected a number.") from None
        return number(where, value) if name in _AMOUNTS else whole(where, value, 1)
    if name == "period" and (isinstance(value, int) or str(value).isdigit()):
        return int(value)
    return str(value)
