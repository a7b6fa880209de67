"""Whether there are bars enough: for every feature, for every fold, for a search inside every fold.
Asked before any training."""

import numpy as np
import pandas as pd

from ..exceptions import NotEnoughDataError
from ..features import BarFeatures
from ._search import inner_cv
from ._tasks import CONFIGURED, HALVED, in_words_of, walk_forward_cv

__all__ = ["check_features", "check_folds"]


def check_features(run):
    """Every symbol has more bars than a feature looks back on.

    Raises
    ------
    NotEnoughDataError
        Naming the shortest symbol, what it has and what is needed.
    """
    bars = run.source.bars
    needed = BarFeatures().fit(bars).lookback_
    if not isinstance(bars.index, pd.MultiIndex):
        return
    counts = bars.groupby(level=0, sort=False).size()
    if counts.min() < needed:
        name = counts.idxmin()
        raise NotEnoughDataError(
            f"{name} has {counts.min()} bars, but features look back on {needed}. Give more bars "
            "of it, or leave it out of stocks."
        )


def check_folds(run):
    """Folds can be filled and every feature is known in some of their training rows, those of a
    search inside a fold too.

    Raises
    ------
    NotEnoughDataError
        Naming the fold and what to change.
    """
    config, (X, y) = run.config, run.rows("train", "val")
    observed = _observed(X)
    _check_block(observed, np.arange(len(X)), "The training block", "Give more bars.")
    blocks = {"the search": np.arange(len(X))} if config.use_hpo else {}
    if config.use_walk_forward:
        with in_words_of(CONFIGURED):
            folds = list(walk_forward_cv(config).split(X, y))
        for number, (train, _) in enumerate(folds):
            _check_block(
                observed, train, f"Fold {number}", "Give more bars, or fewer folds (wf_folds)."
            )
            if config.use_hpo:
                blocks[f"the search inside fold {number}"] = train
    for name, rows in blocks.items():
        try:
            with in_words_of(HALVED):
                inner = list(inner_cv(config).split(X.iloc[rows], y.iloc[rows]))
        except NotEnoughDataError as error:
            raise NotEnoughDataError(
                f"Too few rows for {name}: {error} Or set use_walk_forward=False, or use_hpo=False."
            ) from error
        for train, _ in inner:
            _check_block(
                observed,
                rows[train],
                f"A fold of {name}",
                "Give more bars, fewer folds (wf_folds), or set use_hpo=False.",
            )


def _observed(X):
    """Which features are known in which rows, with their names."""
    features = BarFeatures().fit_transform(X)
    return features.notna().to_numpy(), list(features.columns)


def _check_block(observed, rows, name, advice):
    known, columns = observed
    never = ~known[rows].any(axis=0)
    if never.any():
        column = columns[int(np.argmax(never))]
        raise NotEnoughDataError(
            f"{name} trains on {len(rows)} rows, all of them too early for the feature {column!r} "
            f"to be known. {advice}"
        )
