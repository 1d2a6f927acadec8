"""Actions as data: how to spend on a question, and what that costs.

What to use when
----------------
`One`, `Vote`, `Best`
    Make an `Action`: one sample as it is; a majority vote over k samples; the best of k by a verifier or a score.
`Action`
    All of its settings at once. Any mix of actions is an action set: routing between models and sampling more are one
    problem.
`Rates`
    What a server charges per token. Without rates a sample costs what was recorded, or 1.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypedDict, Unpack

from tcalloc._checks import did_you_mean, number, one_of, whole
from tcalloc._printing import cleaned
from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.measure import kinds

__all__ = ["SETTINGS", "Action", "Best", "One", "Settings", "Vote", "action_names", "check_actions"]

# As names write them, and the fields they stand for.
SETTINGS = {
    "temperature": "temperature",
    "effort": "reasoning_effort",
    "thinking": "thinking_tokens",
    "max": "max_tokens",
}
_SETTING = re.compile("(" + "|".join(SETTINGS) + r")=(\S+)")


@dataclass(frozen=True, slots=True)
class Action:
    """One way to answer a question. Fields that are None are left to the server, or do not matter.

    Parameters
    ----------
    samples : int
        How many are drawn.
    combine : str
        "one" (one sample, as it is), "vote" (the most frequent answer, ties split evenly) or "best" (of `by`).
    by : str, optional
        How "best" chooses: "verifier" (a check that knows a right answer: pass@k) or "score" (the highest score).
    model : str, optional
        Which model (or recorded arm); None where there is one.
    max_tokens : int, optional
        The longest answer.
    temperature : float, optional
        Of sampling, at least 0.
    reasoning_effort : str, optional
        What the server calls it: "low", "medium", "high".
    thinking_tokens : int, optional
        Budget of reasoning tokens.
    rates : Rates, optional
        What tokens cost; None: what was recorded.

    Raises
    ------
    InputError
        If a setting is not allowed; names it and the remedy.

    Examples
    --------
    >>> from tcalloc.measure import Action, Vote
    >>> action = Vote(5, model="qwen", temperature=0.8)
    >>> action
    Vote(5, model='qwen', temperature=0.8)
    >>> Action.from_dict(action.to_dict()) == action
    True
    """

    samples: int = 1
    combine: str = "vote"
    by: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    reasoning_effort: str | None = None
    thinking_tokens: int | None = None
    rates: Rates | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "samples", whole("samples", self.samples, 1))
        one_of("combine", self.combine, tuple(dict.fromkeys(kind.combine for kind in kinds.KINDS)))
        choices = _choices(self.combine)
        if self.by is None:
            put(self, "by", choices[0])
        elif choices == [None]:
            choosing = " or ".join(dict.fromkeys(repr(kind.combine) for kind in kinds.KINDS if kind.by is not None))
            raise InputError(
                f"by is {self.by!r}, but combine is {self.combine!r}: only {choosing} chooses by something."
            )
        else:
            one_of("by", self.by, [by for by in choices if by is not None])
        if self.kind.single and self.samples != 1:
            raise InputError(
                f"samples is {self.samples}, but combine is {self.combine!r}, which draws one sample. "
                "Use combine='vote' or 'best', or samples=1."
            )
        for name in ("model", "reasoning_effort"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip() or value != value.strip()):
                raise InputError(f"{name} is {value!r}; expected a name, not empty, without blanks around it.")
        for name in ("max_tokens", "thinking_tokens"):
            if getattr(self, name) is not None:
                put(self, name, whole(name, getattr(self, name), 0 if name == "thinking_tokens" else 1))
        if self.temperature is not None:
            put(self, "temperature", number("temperature", self.temperature, ends=True))
        if self.rates is not None and not isinstance(self.rates, Rates):
            raise InputError(f"rates is {self.rates!r}; expected tcalloc.Rates(input=…, output=…).")

    @property
    def kind(self) -> kinds.Kind:
        """What is made of its samples."""
        return kinds.kind_of(self.combine, self.by)

    @property
    def name(self) -> str:
        """A short name, different for different actions: the name of its column in a table."""
        head = self.kind.named(self.samples)
        return " ".join([head, *([self.model] if self.model else []), *self._settings("{}={}")])

    @property
    def arm(self) -> str | None:
        """The name of its samples where a model was asked in several ways: model and settings."""
        return None if self.model is None else " ".join([self.model, *self._settings("{}={}")])

    def _settings(self, form: str) -> list[str]:
        return [
            form.format(key, f"{value:g}" if isinstance(value, float) else value)
            for key, field in SETTINGS.items()
            if (value := getattr(self, field)) is not None
        ]

    @cleaned
    def __repr__(self) -> str:
        given = {
            "by": None if self.by == _choices(self.combine)[0] else self.by,
            "model": self.model,
            **{field: getattr(self, field) for field in (*SETTINGS.values(), "rates")},
        }
        head = [] if self.kind.single else [str(self.samples)]
        words = [f"{name}={value!r}" for name, value in given.items() if value is not None]
        return f"{self.combine.capitalize()}({', '.join([*head, *words])})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary for JSON; settings that are None are left out."""
        found = {key: value for key, value in asdict(self).items() if value is not None}
        if self.rates is not None:
            found["rates"] = self.rates.as_dict()
        return found

    @classmethod
    def parse(cls, name: str) -> "Action":
        """Return the action that has this `name` (rates are no part of it).

        Parameters
        ----------
        name : str
            Such as "vote5 qwen temperature=0.8".

        Raises
        ------
        InputError
            If no action is called so.

        Examples
        --------
        >>> Action.parse("vote5 qwen temperature=0.8") == Vote(5, "qwen", temperature=0.8)
        True
        """
        head = _name_pattern().fullmatch(name) if isinstance(name, str) else None
        if head is None:
            *others, last = [repr(kind.example) for kind in kinds.KINDS]
            raise InputError(
                f"{name!r} is not the name of an action; expected {', '.join(others)} or {last}. "
                "The model and settings such as 'temperature=0.8' may follow."
            )
        words = (head["rest"] or "").split(" ") if head["rest"] else []
        given: dict[str, Any] = {}
        while words and (setting := _SETTING.fullmatch(words[-1])):
            key, value = SETTINGS[setting[1]], setting[2]
            try:
                given[key] = {"temperature": float, "reasoning_effort": str}.get(key, int)(value)
            except ValueError:
                raise InputError(f"{name!r}: {setting[1]} is {value!r}; expected a number.") from None
            words.pop()
        return cls(int(head["k"] or 1), head["one"] or head["several"], head["by"], " ".join(words) or None, **given)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Action":
        """Return the action that `to_dict` wrote down.

        Parameters
        ----------
        data : mapping
            What `to_dict` returned.

        Raises
        ------
        InputError
            If a field is unknown or not allowed.
        """
        given = _known(cls, data, "an action")
        if given.get("rates") is not None and not isinstance(given["rates"], Rates):
            given["rates"] = Rates(**_known(Rates, given["rates"], "rates"))
        return cls(**given)


