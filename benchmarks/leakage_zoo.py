"""Writes docs/leakage_zoo.md: every case of the zoo, what the auditor says, and what two peers say
of the same case.

``--smoke`` runs a few cases and writes nothing.
"""

import importlib.util
from pathlib import Path
import sys
import warnings

from _harness import Claim, arguments, report
import numpy as np
import pandas as pd
from purgedcv.diagnostics import assert_no_temporal_leakage
from purgedcv.exceptions import TemporalCVError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_methods_subset_invariance

from sktrain._validation import time_axis
from sktrain.leakage._splits import index_pairs, known_spans

ROOT = Path(__file__).parents[1]
HEAD = """# The leakage zoo

{leaks} planted leaks and {clean} clean twins, each given to `LeakageValidator` and to what two
peers offer. Written by `benchmarks/leakage_zoo.py` from `tests/leakage/zoo.py`; a test holds the
auditor to every row.

- **purgedcv** {version}: `diagnostics.assert_no_temporal_leakage` on every fold. It audits folds
  only (and `audit_splitter` only its own splitters), with half-open label spans.
- **scikit-learn**: `cross_val_score` refuses or warns; for transformers
  `check_methods_subset_invariance`.
- "–": the peer has nothing to ask; "silent": it was asked and said nothing; "alarm" on a clean twin
  is a false one.

| case | check | finding | purgedcv | scikit-learn |
| --- | --- | --- | --- | --- |
"""


def load_zoo():
    spec = importlib.util.spec_from_file_location(
        "leakage_zoo_cases", ROOT / "tests" / "leakage" / "zoo.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["leakage_zoo_cases"] = module
    spec.loader.exec_module(module)
    return module


def purged(case):
    """What purgedcv says of the folds of a case."""
    if case.task not in ("split", "audit"):
        return "–"
    given = case.make()
    cv, X, y = (given[3], given[1], given[2]) if case.task == "audit" else given[:3]
    if time_axis(X).index is None:
        return "–"
    spans = known_spans(X, y, None, cv)[0]
    start, end = (pd.Series(pd.to_datetime(values)) for values in (spans.start, spans.end))
    try:
        for train, test in index_pairs(cv, X, y):
            assert_no_temporal_leakage(np.asarray(train), np.asarray(test), start, end)
    except TemporalCVError:
        return "alarm"
    return "silent"


def sklearn_says(case):
    """Whether scikit-learn refuses or warns."""
    given = case.make()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            if case.task == "audit":
                cross_val_score(given[0], given[1], given[2], cv=given[3], error_score="raise")
            elif case.task == "causality" and hasattr(given[0], "fit"):
                check_methods_subset_invariance(type(given[0]).__name__, given[0])
            else:
                return "–"
        except AssertionError:
            return "alarm"
        except Exception:
            return "refuses" if case.task == "audit" else "–"  # its check knows plain arrays only
    kinds = {w.category.__name__ for w in seen} - {
        "ConvergenceWarning", "FutureWarning", "UnknownHorizonWarning", "ColdStartWarning",
        "RuntimeWarning", "UserWarning",
    }
    return "alarm" if kinds else "silent"


def main():
    args = arguments(__doc__)
    zoo = load_zoo()
    cases = zoo.CASES[::12] if args.smoke else zoo.CASES
    lines, missed, alarms = [], 0, 0
    for case in cases:
        found = case.run()
        codes = found.codes("error")
        missed += case.leak and case.code not in codes
        alarms += not case.leak and bool(codes)
        said = ", ".join(codes) if codes else "passed" if found.status == "PASS" else found.status
        lines.append(
            f"| {case.name} | {case.task} | {said} | {purged(case)} | {sklearn_says(case)} |"
        )
    if not args.smoke:
        import purgedcv

        head = HEAD.format(leaks=len(zoo.LEAKS), clean=len(zoo.CLEAN), version=purgedcv.__version__)
        (ROOT / "docs" / "leakage_zoo.md").write_text(head + "\n".join(lines) + "\n")
    claims = [
        Claim("leaks missed", missed, 0, smoke=True, note=f"of {sum(case.leak for case in cases)}"),
        Claim(
            "clean twins flagged", alarms, 0, smoke=True,
            note=f"of {sum(not case.leak for case in cases)}",
        ),
    ]
    report("leakage_zoo", claims, smoke=args.smoke)


if __name__ == "__main__":
    main()
