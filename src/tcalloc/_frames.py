"""Data frames and axes for users: pandas and Matplotlib are imported when one is asked for."""

from typing import TYPE_CHECKING, Any

from tcalloc.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["frame_of", "new_axes"]


def frame_of(data: Any) -> "pandas.DataFrame":
    """Return a pandas DataFrame of named columns, or of a list of rows."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("to_frame needs pandas: pip install pandas") from error
    return pd.DataFrame(data)


def new_axes(size: tuple[float, float] = (7, 4.5)) -> "Axes":
    """Return the axes of a new figure of Matplotlib, for methods called ``plot``; the size is in inches."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtraError("plot needs Matplotlib: pip install 'tcalloc[plot]'") from error
    return plt.figure(figsize=size, layout="constrained").add_subplot()
