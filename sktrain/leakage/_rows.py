"""Duplicates of rows on both sides of a split, and rows made from others.

Only exact evidence counts: identical rows of continuous values, and rows that lie exactly between
two others, as oversampling and interpolation make them. Rows of few distinct values repeat by
nature and prove nothing.
"""

import warnings

import numpy as np
import pandas as pd

from .._validation import resampled_rows
from ..exceptions import ResamplingWarning
from ._report import FAIL, NOT_CHECKED, PASS, Finding, Severity

__all__ = [
    "check_rows", "known_to_pretrained", "numeric_table", "one_output", "row_where",
    "synthetic_rows",
]

# least share of distinct values in a column that cannot repeat by nature, a judgment
_CONTINUOUS = 0.2
_STALE = 0.01  # share of repeated rows that a market without trades may show, a judgment
# of 5 % synthetic rows, at least 3 are among 60 with probability .58, and among 60 of 10 % with
# .95
_PROBES = 60
_MOST_ROWS = 6000  # compared with each probe, a judgment of speed
# of unit directions that are opposite: a rounding of float64 over some dozen columns
_STRAIGHT = 1e-8


def row_where(X, row):
    """How to name a row: its position, and its time when it has one."""
    index = getattr(X, "index", None)
    if isinstance(index, (pd.DatetimeIndex, pd.MultiIndex)):
        return {"row": int(row), "time": str(index[row])}
    return {"row": int(row)}


def numeric_table(X):
    """The numeric columns of X as a 2-D float array with their names; windows and texts have
    none."""
    if isinstance(X, pd.DataFrame):
        table = X.select_dtypes(include=["number", "bool"])
        return table.to_numpy(dtype=np.float64, na_value=np.nan), list(table.columns)
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiub":
        return X.astype(np.float64, copy=False), list(range(X.shape[1]))
    return np.empty((len(X), 0)), []


def one_output(y):
    """Labels of one output: the first of several, missing where any of them is; labels of one
    output as they are."""
    if y is None or np.ndim(y) < 2:
        return y
    values = np.asarray(y)
    if not isinstance(y, pd.DataFrame):
        whole = values.shape[1] == 1 or values.dtype.kind in "iub" or not pd.isna(values).any()
        return (
            values[:, 0] if whole else np.where(pd.isna(values).any(axis=1), np.nan, values[:, 0])
        )
    first = pd.Series(values[:, 0], y.index)
    if values.shape[1] > 1:
        first = first.mask(pd.isna(values).any(axis=1))
    first.attrs = dict(getattr(y, "attrs", {}))
    return first


def _continuous(table):
    """Columns whose values hardly repeat, seen on a sample."""
    rows = np.linspace(0, len(table) - 1, min(len(table), 5000)).astype(int)
    kept = []
    for column in table[rows].T:
        seen = column[~np.isnan(column)]
        kept.append(len(seen) > 20 and len(np.unique(seen)) > _CONTINUOUS * len(seen))
    return np.flatnonzero(kept)


def _twin_groups(table):
    """Code of each row's content, -1 for rows that stand alone."""
    keys = pd.util.hash_array(np.ascontiguousarray(table[:, 0]))
    for column in table.T[1:]:
        keys = keys * np.uint64(1099511628211) ^ pd.util.hash_array(np.ascontiguousarray(column))
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return None
    codes = pd.Index(np.unique(repeated)).get_indexer(keys)
    codes[np.isnan(table).all(axis=1)] = -1
    return codes if (codes >= 0).any() else None


def _across(codes, pairs):
    """First test row with a copy in train, the number of such rows and of tested rows."""
    hits, tested, first, fold_of = 0, 0, -1, -1
    for fold, (train, test) in enumerate(pairs):
        train, test = np.asarray(train), np.asarray(test)
        present = np.zeros(codes.max() + 2, dtype=bool)
        present[codes[train]] = True
        present[-1] = False
        twin = test[present[codes[test]]]
        hits, tested = hits + len(twin), tested + len(test)
        if len(twin) and first < 0:
            first, fold_of = int(twin.min()), fold
    return hits, tested, first, fold_of


def check_rows(X, y, pairs):
    """Copies across the cut, and resampled rows tested or beside tested ones; ``pairs()`` gives the
    folds again. Returns (findings, status)."""
    made = list(_made_rows(X, y, pairs))
    copied, status = _copies(X, pairs)
    return [*made, *copied], FAIL if made else status


