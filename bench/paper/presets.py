"""The paper's models by name: where they are asked, and what that cost when it was last looked up.

A preset is a start, not a promise: hosts rename models and change prices. Everything can be given on the command line.
"""

from dataclasses import dataclass, replace

from tcalloc.errors import InputError

__all__ = ["HERE", "PRESETS", "Preset", "find"]

HERE = "on this machine"
"""Instead of where prices were listed: there are none."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One model at one host.

    Attributes
    ----------
    name : str
        What the tables call it.
    base_url : str
        The server, up to /v1.
    model : str
        The model's name there.
    price_in, price_out : float or None
        Dollars per million tokens of prompts and of answers; None: not known.
    listed : str
        Where and when these prices were listed.
    choices : int
        Responses per request that the host gives; the prompt is paid once for all of them.
    note : str
        What else to know.
    """

    name: str
    base_url: str
    model: str
    price_in: float | None
    price_out: float | None
    listed: str
    choices: int = 1
    note: str = ""

    @property
    def priced(self) -> bool:
        """Whether prices are known."""
        return self.price_in is not None and self.price_out is not None

    @property
    def words(self) -> str:
        """Its prices, in one line."""
        if self.listed == HERE:
            return f"{self.name}: on this machine"
        if not self.priced:
            return f"{self.name}: {self.model} at {self.base_url}; prices are not known"
        return (
            f"{self.name}: {self.model} at {self.base_url}; ${self.price_in:g} in, ${self.price_out:g} out per million "
            f"tokens ({self.listed})" + (f"; {self.note}" if self.note else "")
        )


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "gpt-4o-mini",
            "https://api.openai.com/v1",
            "gpt-4o-mini",
            0.15,
            0.60,
            "openai.com/api/pricing, since 2024-07; check before you trust",
            choices=8,
        ),
        Preset(
            "deepseek-v3",
            "https://openrouter.ai/api/v1",
            "deepseek/deepseek-chat-v3-0324",
            0.27,
            1.10,
            "openrouter.ai/deepseek/deepseek-chat-v3-0324, 2025-03; check before you trust",
            note="at api.deepseek.com the name deepseek-chat has meant later models since 2025",
        ),
        Preset(
            "qwen2.5-7b",
            "https://api.together.xyz/v1",
            "Qwen/Qwen2.5-7B-Instruct-Turbo",
            0.30,
            0.30,
            "together.ai/pricing, 2025; check before you trust",
        ),
    )
}


def find(name: str, base_url: str | None, model: str | None, price_in: float | None, price_out: float | None) -> Preset:
    """Return a preset, with what was given instead; or what was given alone, if no preset is called so.

    Raises
    ------
    InputError
        If there is no preset of that name and no URL, or only one of the two prices.
    """
    if (price_in is None) != (price_out is None):
        raise InputError("--price-in and --price-out belong together; give both.")
    known = PRESETS.get(name.lower())
    if known is None:
        if base_url is None:
            raise InputError(
                f"--model {name}: no preset of that name ({', '.join(PRESETS)}) and no --base-url. Give one of them."
            )
        return Preset(name, base_url, model or name, price_in, price_out, "as given")
    if price_in is None and base_url is not None and base_url != known.base_url:  # another host has other prices
        return replace(known, base_url=base_url, model=model or known.model, price_in=None, price_out=None, choices=1)
    given = {"base_url": base_url, "model": model, "price_in": price_in, "price_out": price_out}
    changed = {field: value for field, value in given.items() if value is not None}
    if price_in is not None:
        changed["listed"] = "as given"
    return replace(known, **changed)  # type: ignore[arg-type]
