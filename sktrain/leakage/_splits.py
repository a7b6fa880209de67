"""Does information cross a fold? Checks of a splitter, or of index pairs.

Rows carry time in their index, or their order is time. Label spans come from ``label_end_times``,
``y.attrs["label_horizon"]`` or the splitter's own ``horizon``; without any of them overlap is
NOT_CHECKED, never passed.
"""

from itertools import chain
import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv

from .._routing import folds_of
from .._validation import (
    MarkedLabels,
    keep_label_times,
    label_spans,
    labelled_mask,
    time_axis,
)
from ..exceptions import InvalidSplitError
from ._folds import FoldChecker, as_positions
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport
from ._rows import check_rows, row_where

__all__ = ["check_split", "index_pairs", "known_spans"]

_CHECKS = ("shared rows", "shared times", "overlap", "order", "embargo", "duplicates", "selection")
_SELECTION_ROWS = 20_000  # a judgment of speed: the folds are made again with other labels
_PURGED = "cv = EnhancedWalkForwardCV(n_splits=5, horizon={horizon}, embargo_bars=10)"


def known_spans(X, y=None, label_end_times=None, cv=None, horizon=None):
    """Spans of the labels, and where they were learned (None when nothing says how far labels look
    ahead)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spans = label_spans(
            X, y, horizon=horizon, label_end_times=label_end_times, caller="LeakageValidator"
        )[0]
        own = getattr(cv, "horizon", None)
        if spans.source is None and own is not None:
            return label_spans(X, y, horizon=own, caller="LeakageValidator")[
                0
            ], "the splitter's horizon"
    return spans, spans.source


def _own(cv, name):
    value = getattr(cv, name, None)
    return (
        int(value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else None
    )


def index_pairs(cv, X, y=None, groups=None, label_end_times=None):
    """The folds of ``cv`` (a splitter, an int, None, or an iterable of index pairs), as an
    iterator."""
    if cv is None or isinstance(cv, (int, np.integer)):
        cv = check_cv(cv, None if y is None else np.asarray(y), classifier=y is not None)
    if isinstance(cv, str) or not hasattr(cv, "split"):
        return folds_of(cv, X, y)
    try:
        return folds_of(cv, X, y, groups=groups, label_end_times=label_end_times)
    except TypeError as error:
        if label_end_times is None or "label_end_times" not in str(error):
            raise
    return folds_of(cv, X, y, groups=groups)


class _Tally:
    """Collects over folds: for each code the number of rows, the folds, and the first row."""

    def __init__(self):
        self.rows, self.folds, self.first = {}, {}, {}

    def add(self, code, count, row, fold):
        if count:
            self.rows[code] = self.rows.get(code, 0) + count
            self.folds.setdefault(code, []).append(fold)
            self.first.setdefault(code, (row, fold))


def _scan(pairs, checker, tally, n):
    """Facts of every fold; rows are summed into the tally."""
    facts = []
    for fold, pair in enumerate(pairs):
        try:
            train, test = pair
        except (TypeError, ValueError) as error:
            raise InvalidSplitError(
                f"fold {fold} is not a pair (train, test): {type(pair).__name__}."
            ) from error
        try:
            train, test = as_positions(train, n, "train"), as_positions(test, n, "test")
        except ValueError as error:
            raise InvalidSplitError(
                f"fold {fold}: {error}. Was the splitter made for other rows?"
            ) from error
        fact = checker.facts(train, test)
        facts.append(fact)
        tally.add("shared_rows", fact.shared_rows, fact.first_shared_row, fold)
        tally.add("shared_time", fact.shared_times - fact.shared_rows, fact.first_shared_time, fold)
        tally.add("overlap", fact.overlapping, fact.first_overlap, fold)
        tally.add("after", fact.after, fact.first_after, fold)
        tally.add("repeated", fact.repeated, -1, fold)
        tally.add("unlabelled", fact.unlabelled, -1, fold)
        tally.add("empty", int(fact.n_train == 0 or fact.n_test == 0), -1, fold)
    return facts


def _finding(X, tally, code, severity, message, fix="", name=None, **evidence):
    row, fold = tally.first[code]
    where = {"fold": fold, **(row_where(X, row) if row >= 0 else {})}
    return Finding(
        name or code,
        severity,
        message,
        where,
        {"rows": tally.rows[code], "folds": len(tally.folds[code]), **evidence},
        fix,
    )


def _crossing(X, tally, spans, source):
    """Findings about rows, times and spans that stand on both sides."""
    longest = (
        int((np.searchsorted(spans.axis, spans.end, side="right") - 1 - spans.codes).max())
        if len(spans.codes)
        else 0
    )
    fix = _PURGED.format(horizon=longest)
    if "shared_rows" in tally.rows:
        yield _finding(
            X, tally, "shared_rows", "error",
            f"{tally.rows['shared_rows']} rows are both trained on and tested.", fix,
        )
    if "shared_time" in tally.rows:
        yield _finding(
            X, tally, "shared_time", "error",
            f"{tally.rows['shared_time']} training rows stand at a time that is tested: in a "
            "panel, other symbols tell the answer.",
            fix,
        )
    crossing = (
        tally.rows.get("overlap", 0)
        - tally.rows.get("shared_time", 0)
        - tally.rows.get("shared_rows", 0)
    )
    if source is not None and crossing > 0:
        yield _finding(
            X, tally, "overlap", "error",
            f"{tally.rows['overlap']} training labels are decided over bars that tested labels "
            "share.",
            fix, longest_label_bars=longest, spans_from=source,
        )


def _ordering(X, tally, facts, spans):
    """Training rows later than test rows: a leak when nothing separates them, a design when purged
    and embargoed."""
    if "after" not in tally.rows:
        return
    gap = min(fact.distance_after for fact in facts)
    instant = bool((spans.end == spans.start).all())
    reverse = all(fact.all_after for fact in facts)
    shown = {"least_distance_bars": gap}
    if reverse or gap < 1 or (gap <= 1 and instant):
        what = "only on rows later than" if reverse else "on rows right after"
        yield _finding(
            X, tally, "after", "error",
            f"Training {what} the tested ones: the model knows what came next.",
            _PURGED.format(horizon="..."),
            name="order",
            **shown,
        )
    else:
        yield _finding(
            X, tally, "after", "info",
            "Trains on rows after the tested blocks, at a distance: a combinatorial design, no "
            "forecast of the future.",
            name="order", **shown,
        )


def _embargo(facts, cv, needed):
    """The distance between labels and the other side, against what was asked for."""
    before = min((fact.distance_before for fact in facts), default=np.iinfo(np.int64).max)
    after = min((fact.distance_after for fact in facts), default=np.iinfo(np.int64).max)
    declared = _own(cv, "embargo_bars") if needed is None else needed
    n_seen = max((fact.n_train + fact.n_test for fact in facts), default=0)
    shown = {
        name: value
        for name, value in (("bars_before_test", before), ("bars_after_test", after))
        if value <= n_seen
    }
    if not shown:
        return
    least = min(shown.values())
    # neighbours are 1 apart, with nothing between them
    if declared is not None and 0 <= least - 1 < declared:
        said = "the splitter declares" if needed is None else "was asked for"
        yield Finding(
            "embargo",
            "error",
            f"{least - 1} unique time(s) stand between a label and rows on the other side, but an "
            f"embargo of {declared} bars {said}.",
            {"parameter": "embargo_bars"},
            {**shown, "embargo_bars": declared},
            f"cv.set_params(embargo_bars={declared})",
        )
    elif declared is None and shown.get("bars_after_test") == 1:
        yield Finding(
            "embargo",
            "warning",
            "No embargo after the tested rows: features that look back still hold tested bars.",
            {"parameter": "embargo_bars"},
            shown,
            "cv = CombinatorialPurgedCV(n_blocks=6, n_test_blocks=2, embargo_bars=10)",
        )
    elif declared is None and shown.get("bars_before_test") == 1:
        yield Finding(
            "embargo",
            "info",
            "No embargo before the tested rows: purged, but with no distance for slow features.",
            {"parameter": "embargo_bars"},
            shown,
            "cv = EnhancedWalkForwardCV(embargo_bars=10)",
        )


def _odd(X, tally, n_folds):
    if "repeated" in tally.rows:
        yield _finding(
            X, tally, "repeated", "warning",
            "Rows stand more than once in a fold: resampled indices?", name="repeated_rows",
        )
    if "unlabelled" in tally.rows:
        yield _finding(
            X, tally, "unlabelled", "warning",
            f"{tally.rows['unlabelled']} rows without a label stand in a fold.",
            "X, y = X[y.notna()], y.dropna()", name="unlabelled_rows",
        )
    if "empty" in tally.rows:
        fold = tally.first["empty"][1]
        message = (
            f"{len(tally.folds['empty'])} of {n_folds} folds have no training or no test rows: "
            "nothing is measured there."
        )
        yield Finding("empty_fold", "error", message, {"fold": fold}, status=INCONCLUSIVE)


def _perturb_labels(y, codes, cut, rng):
    """Labels with everything after the cut replaced by others of the same kind; the unknown stay
    unknown."""
    values = pd.Series(y).reset_index(drop=True) if not isinstance(y, pd.Series) else y.copy()
    later = np.flatnonzero((codes > cut) & np.asarray(values.notna()))
    levels = np.unique(np.asarray(values.dropna()))
    swapped = values.to_numpy(copy=True)
    swapped[later] = levels[rng.integers(0, max(len(levels) // 2, 1), len(later))]
    if isinstance(y, pd.Series):
        return keep_label_times(pd.Series(swapped, index=y.index, name=y.name, dtype=y.dtype), y)
    swapped = swapped.astype(np.asarray(y).dtype)
    return y.with_values(swapped) if isinstance(y, MarkedLabels) else swapped


def _split_again(cv, X, y, ends):
    return [(np.asarray(a), np.asarray(b)) for a, b in index_pairs(cv, X, y, None, ends)]


def _selection(cv, X, y, label_end_times, rng):
    """Whether the rows of early folds change when only later labels do. Returns (findings,
    status)."""
    if y is None or not hasattr(cv, "split"):
        return [], PASS  # nothing of y can decide which rows are chosen
    if len(X) > _SELECTION_ROWS:
        X, y = X[:_SELECTION_ROWS], y[:_SELECTION_ROWS]
        label_end_times = None if label_end_times is None else label_end_times[:_SELECTION_ROWS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            folds = _split_again(cv, X, y, label_end_times)
            again = _split_again(cv, X, y, label_end_times)
        except ValueError:  # these rows alone cannot be split; the folds themselves were checked
            return [], NOT_CHECKED
        if not _same(folds, again):
            return [
                Finding(
                    "unstable_folds",
                    "warning",
                    "Every call of split gives other folds.",
                    {"parameter": "random_state"},
                    fix="cv.random_state = 0",
                )
            ], INCONCLUSIVE
        try:
            k = _fold_that_looks_ahead(cv, X, y, label_end_times, folds, rng)
        except ValueError:
            return [], INCONCLUSIVE
    if k is None:
        return [], PASS
    return [
        Finding(
            "selection",
            "error",
            f"The rows of fold {k} change when only labels after it change: the selection looks at "
            "the future.",
            {"fold": k},
            {"fold_ends_at_row": int(folds[k][1].max())},
            "choose rows without y, or from past labels only",
        )
    ], FAIL


def _fold_that_looks_ahead(cv, X, y, label_end_times, folds, rng):
    """The first fold whose rows other labels after it would change, or None."""
    codes = np.unique(time_axis(X).times, return_inverse=True)[1]
    for k, (train, test) in enumerate(folds[:-1]):
        if not len(train) and not len(test):
            continue
        cut = codes[test].max()
        if cut >= codes.max():
            continue
        again = _split_again(cv, X, _perturb_labels(y, codes, cut, rng), label_end_times)
        if k >= len(again) or not _same_before([folds[k]], [again[k]], codes, cut):
            return k
        if k >= 3:
            return None
    return None


def _same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(x, y) for x, y in zip(chain(*one), chain(*other))
    )


def _same_before(one, other, codes, cut):
    """Whether folds agree on the rows up to the cut."""
    for (train, test), (train2, test2) in zip(one, other):
        if not np.array_equal(test[codes[test] <= cut], test2[codes[test2] <= cut]):
            return False
        if not np.array_equal(train[codes[train] <= cut], train2[codes[train2] <= cut]):
            return False
    return True


def _shared_groups(groups, pairs):
    values = np.asarray(groups)
    for fold, (train, test) in enumerate(pairs):
        both = np.intersect1d(values[train], values[test])
        if len(both):
            yield Finding(
                "shared_group",
                "error",
                f"{len(both)} group(s) stand on both sides of fold {fold}, for instance "
                f"{both[0]!r}.",
                {"fold": fold},
                {"groups": len(both)},
                "cv = GroupKFold(n_splits=5)",
            )
            return


def check_split(
    cv, X, y=None, label_end_times=None, *, groups=None, horizon=None, embargo_bars=None, rng=None
):
    """See ``LeakageValidator.check_split``."""
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    for name, other in (("y", y), ("label_end_times", label_end_times), ("groups", groups)):
        if other is not None and len(other) != n:
            raise InvalidSplitError(f"X has {n} rows but {name} has {len(other)}.")
    spans, source = known_spans(X, y, label_end_times, cv, horizon)
    if not hasattr(cv, "split") and hasattr(cv, "__iter__") and not isinstance(cv, str):
        cv = list(cv)
    checker = FoldChecker(spans, None if y is None else labelled_mask(y, n))
    tally = _Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = _scan(index_pairs(cv, X, y, None, label_end_times), checker, tally, n)
    if not facts:
        message = f"{cv!r} yields no fold: nothing was checked."
        return LeakageReport(
            [Finding("no_folds", "error", message, status=NOT_CHECKED)],
            dict.fromkeys(_CHECKS, NOT_CHECKED),
        )
    findings = [
        *_crossing(X, tally, spans, source),
        *_ordering(X, tally, facts, spans),
        *_embargo(facts, cv, embargo_bars),
    ]
    findings += _odd(X, tally, len(facts))
    findings += [*_about_spans(source), *_about_time(X)]
    selected, selection = _selection(
        cv, X, y, label_end_times, np.random.default_rng(0) if rng is None else rng
    )
    twins, twin_status = check_rows(X, y, lambda: index_pairs(cv, X, y, None, label_end_times))
    findings += [*selected, *twins]
    checks = _statuses(findings, source)
    if groups is not None:
        findings += _shared_groups(groups, index_pairs(cv, X, y, groups, label_end_times))
        checks["groups"] = FAIL if findings[-1:] and findings[-1].code == "shared_group" else PASS
    return LeakageReport(findings, {**checks, "duplicates": twin_status, "selection": selection})


def _about_spans(source):
    if source is None:
        yield Finding(
            "unknown_horizon",
            "warning",
            "Nothing says how far the labels look ahead: overlap of label spans was not checked.",
            {"parameter": "label_end_times"},
            fix='y.attrs["label_horizon"] = 5  # bars between decision and outcome',
            status=NOT_CHECKED,
        )
    elif source == "the splitter's horizon":
        yield Finding(
            "horizon_from_splitter",
            "info",
            "The label spans were taken from the splitter's own horizon; labels do not say theirs.",
        )


def _about_time(X):
    if not isinstance(getattr(X, "index", None), (pd.DatetimeIndex, pd.MultiIndex, pd.PeriodIndex)):
        yield Finding(
            "no_time",
            "warning",
            "X carries no time: the order of rows was taken for the order of time.",
            {"parameter": "X"},
            {"type": type(X).__name__},
            "X.index = pd.to_datetime(times)",
            INCONCLUSIVE,
        )


def _statuses(findings, source):
    failed = {finding.code for finding in findings if finding.severity == "error"}
    codes = {
        "shared rows": "shared_rows",
        "shared times": "shared_time",
        "overlap": "overlap",
        "order": "order",
        "embargo": "embargo",
    }
    checks = {name: FAIL if code in failed else PASS for name, code in codes.items()}
    if "empty_fold" in failed:
        checks = {
            name: INCONCLUSIVE if status == PASS else status for name, status in checks.items()
        }
    if source is None:
        checks["overlap"] = NOT_CHECKED
    if any(finding.code == "no_time" for finding in findings):
        checks["time"] = INCONCLUSIVE
    return checks