def _made_rows(X, y, pairs):
    """Rows that a resampler marked as its own: they are no evidence, and train only beside both of
    the rows that they were made from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResamplingWarning)
        marked = resampled_rows(X, y)
    if marked is None or not marked.synthetic.any():
        return
    tested, orphans, first, fold_of, seen = 0, 0, -1, -1, 0
    for fold, (train, test) in enumerate(pairs()):
        inside = np.zeros(len(marked.synthetic), dtype=bool)
        inside[train] = True
        made = np.sort(np.asarray(test)[marked.synthetic[test]])
        lone = made[:0]  # parents that cannot be told, or are not among the rows, are not tested
        if marked.parents is not None:
            apart = ((marked.parents >= 0) & ~inside[marked.parents]).any(axis=1)
            lone = np.flatnonzero(inside & apart)
        tested, orphans, seen = tested + len(made), orphans + len(lone), seen + len(test)
        if first < 0 and len(made) + len(lone):
            first, fold_of = int([*made, *lone][0]), fold
    if tested or orphans:
        yield Finding(
            "resampled_rows",
            "error",
            f"{tested} of {seen} tested rows, and {orphans} trained on without both of the rows "
            "they were made from, were made by a resampler: they are no rows of the market.",
            {"fold": fold_of, **row_where(X, first)},
            {"tested": tested, "trained_without_parents": orphans},
            "resample inside the pipeline: imblearn.pipeline.make_pipeline(WindowSMOTE(), model), "
            "or use a splitter of sktrain",
        )


def _copies(X, pairs):
    """Exact copies across the cut."""
    table, _ = numeric_table(X)
    if not table.shape[1]:
        return [], NOT_CHECKED if not _times_repeat(X) else FAIL
    if not len(_continuous(table)):
        return [], PASS  # rows of few distinct values: copies are no evidence
    codes = _twin_groups(table)
    if codes is None:
        return [], PASS
    hits, tested, first, fold = _across(codes, pairs())
    if not hits:
        return [], PASS
    severity: Severity = "error" if hits > _STALE * tested or _times_repeat(X) else "warning"
    finding = Finding(
        "duplicate_rows",
        severity,
        f"{hits} of {tested} tested rows have an exact copy among the training rows.",
        {"fold": fold, **row_where(X, first)},
        {"tested_copies": hits, "share": hits / tested},
        "resample inside the pipeline: "
        "imblearn.pipeline.make_pipeline(RandomOverSampler(random_state=0), model)",
    )
    return [finding], FAIL if severity == "error" else PASS


def _times_repeat(X):
    index = getattr(X, "index", None)
    return isinstance(index, (pd.DatetimeIndex, pd.MultiIndex)) and index.has_duplicates


def synthetic_rows(X, y=None):
    """Rows that lie exactly on the line between two others: made by SMOTE or by interpolation.
    Returns a list of findings."""
    table, _ = numeric_table(X)
    columns = _continuous(table) if table.shape[1] else []
    if len(columns) < 3 or len(table) < 50:
        return []
    rng = np.random.default_rng(0)
    values = np.nan_to_num(table[:, columns])
    scale = values.std(axis=0)
    values = (values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    if (
        np.linalg.matrix_rank(
            values[rng.choice(len(values), min(len(values), 200), replace=False)], tol=1e-6
        )
        < 3
    ):
        return []
    probes = np.unique(
        np.concatenate(
            [
                rng.choice(len(values), min(_PROBES, len(values)), replace=False),
                np.arange(len(values) - 20, len(values)),
            ]
        )
    )
    hits = [row for row in probes if _between(values, row, _candidates(y, row, len(values), rng))]
    if len(hits) < 3:
        return []
    return [
        Finding(
            "synthetic_rows",
            "error",
            f"{len(hits)} of {len(probes)} probed rows lie exactly between two other rows: they "
            "were made from rows of other folds.",
            row_where(X, min(hits)),
            {"probed": len(probes), "between_two_others": len(hits)},
            "resample inside the pipeline: imblearn.pipeline.make_pipeline(SMOTE(random_state=0), "
            "model)",
        )
    ]


def _candidates(y, row, n, rng):
    """Rows to compare with: oversampling stays within a class."""
    rows = np.arange(n)
    if y is not None:
        labels = np.asarray(y)
        rows = rows[labels == labels[row]]
    rows = rows[rows != row]
    return rows if len(rows) <= _MOST_ROWS else rng.choice(rows, _MOST_ROWS, replace=False)


def _between(values, row, others):
    """Whether two of the others stand in exactly opposite directions from the row: on one random
    axis first, then on all."""
    away = values[others] - values[row]
    length = np.linalg.norm(away, axis=1)
    away = away[length > 1e-9] / length[length > 1e-9, None]
    if len(away) < 2:
        return False
    shadow = away @ np.cos(np.arange(away.shape[1]) * 2.399963 + 0.5)
    order = np.argsort(shadow)
    place = np.searchsorted(shadow[order], -shadow)
    for step in (-1, 0, 1):
        other = order[np.clip(place + step, 0, len(order) - 1)]
        near = np.flatnonzero(np.abs(shadow + shadow[other]) < _STRAIGHT * 10)
        if (np.linalg.norm(away[near] + away[other[near]], axis=1) < _STRAIGHT * 10).any():
            return True
    return False


def known_to_pretrained(estimator, X, tests):
    """A warning where tested rows are older than what a pretrained part of the estimator was
    trained on.

    A part says so itself, with ``knowledge_overlap(times)``: the share of times within its own
    training data.
    """
    index = getattr(X, "index", None)
    if (
        not tests
        or not isinstance(index, (pd.DatetimeIndex, pd.MultiIndex))
        or not hasattr(estimator, "get_params")
    ):
        return []
    tested = index[np.unique(np.concatenate(tests))]
    parts = {"": estimator, **estimator.get_params(deep=True)}
    seen, findings = set(), []
    for name, part in parts.items():
        if not callable(getattr(part, "knowledge_overlap", None)) or isinstance(part, type):
            continue
        share = part.knowledge_overlap(tested)
        key = (round(share, 12), name.partition("__")[0])
        if not share > 0 or key in seen:
            continue
        seen.add(key)
        findings.append(
            Finding(
                "model_knowledge",
                "warning",
                f"{share:.0%} of the tested rows are older than the training data of "
                f"{type(part).__name__}: it may know what came after them.",
                {"step": name or type(part).__name__},
                {"share": float(share), "tested": len(tested)},
                "Score only rows after the model's knowledge_cutoff, or use an older model.",
            )
        )
    return findings
