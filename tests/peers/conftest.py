"""Failures of the peers' tests that are meant, each with its reason, in one table; a reason that is
no longer needed is an error."""

import os

import numpy as np
import pytest

# how the name of a test begins (without the module): why it is meant to fail
_NOTHING_FINITE = (
    "a search in which no trial has a finite score has no best one: SktrainError, after the trials"
)
_TIMES = "every splitter of ours requests label_end_times and times"
_WORDS = "lines of progress are worded otherwise"
REASONS = {
    "test_random_search_cv_results_multimetric": "refit='accuracy' beside scoring='recall' names no scorer and is refused; scikit-learn takes it for True",
    "test_unsupported_sample_weight_scorer": _NOTHING_FINITE,
    "test_search_cv_results_none_param": _NOTHING_FINITE,
    "test_predict_proba_disabled": "an empty space is refused: there is nothing to search",
    "test_custom_run_search": "trials are suggested one batch after another; there is no _run_search to replace",
    "test_empty_cv_iterator_error": "the message names cv instead of the fits",
    "test_random_search_bad_cv": "folds are those of one call of split, so get_n_splits cannot contradict it",
    "test_search_cv_verbose_3": _WORDS,
    "test_splitter_get_metadata_routing[TemporalSplitter": _TIMES,
    "test_splitter_get_metadata_routing[CombinatorialPurgedCV": _TIMES,
    "test_splitter_set_split_request[TemporalSplitter": _TIMES,
    "test_splitter_set_split_request[CombinatorialPurgedCV": _TIMES,
    "test_error_on_missing_requests_for_sub_estimator[DriftGuard]": "partial_fit may refit, so a missing request is told of fit first",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "thread_unsafe: scikit-learn's own mark")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/peers" not in str(item.path):
            continue
        item.add_marker(pytest.mark.slow)
        reason = next((why for start, why in REASONS.items() if item.name.startswith(start)), None)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn's own conftest gives by default."""
    return 42


@pytest.fixture(autouse=True)
def seeded_peers(seeded):
    """Data that the peers' tests draw without a seed is the same in every run; PEERS_SEED tries
    other data."""
    np.random.seed(int(os.environ.get("PEERS_SEED", "0")))  # noqa: NPY002 (the generator the peers draw from)
