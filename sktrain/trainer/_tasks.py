"""Labelled rows of bars, and the blocks they are divided into, in order of time."""

from contextlib import contextmanager
from dataclasses import dataclass
import re

import numpy as np
import pandas as pd

from .._class_names import CLASS_NAMES, class_name
from .._sessions import SESSION, check_pause
from ..exceptions import InvalidSplitError, NotEnoughDataError, SktrainError
from ..features import RegimeDetector
from ..labels import AdaptiveLabeler
from ..splits import EnhancedWalkForwardCV, TemporalSplitter
from ._spacing import name_of, spacing_of

__all__ = ["Task", "class_balance", "divide", "label_bars", "walk_forward_cv"]



@dataclass(frozen=True)
class Task:
    """Labelled rows.

    Attributes
    ----------
    bars : DataFrame
        Rows whose outcome is known, with the history of all bars.
    y : Series of int
        0 sell, 1 hold, 2 buy; the horizon in ``attrs``.
    labeler : AdaptiveLabeler
    """

    bars: pd.DataFrame
    y: pd.Series
    labeler: AdaptiveLabeler


_SIGMA = ", or use label_scaling='sigma'"


def label_bars(bars, config, horizon):
    """Label ``bars`` as the config says, and refuse a task with a single class."""
    follow = config.adaptive_labels and config.volatility_adjusted_labels
    labeler = AdaptiveLabeler(
        horizon=horizon,
        base_threshold=config.labels_threshold,
        use_volatility_adjustment=follow,
        use_risk_adjustment=follow,
        scaling=config.labels_scaling,
        crosses_session=crosses_session(bars, config),
        session=config.session or SESSION,
    )
    rows, y = labeler.fit_resample(bars)
    if y.nunique() < 2:
        raise SktrainError(
            f"All {len(y)} labels are {class_name(int(y.iloc[0]))!r}: "
            f"base_label_threshold={config.labels_threshold:g} is out of scale for these bars. "
            f"Lower it{'' if config.labels_scaling == 'sigma' else _SIGMA}."
        )
    return Task(rows, y, labeler)


def crosses_session(bars, config):
    """Whether labels and windows may reach from one session into the next: not where intraday bars
    have sessions, unless asked.

    Raises
    ------
    SktrainError
        When a session is described for bars that have none.
    """
    spacing = spacing_of(bars)
    intraday = spacing is not None and spacing < pd.Timedelta("1D")
    if config.session is not None and not intraday:
        raise SktrainError(
            f"session={config.session!r} describes intraday bars, but these are {name_of(spacing)} "
            "apart. Leave it out."
        )
    if config.crosses_session is not None:
        return config.crosses_session
    pause = check_pause(config.session or SESSION)
    if not intraday or spacing >= pause:
        return True
    times = bars.index.get_level_values(-1).unique().sort_values()
    return bool(np.diff(times.as_unit("ns").asi8).max() < pause.as_unit("ns").value)


def divide(task, config):
    """Positions of the training, validation and test rows."""
    splitter = TemporalSplitter(
        train_ratio=config.train_ratio,
        val_ratio=config.val_ratio,
        test_ratio=config.test_ratio,
        embargo_bars=config.embargo_bars,
    )
    train, val, test = splitter.three_way(task.bars, task.y)
    needed = config.lookback + 1
    for name, rows in (("training", train), ("validation", val), ("test", test)):
        if len(rows) < needed:
            raise NotEnoughDataError(
                f"The {name} block has {len(rows)} rows, needs at least lookback + 1 = {needed}. "
                f"{len(task.bars)} labelled rows are too few: give more bars, or a smaller "
                "lookback."
            )
    missing = sorted(set(np.unique(task.y)) - set(np.unique(task.y.iloc[train])))
    if missing:
        raise SktrainError(
            f"The training rows hold no label {class_name(int(missing[0]))!r} though later rows "
            "do. Give more bars, or lower base_label_threshold."
        )
    return train, val, test


def walk_forward_cv(config, *, n_splits=None, coverage=None, min_samples=None):
    """The walk-forward splitter of a config; its horizon is read from the labels."""
    least = config.wf_min_samples_per_fold
    return EnhancedWalkForwardCV(
        n_splits=config.wf_folds if n_splits is None else n_splits,
        min_samples_per_fold=least if min_samples is None else min_samples,
        embargo_bars=config.embargo_bars,
        ensure_regime_coverage=config.ensure_regime_coverage if coverage is None else coverage,
        regime_detector=regime_detector(),
    )


@contextmanager
def in_words_of(names):
    """Inside the block a splitter that refuses its rows writes its parameters as the caller has
    them.

    Parameters
    ----------
    names : dict of str to str
        For each pattern of what the splitter writes, what is written instead.
    """
    try:
        yield
    except InvalidSplitError as error:
        text = str(error)
        for pattern, name in names.items():
            text = re.sub(pattern, name, text)
        raise type(error)(text) from error


#: How the splitters of ``walk_forward_cv``, and of a search on folds half as long, are configured.
CONFIGURED = {r"\bn_splits\b": "wf_folds", r"\bmin_samples_per_fold\b": "wf_min_samples_per_fold"}
HALVED = {
    r"\bmin_samples_per_fold=(\d+)": r"half of wf_min_samples_per_fold (\1)",
    r"\bmin_samples_per_fold\b": "wf_min_samples_per_fold",
    r"fewer n_splits, ": "",
}


def regime_detector():
    """Market regimes by thresholds that suit the bars' own spacing and volatility."""
    return RegimeDetector(volatility_threshold="auto", trend_threshold="auto")


def class_balance(y):
    """Share of sell, hold and buy."""
    shares = y.value_counts(normalize=True)
    return {name: float(shares.get(code, 0.0)) for code, name in CLASS_NAMES.items()}
