"""Checks for a user's own test suite; they live with the auditor in ``sktrain.leakage``.

Examples
--------
>>> from sktrain import EnhancedWalkForwardCV
>>> from sktrain.testing import check_splitter
>>> check_splitter(EnhancedWalkForwardCV(n_splits=3, ensure_regime_coverage=False))
"""

from .leakage.testing import (
    check_causal,
    check_splitter,
    leakage_checks,
    make_bars,
    parametrize_with_leakage_checks,
)

__all__ = [
    "check_causal", "check_splitter", "leakage_checks", "make_bars",
    "parametrize_with_leakage_checks",
]