class Settings(TypedDict, total=False):
    """What `Vote`, `Best` and `One` take beside the number of samples and the model: fields of `Action`."""

    max_tokens: int | None
    temperature: float | None
    reasoning_effort: str | None
    thinking_tokens: int | None
    rates: Rates | None


def Vote(k: int, model: str | None = None, **settings: Unpack[Settings]) -> Action:
    """Return the action: a majority vote over k samples.

    Parameters
    ----------
    k : int
        Samples, at least 1.
    model : str, optional
        Of which model; None where there is only one.
    **settings
        ``max_tokens``, ``temperature``, ``reasoning_effort``, ``thinking_tokens`` and ``rates``, as in `Action`.

    Returns
    -------
    Action

    Examples
    --------
    >>> from tcalloc import Vote
    >>> Vote(3)
    Vote(3)
    >>> Vote(5, "qwen", temperature=0.8).name
    'vote5 qwen temperature=0.8'
    """
    return Action(whole("k", k, 1), "vote", None, model, **settings)


def Best(k: int, model: str | None = None, *, by: str = "verifier", **settings: Unpack[Settings]) -> Action:
    """Return the action: the best of k samples by a verifier (pass@k) or by their score.

    Parameters
    ----------
    k : int
        Samples, at least 1.
    model : str, optional
        Of which model; None where there is only one.
    by : {"verifier", "score"}
        What chooses the best.
    **settings
        ``max_tokens``, ``temperature``, ``reasoning_effort``, ``thinking_tokens`` and ``rates``, as in `Action`.

    Returns
    -------
    Action

    Examples
    --------
    >>> from tcalloc import Best
    >>> Best(4, by="score")
    Best(4, by='score')
    """
    return Action(whole("k", k, 1), "best", by, model, **settings)


