"""Leakage checks for a user's own test suite; they raise AssertionError.

Splitters are tried on one instrument, on an uneven panel and on bare arrays, with labels that span
several bars; transformers on bars whose future is destroyed. Everything is an experiment: nothing
is asked about how the object is written.

Examples
--------
>>> from sktrain import EnhancedWalkForwardCV
>>> from sktrain.testing import check_splitter
>>> check_splitter(EnhancedWalkForwardCV(n_splits=3, ensure_regime_coverage=False))
"""

from collections.abc import Callable, Sequence
import copy
from functools import partial
import pickle
import warnings

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator, clone

from .._history import with_history
from .._routing import folds_of
from .._typing import Splitter, Step
from .._validation import check_generator, label_spans, labelled_mask
from ._experiments import Experiment, apply, fitted, quiet
from ._folds import FoldChecker, as_positions
from ._outputs import UnusableOutputError

__all__ = [
    "check_causal", "check_splitter", "leakage_checks", "make_bars",
    "parametrize_with_leakage_checks",
]


def make_bars(n_bars: int = 1200, n_symbols: int = 1, *, random_state: int = 0) -> pd.DataFrame:
    """Random bars for experiments.

    A geometric random walk with changing volatility, with valid highs and lows.

    Parameters
    ----------
    n_bars : int, default=1200
        Rows of the longest symbol.
    n_symbols : int, default=1
        More than one gives a panel whose symbols start at different times.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        ``open high low close volume`` with a history handle.

    Examples
    --------
    >>> from sktrain.testing import make_bars
    >>> make_bars(50).shape
    (50, 5)
    """
    rng = check_generator(random_state)
    frames = {}
    for symbol in range(n_symbols):
        n = n_bars - 37 * symbol
        step = rng.normal(0, 0.01, n) * np.exp(0.5 * np.sin(np.arange(n) / 60 + symbol))
        close = 100 * np.exp(np.cumsum(step))
        opened = close * np.exp(rng.normal(0, 0.003, n))
        high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.004, n)))
        low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.004, n)))
        values = {
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": rng.lognormal(12, 0.5, n),
        }
        frames[f"S{symbol}"] = pd.DataFrame(
            values, pd.bdate_range("2015-01-01", periods=n_bars, name="time")[n_bars - n :]
        )
    if n_symbols == 1:
        return with_history(frames["S0"])
    return with_history(pd.concat(frames, names=["symbol", "time"]))


def _labels(bars, horizon):
    close = bars["close"]
    ahead = (
        close.groupby(level=0).shift(-horizon)
        if isinstance(bars.index, pd.MultiIndex)
        else close.shift(-horizon)
    )
    y = (np.sign(ahead / close - 1) + 1).where(ahead.notna())
    y.attrs["label_horizon"] = horizon
    return y


def _cases(horizon):
    """(name, X, y, label_end_times) for one instrument, a panel, and bare arrays."""
    bars = make_bars()
    yield "one instrument", bars, _labels(bars, horizon)
    panel = make_bars(600, 3)
    yield "a panel", panel, _labels(panel, horizon)
    plain = pd.Series(_labels(bars, horizon).to_numpy())
    plain.attrs["label_horizon"] = horizon
    yield "bare arrays", bars.to_numpy(), plain


def _folds(cv, X, y, ends):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(folds_of(cv, X, y, label_end_times=ends))


def _contract(cv, X, y, ends, where):
    before, state = X.copy(), pickle.dumps(cv)
    folds = _folds(cv, X, y, ends)
    assert folds, f"{cv!r} gives no folds on {where}."
    assert pickle.dumps(cv) == state, f"split changed {cv!r} itself."
    same = before.equals(X) if hasattr(before, "equals") else np.array_equal(before, X)
    assert same, f"split changed X on {where}."
    again = _folds(copy.deepcopy(cv), X, y, ends)
    equal = len(folds) == len(again) and all(
        np.array_equal(a, b) for one, two in zip(folds, again) for a, b in zip(one, two)
    )
    assert equal, f"{cv!r} gives other folds in a second call on {where}: set random_state."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        declared = cv.get_n_splits(X, y)
    assert declared == len(folds), (
        f"{cv!r} declares {declared} folds and gives {len(folds)} on {where}."
    )
    return folds


