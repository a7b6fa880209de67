"""What the report needs beyond the result: plain numbers for ``evidence.json``."""

import platform

import numpy as np
import pandas as pd

from .._io import sha256
from .._models import class_name
from .._validation import OHLCV, check_bars
from ..plotting import LearningCurveDisplay, WalkForwardDisplay, spans_of
from ._spacing import name_of, spacing_of

__all__ = [
    "blocks_of",
    "describe_data",
    "evidence_of_test",
    "fingerprint",
    "fold_evidence",
    "learning_curves",
    "origin",
    "when",
]

_BINS = 10  # of the reliability curve, a judgment: with a hundred rows each from 1,000 on


def fingerprint(bars):
    """A hash of the bars: times, symbols and prices."""
    rows = pd.util.hash_pandas_object(bars[list(OHLCV)], index=True).to_numpy()
    return sha256(rows.tobytes())[:16]


def describe_data(source, task):
    """Name, extent and symbols of the labelled rows."""
    index = task.bars.index
    times = index.get_level_values(-1)
    symbols = [str(name) for name in index.unique(0)] if isinstance(index, pd.MultiIndex) else []
    return {
        "name": source.name,
        "rows": len(index),
        "first": when(times.min(), source.interval),
        "last": when(times.max(), source.interval),
        "symbols": symbols,
        "interval": source.interval,
        "horizon": task.labeler.horizon,
    }


def when(moment, interval):
    """A bar's time as text: its date, and the time of day where days hold several bars."""
    intraday = interval is not None and interval[-1] in "mhs" and not interval.endswith("mo")
    return moment.strftime("%Y-%m-%d %H:%M" if intraday else "%Y-%m-%d")


def blocks_of(bars, train, val, test):
    """Dates and sizes of the three blocks."""
    times = bars.index.get_level_values(-1)
    interval = name_of(spacing_of(bars))
    rows = []
    for name, positions in (("train", train), ("validation", val), ("test", test)):
        own = times[positions]
        rows.append(
            {
                "block": name,
                "first": when(own.min(), interval),
                "last": when(own.max(), interval),
                "rows": len(positions),
            }
        )
    return rows


def fold_evidence(cv, bars, y):
    """Roles of every time in every fold, and the price with its regimes, run-length encoded."""
    display = WalkForwardDisplay.from_cv(cv, bars, y)
    roles = [
        [(kind, *span) for kind in ("train", "gap", "test") for span in spans_of(role == kind)]
        for role in display.roles
    ]
    checked = check_bars(bars, warn=False)
    regimes = cv.regime_detector.fit(checked).transform(checked).iloc[:, 0].astype(object)
    close = checked["close"]
    if isinstance(close.index, pd.MultiIndex):
        first = close.index[0][0]
        close, regimes = close.xs(first, level=0), regimes.xs(first, level=0)
    return {
        "times": pd.DatetimeIndex(display.times).as_unit("ns").asi8.tolist(),
        "roles": roles,
        "close_times": close.index.as_unit("ns").asi8.tolist(),
        "close": close.tolist(),
        "regimes": [None if pd.isna(name) else getattr(name, "value", name) for name in regimes],
    }


def learning_curves(nets, before=None):
    """Losses per epoch and the reason to stop, by net; ``before`` epochs of an earlier run are left
    out."""
    curves, reasons = {}, {}
    for name, net in nets.items():
        begun = bool(
            getattr(net, "history_", None)
        )  # not when it was stopped within the first epoch
        frames = LearningCurveDisplay.from_estimator(net, name).curves if begun else {}
        curves[name] = [
            row for frame in frames.values() for row in frame.reset_index().to_dict("records")
        ][(before or {}).get(name, 0) :]
        reasons[name] = str(getattr(net, "stop_reason_", None) or "all epochs were run")
    return curves, reasons


def evidence_of_test(y_true, probabilities, classes):
    """Confusion matrix of the first model and reliability of each.

    ``probabilities`` maps a model's name to its probabilities over ``classes``; the first is the
    model in question.
    """
    from sklearn.metrics import confusion_matrix

    classes, y_true = np.asarray(classes), np.asarray(y_true)
    first = next(iter(probabilities.values()))
    counts = confusion_matrix(y_true, classes[first.argmax(axis=1)], labels=classes)
    calibration = {
        name: _reliability(y_true, values, classes) for name, values in probabilities.items()
    }
    return {
        "classes": [class_name(value) for value in classes],
        "confusion": counts.tolist(),
        "calibration": calibration,
    }


def _reliability(y_true, probabilities, classes):
    from sklearn.calibration import calibration_curve

    right = classes[probabilities.argmax(axis=1)] == y_true
    accuracy, confidence = calibration_curve(
        right, probabilities.max(axis=1), n_bins=_BINS, strategy="quantile"
    )
    return {"confidence": confidence.tolist(), "accuracy": accuracy.tolist()}


def origin(bars, seconds):
    """Versions, fingerprint of the data and time per stage."""
    import sklearn
    import skorch
    import torch

    from .. import __version__

    versions = {
        "sktrain": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }
    versions |= {
        "scikit-learn": sklearn.__version__,
        "skorch": skorch.__version__,
        "torch": torch.__version__,
    }
    return {
        **versions,
        "data fingerprint": fingerprint(bars),
        **{f"seconds, {name}": round(value, 1) for name, value in seconds.items()},
    }
