"""From predicted classes to positions, and what holding them would have earned.

Enough to compare signals, not a backtester. A prediction known at the close of bar t becomes a
position taken at that close; it earns the return from close t to close t + 1, never the return of
bar t itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd

from .._history import segment_starts
from .._validation import check_bars, check_number
from ..exceptions import NotEnoughDataError, SktrainError
from ._predictions import OutOfFoldPredictions
from ._sharpe import SharpeRatio, sharpe_ratio

__all__ = ["ProfitAndLoss", "profit_and_loss", "to_positions"]

# by number of probability columns: down up, or down flat up
_SIDES = {2: (-1.0, 1.0), 3: (-1.0, 0.0, 1.0)}
# by labels
_KNOWN = {(0, 1, 2): _SIDES[3], (0, 2): _SIDES[2], (-1, 0, 1): _SIDES[3], (-1, 1): _SIDES[2]}


@overload
def to_positions(
    predictions: OutOfFoldPredictions | pd.DataFrame | pd.Series,
    *,
    sides: dict | Sequence[float] | None = None,
    mode: Literal["sign", "expected"] = "sign",
    threshold: float = 0.0,
) -> pd.Series: ...


@overload
def to_positions(
    predictions: ArrayLike,
    *,
    sides: dict | Sequence[float] | None = None,
    mode: Literal["sign", "expected"] = "sign",
    threshold: float = 0.0,
) -> np.ndarray: ...


def to_positions(
    predictions: OutOfFoldPredictions | ArrayLike,
    *,
    sides: dict | Sequence[float] | None = None,
    mode: Literal["sign", "expected"] = "sign",
    threshold: float = 0.0,
) -> pd.Series | np.ndarray:
    """Turn predicted classes or probabilities into positions between -1 (short) and 1 (long).

    Parameters
    ----------
    predictions : OutOfFoldPredictions, DataFrame or array
        Probabilities of shape (n, n_classes), or n labels.
        Rows that are missing (not tested) become 0, flat.
    sides : dict or sequence, optional
        Side of each class, in [-1, 1]. Known without it: labels 0 sell, 1 hold, 2 buy (or two of
        them with 2); -1, 0, 1; two or three columns without names, in the order down (flat) up.
    mode : {"sign", "expected"}, default="sign"
        ``"sign"`` takes the side of the most likely class; ``"expected"`` the mean side under the
        probabilities.
    threshold : float in [0, 1], default=0.0
        ``"sign"``: least probability of the chosen class; ``"expected"``: least absolute mean side.
        Below it, flat.

    Returns
    -------
    Series or ndarray of shape (n,)
        A Series where the rows have an index.

    Raises
    ------
    SktrainError
        When the sides of the classes cannot be known: labels {0, 1} mean sell and hold here, and
        down and up elsewhere.

    Examples
    --------
    >>> from sktrain.evaluation import to_positions
    >>> to_positions([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    array([ 1., -1.])
    >>> to_positions([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], mode="expected").round(2)
    array([ 0.6, -0.3])
    """
    level = check_number("threshold", threshold, 0, 1)
    if mode not in ("sign", "expected"):
        raise SktrainError(f"mode must be 'sign' or 'expected', got {mode!r}.")
    values, classes, index = _open(predictions)
    if values.ndim == 1:
        if mode != "sign" or level:
            raise SktrainError(
                "Labels carry no probabilities: mode='expected' and threshold need predicted "
                "probabilities."
            )
        positions = _sides_of_labels(values, sides)
    else:
        positions = _sides_of_probabilities(
            values, _resolve(sides, classes, values.shape[1]), mode, level
        )
    return positions if index is None else pd.Series(positions, index, name="position")


def _open(predictions):
    """Values, classes of the columns (None without names), index."""
    if isinstance(predictions, OutOfFoldPredictions):
        return predictions.probabilities, predictions.classes.tolist(), predictions.index
    index = getattr(predictions, "index", None)
    index = index if isinstance(index, pd.Index) else None
    if isinstance(predictions, pd.DataFrame):
        return predictions.to_numpy(dtype=np.float64), list(predictions.columns), index
    values = np.asarray(predictions)
    if values.ndim not in (1, 2):
        raise SktrainError(
            "predictions must be labels (n,) or probabilities (n, n_classes), got shape "
            f"{values.shape}."
        )
    return (values if values.ndim == 1 else values.astype(np.float64)), None, index


def _resolve(sides, classes, count):
    """The side of each of ``count`` columns."""
    if sides is None:
        names = None if classes is None else tuple(classes)
        found: Any = _SIDES.get(count) if names is None else _KNOWN.get(names)
        if found is None:
            what = f"classes {list(names)}" if names is not None else f"{count} columns"
            raise SktrainError(
                f"It is not known which side the {what} mean. Say it, for example sides={{0: -1, "
                f"1: 1}}."
            )
    elif isinstance(sides, dict):
        lacking = [name for name in classes or range(count) if name not in sides]
        if lacking:
            raise SktrainError(f"sides lacks the class {lacking[0]!r}; it has {list(sides)!r}.")
        found = [sides[name] for name in classes or range(count)]
    else:
        found = list(sides) if np.iterable(sides) else []
    found = np.array([check_number("sides", side) for side in found])
    if len(found) != count or (np.abs(found) > 1).any():
        raise SktrainError(
            f"sides must be one number in [-1, 1] for each of {count} classes, got {sides!r}."
        )
    return found


def _sides_of_labels(labels, sides):
    known = ~np.asarray(pd.isna(labels))
    names, codes = np.unique(labels[known], return_inverse=True)
    if sides is None:  # a class that was never predicted is no reason to guess
        family = next(
            (
                known_as
                for known_as in _KNOWN
                if 2 in known_as and 2 in names and set(names) <= set(known_as)
            ),
            None,
        )
        if family is None and set(names) <= {-1, 0, 1} and -1 in names:
            family = (-1, 0, 1)
        if family is None:
            raise SktrainError(
                f"It is not known which side the labels {names.tolist()!r} mean. Say it, for "
                f"example sides={{0: -1, 1: 0, 2: 1}}."
            )
        sides = dict(zip(family, _KNOWN[family]))
    positions = np.zeros(len(labels))
    positions[known] = _resolve(sides, names.tolist(), len(names))[codes]
    return positions


def _sides_of_probabilities(values, sides, mode, threshold):
    missing = np.isnan(values).any(axis=1)
    clean = np.where(missing[:, None], 0.0, values)
    if (clean < 0).any() or not np.allclose(clean[~missing].sum(axis=1), 1, atol=1e-6):
        raise SktrainError(
            "Probabilities must be zero or more and sum to 1 in every row that is not missing."
        )
    if mode == "expected":
        positions = clean @ sides
        positions[np.abs(positions) < threshold] = 0.0
    else:
        best = clean.argmax(axis=1)
        positions = np.where(clean[np.arange(len(clean)), best] >= threshold, sides[best], 0.0)
    positions[missing] = 0.0
    return positions


@dataclass(frozen=True, eq=False)
class ProfitAndLoss:
    """What positions earned, per time; a panel holds its instruments in equal parts of the capital.

    Attributes
    ----------
    returns : Series or ndarray
        Net simple return of each bar after the first, at the time it was earned; simple returns of
        a panel are averaged over the instruments that traded.
    gross, costs : Series or ndarray
        ``returns = gross - costs``.
    exposure : float
        Mean absolute position.
    turnover : float
        Mean absolute change of position per bar, the first entry included.

    Examples
    --------
    >>> from sktrain.evaluation import profit_and_loss
    >>> found = profit_and_loss([1, 1, -1, 0], [100, 110, 99, 99], cost=0.001)
    >>> found.gross.round(3), found.exposure, found.turnover
    (array([ 0.1, -0.1, -0. ]), 1.0, 1.0)
    """

    returns: pd.Series | np.ndarray
    gross: pd.Series | np.ndarray
    costs: pd.Series | np.ndarray
    exposure: float
    turnover: float

    @property
    def equity(self) -> pd.Series | np.ndarray:
        """Wealth after each bar, starting from 1."""
        return (1 + self.returns).cumprod()

    @property
    def max_drawdown(self) -> float:
        """Largest fall of the wealth from an earlier peak (or the start), as a positive share."""
        wealth = np.concatenate([[1.0], np.asarray(self.equity)])
        return float((1 - wealth / np.maximum.accumulate(wealth)).max())

    def sharpe(self, periods_per_year: float | None = None) -> SharpeRatio:
        """Sharpe ratio of the net returns.

        Parameters
        ----------
        periods_per_year : float, optional
            Bars a year; default a ratio per bar.

        Returns
        -------
        SharpeRatio
            A float that knows its unit.
        """
        return sharpe_ratio(self.returns, periods_per_year=periods_per_year)

    def summary(self) -> str:
        """Total return, costs, exposure, turnover and drawdown.

        Returns
        -------
        str
            One line.
        """
        total = float(np.asarray(self.equity)[-1] - 1)
        return (
            f"Net return {total:+.2%} over {len(self.returns)} bars after costs of "
            f"{float(np.sum(self.costs)):.2%}; exposure {self.exposure:.2f}, "
            f"turnover {self.turnover:.3f} a bar, maximum drawdown {self.max_drawdown:.1%}"
        )


def profit_and_loss(positions: ArrayLike, prices: ArrayLike, *, cost: float = 0.0) -> ProfitAndLoss:
    """Hold each position from its close to the next close.

    ``position[t] · (close[t+1] / close[t] − 1) − cost · |position[t] − position[t−1]|``, earned at
    t+1; before the first bar the position is 0, and the last position earns nothing.

    Parameters
    ----------
    positions : array-like of shape (n,)
        Decided with what is known at each close; finite. A Series must have the index of
        ``prices``.
    prices : DataFrame of bars, Series or array of n closes
        A panel is indexed by (symbol, time).
    cost : float, default=0.0
        Per unit of turnover, as a fraction of the capital: 0.001 is ten basis points a side.

    Returns
    -------
    ProfitAndLoss
        Returns, costs, exposure and turnover.

    Raises
    ------
    SktrainError
        When positions and prices differ in length or index, positions are not finite, prices not
        positive, or the cost is negative.

    Examples
    --------
    >>> from sktrain.evaluation import profit_and_loss
    >>> profit_and_loss([1, 1, -1, 0], [100, 110, 99, 99], cost=0.001).returns.round(3)
    array([ 0.099, -0.1  , -0.002])
    """
    close, index = _closes(prices)
    held = _held(positions, index, len(close))
    rate = check_number("cost", cost, 0)
    starts = segment_starts(index) if index is not None else np.zeros(1, dtype=np.intp)
    if len(close) < 2:
        raise NotEnoughDataError(f"A return needs at least 2 closes, got {len(close)}.")
    trade = np.diff(held, prepend=0.0)
    trade[starts] = held[starts]
    earning = np.ones(len(close), dtype=bool)
    earning[np.append(starts[1:], len(close)) - 1] = False  # the last bar of each instrument
    now = np.flatnonzero(earning)
    gross = held[now] * (close[now + 1] / close[now] - 1)
    costs = rate * np.abs(trade[now])
    turnover, exposure = float(np.abs(trade[now]).mean()), float(np.abs(held[now]).mean())
    gross, costs = (_per_time(values, index, now + 1) for values in (gross, costs))
    return ProfitAndLoss(gross - costs, gross, costs, exposure, turnover)


def _closes(prices):
    index = getattr(prices, "index", None)
    index = index if isinstance(index, pd.Index) else None
    if isinstance(prices, pd.DataFrame):
        close = check_bars(prices, required=("close",), warn=False)["close"].to_numpy(
            dtype=np.float64
        )
        return close, index
    close = np.asarray(prices, dtype=np.float64)
    if close.ndim != 1:
        raise SktrainError(f"prices must be bars or one series of closes, got shape {close.shape}.")
    bad = ~(np.isfinite(close) & (close > 0))
    if bad.any():
        raise SktrainError(
            f"prices must be positive: row {int(np.argmax(bad))} is {close[np.argmax(bad)]} "
            f"({int(bad.sum())} such rows)."
        )
    if index is not None and index.has_duplicates:
        raise SktrainError(
            f"prices: row {int(np.argmax(index.duplicated()))} repeats an earlier time."
        )
    if isinstance(index, (pd.DatetimeIndex, pd.MultiIndex)):
        # the order of time
        check_bars(pd.DataFrame({"close": close}, index), required=("close",), warn=False)
    return close, index


def _held(positions, index, n):
    if isinstance(positions, OutOfFoldPredictions):
        raise SktrainError(
            "positions are out-of-fold predictions: turn them into sides first, "
            "profit_and_loss(to_positions(predictions), prices)."
        )
    held = np.asarray(positions, dtype=np.float64)
    if held.shape != (n,):
        raise SktrainError(
            f"positions must hold one number for each of {n} prices, got shape {held.shape}."
        )
    own = getattr(positions, "index", None)
    if isinstance(own, pd.Index) and index is not None and not own.equals(index):
        row = int(np.argmax(np.asarray(own != index)))
        raise SktrainError(
            f"positions and prices have different indexes: row {row} is {own[row]} and "
            f"{index[row]}. Align them with positions.loc[prices.index]."
        )
    bad = ~np.isfinite(held)
    if bad.any():
        raise SktrainError(
            f"positions: row {int(np.argmax(bad))} is {held[np.argmax(bad)]} ({int(bad.sum())} "
            "such rows). Flat is 0."
        )
    return held


def _per_time(values, index, rows):
    if index is None:
        return values
    if not isinstance(index, pd.MultiIndex):
        return pd.Series(values, index[rows])
    return pd.Series(values, index[rows]).groupby(level=1, sort=True).mean()