def _separation(cv, folds, X, y, ends, where):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spans = label_spans(X, y, label_end_times=ends)[0]
    labelled = labelled_mask(y, len(X))
    checker = FoldChecker(spans, labelled)
    embargo = getattr(cv, "embargo_bars", 0)
    facts = []
    for number, (train, test) in enumerate(folds):
        train, test = as_positions(train, len(X), "train"), as_positions(test, len(X), "test")
        fact = checker.facts(train, test)
        facts.append(fact)
        name = f"fold {number} of {cv!r} on {where}"
        assert min(fact.n_train, fact.n_test) > 0, (
            f"{name} has {fact.n_train} training and {fact.n_test} test rows."
        )
        assert not fact.repeated, f"{name} repeats {fact.repeated} rows."
        assert not fact.shared_rows, (
            f"{name} trains on {fact.shared_rows} rows it tests, the first is row "
            f"{fact.first_shared_row}."
        )
        assert not fact.shared_times, (
            f"{name} trains on {fact.shared_times} rows at tested times, the first is row "
            f"{fact.first_shared_time}."
        )
        assert not fact.overlapping, (
            f"{name} trains on {fact.overlapping} labels that overlap tested ones, the first is "
            f"row {fact.first_overlap}."
        )
        assert not fact.unlabelled, f"{name} holds {fact.unlabelled} rows without a label."
        between = min(fact.distance_before, fact.distance_after) - 1  # neighbours are 1 apart
        assert between >= embargo, (
            f"{name} leaves out {between} of the {embargo} embargo bars it declares."
        )
    assert not all(fact.all_after for fact in facts), (
        f"{cv!r} trains only on rows later than those it tests, on {where}."
    )


def check_splitter(
    cv: Splitter,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    label_end_times: ArrayLike | None = None,
    horizon: int = 5,
) -> None:
    """Hold a splitter to what honest folds need.

    It gives as many folds as it declares, the same ones every time, and changes nothing; no row,
    time or label span stands on both sides; its own embargo is kept; rows without a label are in no
    fold.

    Parameters
    ----------
    cv : splitter
        Anything with ``split`` and ``get_n_splits``.
    X, y : rows and labels, optional
        Default made-up bars: one instrument, an uneven panel, bare arrays. Labels say their reach
        in ``attrs["label_horizon"]``.
    label_end_times : array-like, optional
        For the given rows.
    horizon : int, default=5
        Reach of the made-up labels, in bars.

    Raises
    ------
    AssertionError
        Naming the fold, the data and the first row.

    Examples
    --------
    >>> from sklearn.model_selection import TimeSeriesSplit
    >>> from sktrain import EnhancedWalkForwardCV
    >>> from sktrain.testing import check_splitter
    >>> check_splitter(EnhancedWalkForwardCV(n_splits=3))
    >>> try:
    ...     check_splitter(TimeSeriesSplit(n_splits=3))
    ... except AssertionError as error:
    ...     print("refused")
    refused
    """
    cases = _cases(horizon) if X is None else [("the given rows", X, y)]
    for where, rows, labels in cases:
        folds = _contract(cv, rows, labels, label_end_times, where)
        _separation(cv, folds, rows, labels, label_end_times, where)


