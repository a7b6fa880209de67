"""What an aligner works on: bars of one segment beside the articles that concern them."""

from dataclasses import dataclass
import warnings

import numpy as np
import pandas as pd

from ..exceptions import ColdStartWarning, SktrainError

__all__ = [
    "Piece",
    "Rows",
    "check_vectors",
    "edges",
    "routes_of",
    "segment_names",
    "times_before",
    "warn_if_cold",
]

_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Rows:
    """Where n rows stand among the bars of their instruments.

    ``times`` of all bars known, sorted within each instrument; an instrument begins at each of
    ``starts`` and is called by the name in ``names`` (None for the only one); ``places`` of the n
    rows; ``warm`` when nothing before them is hidden.
    """

    times: np.ndarray
    starts: np.ndarray
    names: list
    places: np.ndarray
    warm: bool


@dataclass(frozen=True)
class Piece:
    """Windows of some rows of one instrument on one list of articles.

    Row ``rows[i]`` sees ``members[low[i]:high[i]]``; it is bar ``places[i]`` of those decided at
    ``bar_times``.
    """

    rows: np.ndarray
    members: np.ndarray
    low: np.ndarray
    high: np.ndarray
    places: np.ndarray
    bar_times: np.ndarray

    def pairs(self, latest=None):
        """(position in ``rows``, article) of every pair, or only of those that are the ``latest``
        of their row."""
        if latest is not None:
            last = (
                self.members[np.maximum(self.high - 1, 0)]
                if len(self.members)
                else np.zeros(len(self.rows), dtype=np.intp)
            )
            at = np.flatnonzero((self.high > self.low) & (last == latest[self.rows]))
            return at, last[at]
        counts = self.high - self.low
        at = np.repeat(np.arange(len(counts)), counts)
        offsets = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        return at, self.members[np.repeat(self.low, counts) + offsets]


def check_vectors(vectors, n):
    if vectors is None:
        return np.empty((n, 0), dtype=np.float32), []
    values = np.asarray(vectors)
    if values.ndim != 2 or len(values) != n:
        raise SktrainError(
            f"vectors must have one row for each of the {n} articles, got shape {values.shape}."
        )
    if values.dtype.kind not in "iuf" or values.dtype == np.float16:
        raise SktrainError(f"vectors must be float32 or float64 numbers, got dtype {values.dtype}.")
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise SktrainError(
            f"vectors: row {int(np.argmax(bad))} is not finite ({int(bad.sum())} such rows)."
        )
    if isinstance(vectors, pd.DataFrame):
        return values, [str(name) for name in vectors.columns]
    return values, [f"news_{i}" for i in range(values.shape[1])]


def routes_of(symbols):
    """Positions of the articles about each symbol; those about none under None."""
    routes: dict[str | None, list[int]] = {}
    for place, names in enumerate(symbols):
        for name in dict.fromkeys(names) or (None,):
            routes.setdefault(name, []).append(place)
    return {name: np.array(places, dtype=np.intp) for name, places in routes.items()}


def segment_names(index, starts):
    return [index[start][0] for start in starts] if isinstance(index, pd.MultiIndex) else [None]


def edges(times, places, lookback):
    """Time of the bar ``lookback`` bars before each place; the beginning of time where there is
    none."""
    before = places - lookback
    return np.where(before >= 0, times[np.maximum(before, 0)], _ALWAYS)


def times_before(times, span):
    return times - np.int64(min(span, float(np.iinfo(np.int64).max // 4)))


def warn_if_cold(piece, known, lookback):
    """Say so when rows without a history drop articles that a bar before them has probably
    seen."""
    first = piece.bar_times[0]
    spacing = np.diff(piece.bar_times).max() if len(piece.bar_times) > 1 else 0
    old = np.searchsorted(known, first - 2 * spacing * lookback)
    if (piece.low[piece.places < lookback] < old).any():
        warnings.warn(
            f"NewsAligner knows no bar before {pd.Timestamp(first)}: the first rows get every "
            "earlier article, the oldest from "
            f"{pd.Timestamp(known[0])}. Pass bars from with_history, or drop the articles that "
            "belong to earlier bars.",
            ColdStartWarning,
            stacklevel=6,
        )
