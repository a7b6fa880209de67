"""Statistics shared by several modules: against simulation, by hand, and against who uses them."""

import numpy as np
import pytest

from sktrain._statistics import expected_maximum, fold_mean_error
from sktrain.evaluation import corrected_mean_interval, expected_maximum_sharpe
from sktrain.leakage._price_tag import _row


@pytest.mark.parametrize(("n", "freedom"), [(5, 4), (20, 9), (30, 4), (10, np.inf), (200, np.inf)])
def test_expected_maximum_against_simulation(n, freedom):
    rng = np.random.default_rng(0)
    shape = (40_000, n)
    drawn = rng.standard_normal(shape) if np.isinf(freedom) else rng.standard_t(freedom, shape)
    assert expected_maximum(n, freedom) == pytest.approx(drawn.max(axis=1).mean(), rel=0.12)


def test_one_draw_has_no_maximum_to_speak_of():
    assert expected_maximum(1, 4) == expected_maximum(1) == 0
    assert expected_maximum_sharpe(50, 0.25) == pytest.approx(0.5 * expected_maximum(50))


def test_error_of_a_mean_over_folds_by_hand():
    assert fold_mean_error(3.0, 4, 0.0) == pytest.approx(1.5)  # folds that share no rows
    assert fold_mean_error(2.0, 4, 0.75) == pytest.approx(2.0)


def test_the_price_of_a_leak_has_the_interval_of_evaluation():
    scores, folds = [0.40, 0.44, 0.36, 0.40], [(np.arange(800), np.arange(200))] * 4
    found = corrected_mean_interval(scores, n_train=800, n_test=200)
    row = _row(scores, folds)
    assert row["score"] == pytest.approx(found.mean)
    assert row["interval"] == pytest.approx(found.high - found.mean)
