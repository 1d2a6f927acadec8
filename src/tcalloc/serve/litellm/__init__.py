"""The hook for LiteLLM, its proxy and its SDK: ``tcalloc.serve.litellm.hook``."""

from typing import Any

from tcalloc.errors import MissingExtraError

__all__ = ["hook"]  # made when it is first used, since it needs LiteLLM


def __getattr__(name: str) -> Any:
    if name != "hook":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from tcalloc.serve.litellm.callback import Hook
    except ImportError as error:
        raise MissingExtraError(
            f"tcalloc.serve.litellm.hook needs LiteLLM, as it is in version 1.108 or 1.110 ({error}). Install it: pip "
            "install 'litellm[proxy]'."
        ) from None
    return globals().setdefault(name, Hook())
