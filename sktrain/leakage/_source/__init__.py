"""Static audit of somebody's own code, a notebook or a script. Nothing is run."""

import os

from .._report import FAIL, INCONCLUSIVE, PASS, Finding, LeakageReport
from ._cells import read_source
from ._interpreter import Interpreter

__all__ = ["audit_source"]

_WALK = "cv = EnhancedWalkForwardCV(n_splits=5, horizon=...)"
_SPLIT = "train, val, test = TemporalSplitter(horizon=...).three_way(X, y)"
_SAYS = {
    "random_split": (
        ("Rows in order of time are split at random: neighbours with overlapping labels stand on "
        "both sides."),
        f"{_SPLIT}  # or {_WALK}",
    ),
    "unordered_folds": (
        (
            "Folds ignore time: the model trains on rows later than those it is tested on, and on "
            "overlapping labels."
        ),
        _WALK,
    ),
    "fitted_before_split": (
        ("Statistics of all rows were learned before the split: the tested rows shaped their own "
        "features."),
        ("make_pipeline(StandardScaler(), model)  # and give the pipeline to cross_val_score(..., "
        "cv=EnhancedWalkForwardCV(horizon=...))"),
    ),
    "resampled_before_split": (
        ("Rows are resampled before they are split: copies and mixtures of tested rows stand among "
        "the training rows."),
        ("imblearn.pipeline.make_pipeline(WindowSMOTE(random_state=0), model)  # resamples inside "
        "each fold"),
    ),
    "shift_ahead": (
        "A value from later rows is among the features.",
        (
            "shift by a positive number, or compute it in BarFeatures(); keep the future for the "
            "labels: AdaptiveLabeler(horizon=...)"
        ),
    ),
    "backfill": (
        "Gaps among the features are filled from later rows.",
        "X.ffill(), or SimpleImputer() inside the pipeline",
    ),
    "centred_window": (
        "A centred or two-sided filter among the features looks at later rows.",
        "X.rolling(n).mean()  # windows that end at the row, as in BarFeatures()",
    ),
    "forward_join": (
        "Rows are joined with rows that come later, and the result is among the features.",
        (
            'pd.merge_asof(..., direction="backward", allow_exact_matches=False), or '
            "NewsAligner() for news"
        ),
    ),
    "target_in_features": (
        "The features hold the target, or the columns that decide it in the same row.",
        ('X = frame.drop(columns=["target"])  # and check with LeakageValidator().audit(model, X, '
        "y, cv)"),
    ),
    "tuned_on_scored_rows": (
        ("What was chosen by a score is scored on the same rows: the score is too high by what the "
        "choice gained."),
        (
            "cross_val_score(OptunaSearchCV(model, space, cv=inner), X, y, "
            "cv=EnhancedWalkForwardCV(horizon=...))  # nested"
        ),
    ),
    "trained_on_scored_rows": (
        "The model was trained on all rows before some of them are scored.",
        "cross_val_score(model, X, y, cv=EnhancedWalkForwardCV(horizon=...))",
    ),
    "scored_on_training_rows": (
        "The only score is taken on the rows the model was trained on.",
        "cross_val_score(model, X, y, cv=EnhancedWalkForwardCV(horizon=...))",
    ),
}


def audit_source(path: str | os.PathLike) -> LeakageReport:
    """Name the usual leaks in a notebook or a script, without running it.

    Parameters
    ----------
    path : str or path-like
        ``*.ipynb``, or a Python script.

    Returns
    -------
    LeakageReport
        Findings whose ``where`` is ``{"file", "cell", "line"}``: cells are counted from 1 among the
        code cells (None in scripts), lines within the cell. Rules about order apply to rows that
        are seen to carry time: parsed dates, ``shift``, ``rolling``, columns such as ``close``; a
        random split of other rows is left alone.

    Raises
    ------
    SktrainError
        When the file is no notebook and no Python.
    OSError
        When it cannot be opened.

    Examples
    --------
    >>> from pathlib import Path
    >>> from sktrain.leakage import audit_source
    >>> script = Path(getfixture("tmp_path")) / "study.py"
    >>> _ = script.write_text(
    ...     "bars['next'] = bars.close.shift(-1)\\nmodel.fit(bars[['next', 'close']], y)\\n"
    ... )
    >>> [(one.code, one.where["line"]) for one in audit_source(script).findings]
    [('shift_ahead', 1)]
    """
    source = read_source(path)
    walk = Interpreter(source.tree)
    try:
        found = walk.run().findings()
    except RecursionError:
        finding = Finding(
            "too_deep",
            "error",
            "The code nests too deeply to be followed.",
            source.where(1),
            status=INCONCLUSIVE,
        )
        return LeakageReport((finding,), {"source": INCONCLUSIVE})
    findings = [
        Finding(code, "error", _SAYS[code][0], source.where(line), {}, _SAYS[code][1])
        for line, code in found
    ]
    return LeakageReport(tuple(findings), {"source": FAIL if findings else PASS})