def check_causal(
    transformer: Step,
    bars: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    horizon: int | None = None,
) -> None:
    """Hold a transformer, labeler, pipeline or function of bars to the past.

    The future is replaced by noise, shuffled and cut off at several cuts, history handle included;
    outputs up to the cut must not move. A labeler is held to the end of its labels instead.

    Parameters
    ----------
    transformer : transformer, labeler, classifier or function
        Object to check; cloned.
    bars : DataFrame, ndarray or list, optional
        Default made-up bars, one instrument and a panel.
    y : array-like, optional
        For transformers that learn from labels.
    horizon : int, optional
        Bars the output may look ahead.

    Raises
    ------
    AssertionError
        Naming the output column, the first row that changed, and what was done to the future.

    Examples
    --------
    >>> from sktrain.testing import check_causal
    >>> check_causal(lambda bars: bars[["close"]] / bars[["open"]].to_numpy())
    >>> def centred(bars):
    ...     return bars[["close"]].rolling(5, center=True).mean()
    >>> check_causal(centred)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: ... column 'close' changes at row ...
    """
    frames = [make_bars(700), make_bars(300, 3)] if bars is None else [bars]
    for frame in frames:
        name = (
            type(transformer).__name__
            if hasattr(transformer, "fit")
            else getattr(transformer, "__name__", "function")
        )
        try:
            change = Experiment(transformer, frame, y, horizon=horizon).first_change()
        except UnusableOutputError as error:
            raise AssertionError(f"{name} could not be held to causality: {error}") from error
        if change is not None and change.premature:
            raise AssertionError(
                f"{name}: the label of row {change.row} ({change.time}) is given as "
                f"{change.now!r} before its outcome is known."
            )
        if change is not None:
            raise AssertionError(
                f"{name}: column {change.column!r} changes at row {change.row} ({change.time}) "
                f"when the future is given {change.kind}: "
                f"{change.was!r} becomes {change.now!r}. It looks at least "
                f"{max(change.bars_ahead, 1)} bar(s) ahead."
            )


def _check_same_result(transformer):
    """Two fits on the same rows give the same output, and the rows are left as they were."""
    bars = make_bars(400)
    kept = bars.copy()
    with quiet():
        one, two = apply(fitted(transformer, bars), bars), apply(fitted(transformer, bars), bars)
    assert bars.equals(kept), f"{type(transformer).__name__} changes the rows it is given."
    one, two = (
        pd.DataFrame(np.asarray(one).reshape(len(one), -1)),
        pd.DataFrame(np.asarray(two).reshape(len(two), -1)),
    )
    assert one.equals(two), (
        f"{type(transformer).__name__} gives other values in a second fit: set random_state."
    )


def _check_horizon(cv, horizon):
    """The purge follows the labels, whatever their reach."""
    check_splitter(cv, horizon=horizon)


def leakage_checks(estimator: object) -> list:
    """The checks that apply to an object.

    Parameters
    ----------
    estimator : splitter, transformer, labeler, classifier or function
        What is to be checked.

    Returns
    -------
    list of (str, callable)
        Names and functions; each function takes the object.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sktrain.testing import leakage_checks
    >>> [name for name, _ in leakage_checks(StandardScaler())]
    ['check_causal', 'check_same_result']
    """
    if hasattr(estimator, "split"):
        reaches = {
            f"check_splitter_horizon_{bars}": partial(_check_horizon, horizon=bars)
            for bars in (0, 1, 5, 20)
        }
        return list(reaches.items())
    if hasattr(estimator, "transform") or callable(estimator):
        checks: list = [("check_causal", check_causal)]
        if hasattr(estimator, "fit"):
            checks.append(("check_same_result", _check_same_result))
        return checks
    raise TypeError(
        f"{type(estimator).__name__} is neither a splitter nor a transformer: there is nothing to "
        "check."
    )


def parametrize_with_leakage_checks(estimators: Sequence[object]) -> Callable:
    """Run every leakage check on every object, as a pytest decorator.

    For a test function ``(estimator, check)``.

    Parameters
    ----------
    estimators : list of splitters, transformers, labelers or functions
        Objects to check.

    Returns
    -------
    decorator : callable
        Of pytest; for functions of ``(estimator, check)``.

    Examples
    --------
    >>> from sktrain import TemporalSplitter
    >>> from sktrain.testing import parametrize_with_leakage_checks
    >>> @parametrize_with_leakage_checks([TemporalSplitter()])
    ... def test_my_splitter(estimator, check):
    ...     check(estimator)
    """
    import pytest

    cases = []
    for estimator in estimators:
        name = (
            type(estimator).__name__
            if hasattr(estimator, "get_params") or hasattr(estimator, "split")
            else getattr(estimator, "__name__", "function")
        )
        for label, check in leakage_checks(estimator):
            own = clone(estimator) if isinstance(estimator, BaseEstimator) else estimator
            cases.append(pytest.param(own, check, id=f"{name}-{label}"))
    if not cases:
        raise ValueError("parametrize_with_leakage_checks was given nothing to check.")
    return pytest.mark.parametrize("estimator, check", cases)
