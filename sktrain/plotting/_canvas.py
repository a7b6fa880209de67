"""What every Display shares: an axis to draw on, and one palette."""

import numpy as np

from .._optional import require

__all__ = ["PALETTE", "REGIME_COLOURS", "axes", "grid_of_axes", "spans_of"]

PALETTE = {
    "train": "#4878a8",
    "purged": "#d9a441",
    "embargoed": "#c9c9c9",
    "test": "#c8553d",
    "price": "#333333",
    "line": "#4878a8",
    "other": "#c8553d",
}
REGIME_COLOURS = {
    "bull": "#8fbf8f",
    "bear": "#d98880",
    "sideways": "#cfcfcf",
    "high_volatility": "#e6b566",
    "low_volatility": "#9fb8d3",
}


def axes(ax, caller, **figure):
    """``ax`` itself, or one axis on a new figure."""
    plt = require("matplotlib.pyplot", extra="plot", caller=caller)
    if ax is None:
        _, ax = plt.subplots(**{"figsize": (9, 4), "layout": "constrained", **figure})
    return ax


def grid_of_axes(ax, rows, caller, **figure):
    """``rows`` axes under each other that share x; a given sequence of axes is used as it is."""
    plt = require("matplotlib.pyplot", extra="plot", caller=caller)
    if ax is None:
        _, ax = plt.subplots(
            rows,
            1,
            **{"sharex": True, "figsize": (9, 2.4 * rows + 1), "layout": "constrained", **figure},
        )
    ax = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(ax) != rows:
        raise ValueError(f"{caller}.plot needs {rows} axes, got {len(ax)}.")
    return ax


def spans_of(mask):
    """Closed ranges of positions where ``mask`` is True.

    Examples
    --------
    >>> spans_of([False, True, True, False, True])
    [(1, 2), (4, 4)]
    """
    padded = np.concatenate([[False], np.asarray(mask, dtype=bool), [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2])]
