"""Displays of bars over time: folds over the price, regimes, labels. Rows are in order of time
within each symbol."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd

from .._models import CLASS_NAMES, class_name
from .._routing import folds_of
from .._typing import CrossValidator, Labeler
from .._validation import check_bars, time_axis
from ..features import RegimeDetector
from ._canvas import PALETTE, REGIME_COLOURS, axes, grid_of_axes, spans_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LabelDisplay", "RegimeDisplay", "WalkForwardDisplay"]


def _close(bars, symbol=None):
    """Close prices of one instrument, indexed by time."""
    bars = check_bars(bars, required=("close",), warn=False)
    if isinstance(bars.index, pd.MultiIndex):
        symbol = bars.index[0][0] if symbol is None else symbol
        bars = bars.xs(symbol, level=0)
    return bars["close"]


class WalkForwardDisplay:
    """Which rows train, are purged or embargoed, and are tested, fold by fold.

    Parameters
    ----------
    times : DatetimeIndex or ndarray, shape (n_times,)
        Sorted unique times of the rows.
    roles : ndarray of str, shape (n_folds, n_times)
        ``"train"``, ``"gap"``, ``"test"`` or ``""`` per fold and time.
    close : Series, optional
        Prices drawn above the folds.
    regimes : Series, optional
        Regime by time, shaded behind the price.

    Examples
    --------
    >>> from sktrain import AdaptiveLabeler, EnhancedWalkForwardCV, WalkForwardDisplay
    >>> from sktrain.datasets import load_sp500
    >>> bars, y = AdaptiveLabeler().fit_resample(load_sp500())
    >>> display = WalkForwardDisplay.from_cv(EnhancedWalkForwardCV(n_splits=4), bars, y)
    >>> display.roles.shape[0]
    4
    """

    def __init__(
        self,
        times: pd.DatetimeIndex | np.ndarray,
        roles: np.ndarray,
        *,
        close: pd.Series | None = None,
        regimes: pd.Series | None = None,
    ) -> None:
        self.times, self.roles, self.close, self.regimes = times, roles, close, regimes

    @classmethod
    def from_cv(
        cls,
        cv: CrossValidator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None,
        regimes: pd.Series | None = None,
    ) -> Self:
        """Compute the roles of every unique time under ``cv``.

        Parameters
        ----------
        cv : splitter, or iterable of (train, test) positions
            Folds to show.
        X : DataFrame or array of n rows
            Rows, indexed by time or (symbol, time).
        y : array-like of shape (n,), optional
            Labels; handed to ``cv.split``.
        groups, label_end_times : array-like of shape (n,), optional
            Handed to ``cv.split``.
        regimes : Series, optional
            Regime of every row, shaded behind the price.
        """
        axis = time_axis(X)
        unique, codes = np.unique(axis.times, return_inverse=True)
        roles = []
        for train, test in folds_of(cv, X, y, groups=groups, label_end_times=label_end_times):
            role = np.full(len(unique), "", dtype="<U5")
            role[codes[train]] = "train"
            role[codes[test]] = "test"
            first, last = codes[test].min(), codes[test].max()
            left = np.flatnonzero(role[:first] == "train")
            if left.size:
                role[left[-1] + 1 : first] = "gap"
            right = np.flatnonzero(role[last + 1 :] == "train")
            if right.size:
                role[last + 1 : last + 1 + right[0]] = "gap"
            roles.append(role)
        times = unique if axis.index is None else pd.DatetimeIndex(unique)
        close = (
            _close(X)
            if isinstance(X, pd.DataFrame) and "close" in [str(c).lower() for c in X.columns]
            else None
        )
        return cls(times, np.array(roles), close=close, regimes=regimes)

    def _block(self, first, last):
        """Start and width of a block: it lasts until the next time, so that a single row shows."""
        end = self.times[min(last + 1, len(self.times) - 1)]
        return self.times[first], end - self.times[first]

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the price above the folds.

        Parameters
        ----------
        ax : sequence of matplotlib axes, optional
            Two axes (price, folds), or one where there is no price.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        rows = 1 if self.close is None else 2
        grid = grid_of_axes(ax, rows, "WalkForwardDisplay")
        if self.close is not None:
            _draw_price(grid[0], self.close, self.regimes)
        folds = grid[-1]
        for number, role in enumerate(self.roles):
            for kind, colour in (("train", "train"), ("gap", "purged"), ("test", "test")):
                blocks = [self._block(first, last) for first, last in spans_of(role == kind)]
                if blocks:
                    folds.broken_barh(blocks, (number - 0.4, 0.8), color=PALETTE[colour])
        for kind, colour in (
            ("train", "train"),
            ("purged and embargoed", "purged"),
            ("test", "test"),
        ):
            folds.barh([0], [0], left=self.times[0], color=PALETTE[colour], label=kind)
        folds.set(ylabel="fold", yticks=range(len(self.roles)))
        folds.invert_yaxis()
        # below the times: no place inside is free of folds
        folds.legend(loc="upper right", bbox_to_anchor=(1, -0.1), ncols=3, fontsize="small")
        self.ax_, self.figure_ = grid, folds.figure
        return self


def _draw_price(ax, close, regimes=None):
    from matplotlib.ticker import AutoLocator, NullLocator

    if regimes is not None:
        _shade(ax, regimes)
    ax.plot(close.index, close.to_numpy(), color=PALETTE["price"], linewidth=0.8)
    ax.set(ylabel="close", yscale="log")
    ax.yaxis.set_major_locator(AutoLocator())  # round prices, not powers of ten
    ax.yaxis.set_major_formatter("{x:,.10g}")
    ax.yaxis.set_minor_locator(NullLocator())


def _shade(ax, regimes):
    values = np.asarray(regimes.astype(object))
    present = [name for name in REGIME_COLOURS if (values == name).any()]
    for name in present:
        for place, (first, last) in enumerate(spans_of(values == name)):
            label = name.replace("_", " ") if place == 0 else None
            ax.axvspan(
                regimes.index[first],
                regimes.index[last],
                color=REGIME_COLOURS[name],
                alpha=0.5,
                linewidth=0,
                label=label,
            )
    if present:
        ax.legend(loc="upper left", fontsize="small", ncols=min(3, len(present)))


class RegimeDisplay:
    """Prices with the market regime shaded behind them.

    Parameters
    ----------
    close : Series
        Prices of one instrument, indexed by time.
    regimes : Series
        Regime of each of those times, missing in warm-up.

    Examples
    --------
    >>> from sktrain import RegimeDisplay
    >>> from sktrain.datasets import load_sp500
    >>> display = RegimeDisplay.from_bars(load_sp500())
    >>> len(display.regimes) == len(display.close)
    True
    """

    def __init__(self, close: pd.Series, regimes: pd.Series) -> None:
        self.close, self.regimes = close, regimes

    @classmethod
    def from_bars(
        cls,
        bars: pd.DataFrame,
        *,
        detector: RegimeDetector | None = None,
        symbol: Hashable | None = None,
    ) -> Self:
        """Detect the regimes of ``bars`` and keep those of one instrument.

        Parameters
        ----------
        bars : DataFrame of bars
            ``open high low close volume``, indexed by time or (symbol, time).
        detector : RegimeDetector, optional
            Default one that learns its thresholds from ``bars``.
        symbol : hashable, optional
            Instrument of a panel to keep; default the first.

        Returns
        -------
        RegimeDisplay
            Not drawn yet.
        """
        from ..features import RegimeDetector

        detector = (
            RegimeDetector(volatility_threshold="auto", trend_threshold="auto")
            if detector is None
            else detector
        )
        regimes = detector.fit(bars).transform(bars).iloc[:, 0]
        close = _close(bars, symbol)
        if isinstance(bars.index, pd.MultiIndex):
            regimes = regimes.xs(bars.index[0][0] if symbol is None else symbol, level=0)
        return cls(close, regimes)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the price over the shaded regimes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        ax = axes(ax, "RegimeDisplay")
        _draw_price(ax, self.close, self.regimes)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class LabelDisplay:
    """Prices with the bars labelled buy and sell, and the share of each class over time.

    Parameters
    ----------
    close : Series
        Prices of one instrument.
    labels : Series
        0 sell, 1 hold, 2 buy, or missing, indexed like ``close``.

    Examples
    --------
    >>> from sktrain import AdaptiveLabeler, LabelDisplay
    >>> from sktrain.datasets import load_sp500
    >>> bars = load_sp500()
    >>> LabelDisplay.from_bars(  # doctest: +SKIP
    ...     bars, AdaptiveLabeler(scaling="sigma", base_threshold=0.5)
    ... ).balance.round(2).to_dict()
    {'sell': 0.28, 'hold': 0.36, 'buy': 0.36}
    """

    def __init__(self, close: pd.Series, labels: pd.Series) -> None:
        self.close, self.labels = close, labels

    @property
    def balance(self) -> pd.Series:
        """Share of each class among the labelled bars."""
        shares = self.labels.value_counts(normalize=True).sort_index()
        return shares.rename(CLASS_NAMES)

    @classmethod
    def from_bars(
        cls, bars: pd.DataFrame, labeler: Labeler, *, symbol: Hashable | None = None
    ) -> Self:
        """Label ``bars`` and keep the labels of one instrument.

        Parameters
        ----------
        bars : DataFrame of bars
            ``open high low close volume``, indexed by time or (symbol, time).
        labeler : labeler
            Fitted on ``bars`` where it has ``fit``.
        symbol : hashable, optional
            Instrument of a panel to keep; default the first.

        Returns
        -------
        LabelDisplay
            Not drawn yet.
        """
        labels = (
            labeler.fit(bars).transform(bars)
            if hasattr(labeler, "fit")
            else labeler.transform(bars)
        )
        if isinstance(bars.index, pd.MultiIndex):
            labels = labels.xs(bars.index[0][0] if symbol is None else symbol, level=0)
        return cls(_close(bars, symbol), labels)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the labelled price above the shares of the classes.

        Parameters
        ----------
        ax : sequence of two matplotlib axes, optional
            One for the price and one for the shares; default a new figure.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        price, share = grid_of_axes(ax, 2, "LabelDisplay")
        _draw_price(price, self.close)
        for code, colour, marker in ((0, PALETTE["other"], "v"), (2, PALETTE["line"], "^")):
            chosen = (self.labels == code).to_numpy()
            price.scatter(
                self.close.index[chosen],
                self.close.to_numpy()[chosen],
                s=6,
                color=colour,
                marker=marker,
                label=class_name(code),
            )
        price.legend(fontsize="small")
        known = self.labels.dropna()
        window = max(min(250, len(known) // 4), 1)
        shares = [(known == code).astype(float).rolling(window).mean() for code in CLASS_NAMES]
        share.stackplot(
            known.index,
            *shares,
            labels=list(CLASS_NAMES.values()),
            colors=[PALETTE["other"], PALETTE["embargoed"], PALETTE["line"]],
        )
        share.set(ylim=(0, 1), ylabel=f"share of {window} bars")
        share.legend(loc="lower left", fontsize="small", ncols=3)
        self.ax_, self.figure_ = np.array([price, share]), price.figure
        return self