def One(model: str | None = None, **settings: Unpack[Settings]) -> Action:
    """Return the action: one plain call, whose answer counts as it is.

    A log of right and wrong measures no more than that if no verifier recognises right answers live.

    Parameters
    ----------
    model : str, optional
        Of which model; None where there is only one.
    **settings
        ``max_tokens``, ``temperature``, ``reasoning_effort``, ``thinking_tokens`` and ``rates``, as in `Action`.

    Returns
    -------
    Action

    Examples
    --------
    >>> from tcalloc import One
    >>> One("mid")
    One(model='mid')
    """
    return Action(1, "one", None, model, **settings)


def check_actions(actions: Any) -> tuple[Action, ...]:
    """Refuse what is no action set: actions that differ, at least one."""
    if isinstance(actions, (Action, str, bytes)) or not isinstance(actions, Iterable):
        raise InputError(f"actions is {actions!r}; expected a list, such as [Vote(1), Vote(4)].")
    found = tuple(actions)
    if not found:
        raise InputError("actions is empty; expected at least one, such as [Vote(1), Vote(4)].")
    for a, action in enumerate(found):
        if not isinstance(action, Action):
            raise InputError(f"actions[{a}] is {action!r}; expected an action, such as Vote(4).")
    return found


def action_names(actions: tuple[Action, ...]) -> tuple[str, ...]:
    """Return the actions' names; refuse two that are called alike.

    Raises
    ------
    InputError
        If an action stands there twice.
    """
    names = tuple(action.name for action in actions)
    for a, name in enumerate(names):
        if name in names[:a]:
            raise InputError(f"actions[{a}] is {name!r} like actions[{names.index(name)}]; leave one out.")
    return names


def _choices(combine: str) -> list[str | None]:
    """Return what a `combine` may choose by; the first is the default."""
    return [kind.by for kind in kinds.KINDS if kind.combine == combine]


def _name_pattern() -> re.Pattern[str]:
    """Return the pattern of all names. What a kind chooses by stands in its name if it is not the default."""

    def either(words: Iterable[str]) -> str:
        return "|".join(map(re.escape, words))

    one = either(kind.combine for kind in kinds.KINDS if kind.single)
    several = either(kind.combine for kind in kinds.KINDS if not kind.single)
    by = either(str(kind.by) for kind in kinds.KINDS if kind.by != _choices(kind.combine)[0])
    return re.compile(
        rf"(?:(?P<one>{one})|(?P<several>{several})(?P<k>[0-9]{{1,9}})(?: by (?P<by>{by}))?)(?: (?P<rest>\S.*))?"
    )


def _known(kind: Any, data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise InputError(f"{what}: {data!r} is not a mapping; expected what to_dict() returns.")
    names = [field.name for field in fields(kind)]
    for key in data:
        if key not in names:
            meant = did_you_mean(key, names)
            raise InputError(f"{what}: unknown field {key!r}; allowed are {', '.join(names)}.{meant}")
    return dict(data)
