"""scikit-learn's tests of any splitter, run on ours: those that take its lists of splitters."""

from peers import _suites

from sktrain import CombinatorialPurgedCV, EnhancedWalkForwardCV, TemporalSplitter

PLAIN = {"horizon": 0, "embargo_bars": 0}
OURS = {
    "NO_GROUP_SPLITTERS": [TemporalSplitter(**PLAIN), CombinatorialPurgedCV(4, 1, **PLAIN)],
    "GROUP_SPLITTERS": [EnhancedWalkForwardCV(2, min_samples_per_fold=5, **PLAIN)],
}
LISTED = {
    "test_splitter_get_metadata_routing",
    "test_splitter_set_split_request",
    "test_no_group_splitters_warns_with_groups",
}
theirs = _suites.suite("sklearn.model_selection.tests.test_split", rows=OURS)
globals().update(_suites.pick(theirs, keep=LISTED.__contains__))


def test_enough_was_read():
    assert set(_suites.pick(theirs, keep=LISTED.__contains__)) == LISTED
    assert len(theirs.ALL_SPLITTERS) == 3
