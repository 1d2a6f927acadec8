"""Data frames for users: pandas is imported when one is asked for."""

from typing import TYPE_CHECKING, Any

from tcalloc.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas

__all__ = ["frame_of"]


def frame_of(data: Any) -> "pandas.DataFrame":
    """Return a pandas DataFrame.

    Parameters
    ----------
    data : mapping of str to sequence, or list of dict
        Named columns, or rows.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("to_frame needs pandas: pip install pandas") from error
    return pd.DataFrame(data)
