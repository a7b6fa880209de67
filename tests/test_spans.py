"""The kernel for label spans against pairs of rows, in every mode."""

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain._spans import Spans, concurrency, cut_blocks
from sktrain.exceptions import SktrainError


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 40))
    start = rng.integers(0, 60, n) * 10  # shared times, in any order
    if draw(st.booleans()):
        start = np.sort(start)
    end = start + rng.integers(0, 120, n) * draw(st.integers(0, 1))
    spans = Spans.from_times(start, end)
    m = len(spans.axis)
    cuts = sorted(
        rng.choice(m + 1, size=min(m + 1, draw(st.sampled_from([2, 4, 6])) // 2 * 2), replace=False)
    )
    blocks = [(int(a), int(b) - 1) for a, b in zip(cuts[::2], cuts[1::2])]
    candidate, known = rng.random(n) < 0.9, rng.random(n) < 0.8
    return spans, blocks, candidate, known if draw(st.booleans()) else None, draw(st.integers(0, 6))


def oracle(spans, blocks, candidate, known, embargo):
    """(train, purged, embargoed) row by row, from the docstring."""
    n = len(spans.start)
    known = np.ones(n, bool) if known is None else known
    train, purged, embargoed = [], [], []
    for i in range(n):
        if not candidate[i] or any(
            spans.axis[a] <= spans.start[i] <= spans.axis[b] for a, b in blocks
        ):
            continue
        clash = near = False
        for a, b in blocks:
            tested = [
                j for j in range(n) if known[j] and spans.axis[a] <= spans.start[j] <= spans.axis[b]
            ]
            if not tested:
                continue
            first, latest = min(spans.start[tested]), max(spans.end[tested])
            if spans.start[i] < first:
                clash |= spans.end[i] >= first
                near |= sum(spans.end[i] < t < first for t in spans.axis) < embargo
            else:
                clash |= spans.start[i] <= latest
                near |= sum(latest < t < spans.start[i] for t in spans.axis) < embargo
        (purged if clash else embargoed if near else train).append(i)
    return train, purged, embargoed


@settings(max_examples=400, deadline=None)
@given(cases())
def test_cut_against_all_pairs(case):
    spans, blocks, candidate, known, embargo = case
    cut = cut_blocks(spans, blocks, candidate, known, embargo=embargo)
    expected = oracle(spans, blocks, candidate, known, embargo)
    for mask, rows in zip((cut.train, cut.purged, cut.embargoed), expected, strict=True):
        assert mask.dtype == bool
        assert np.flatnonzero(mask).tolist() == rows


@settings(max_examples=100, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case, random):
    spans, blocks, candidate, known, embargo = case
    order = list(range(len(spans.start)))
    random.shuffle(order)
    mixed = Spans.from_times(spans.start[order], spans.end[order])
    plain = cut_blocks(spans, blocks, candidate, known, embargo=embargo)
    cut = cut_blocks(
        mixed, blocks, candidate[order], None if known is None else known[order], embargo=embargo
    )
    np.testing.assert_array_equal(cut.train, plain.train[order])
    np.testing.assert_array_equal(cut.purged, plain.purged[order])
    for block in blocks:
        assert sorted(np.array(order)[mixed.within(*block)]) == spans.within(*block).tolist()


@settings(max_examples=100, deadline=None)
@given(cases())
def test_a_larger_embargo_or_longer_labels_never_add_rows(case):
    spans, blocks, candidate, known, embargo = case
    less = cut_blocks(spans, blocks, candidate, known, embargo=embargo).train
    more = cut_blocks(spans, blocks, candidate, known, embargo=embargo + 1).train
    longer = Spans.from_times(spans.start, spans.end + 15)
    assert not (more & ~less).any()
    assert not (cut_blocks(longer, blocks, candidate, known, embargo=embargo).train & ~less).any()


def test_touching_is_overlap():
    days = np.arange(10)
    cut = cut_blocks(Spans.from_times(days, days + 1), [(4, 5)], np.ones(10, bool))
    assert np.flatnonzero(cut.train).tolist() == [0, 1, 2, 7, 8, 9]


def test_what_enters_is_not_changed():
    days = np.arange(10)
    spans = Spans.from_times(days, days + 1)
    candidate = np.ones(10, bool)
    cut_blocks(spans, [(4, 5)], candidate, embargo=2)
    assert candidate.all()
    assert spans.codes.tolist() == days.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), max_size=30))
def test_concurrency_against_a_count(pairs):
    first = np.array([a for a, _ in pairs], dtype=int)
    last = np.array([a + length for a, length in pairs], dtype=int)
    expected = [sum(a <= bar <= b for a, b in zip(first, last)) for bar in range(30)]
    assert concurrency(first, last, 30).tolist() == expected


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Spans.from_times([0, 5], [1, 4]), r"row 1 ends before it starts \(1 such rows\)"),
        (lambda: Spans.from_times([0, 5], [1]), "equal length"),
        (lambda: Spans.from_times([[0]], [[1]]), "1-D"),
        (
            lambda: cut_blocks(Spans.from_times([0], [1]), [], np.ones(1, bool), embargo=-1),
            "embargo must be 0 or more, got -1",
        ),
    ],
)
def test_bad_spans_are_named(call, message):
    with pytest.raises(SktrainError, match=message):
        call()


def timed_oracle(spans, blocks, candidate, embargo):
    """As ``oracle``, the embargo in nanoseconds."""
    train, purged, embargoed = [], [], []
    for i in range(len(spans.start)):
        inside = [spans.axis[a] <= spans.start[i] <= spans.axis[b] for a, b in blocks]
        if not candidate[i] or any(inside):
            continue
        clash = near = False
        for a, b in blocks:
            low, high = spans.axis[a], spans.axis[b]
            tested = [j for j, at in enumerate(spans.start) if low <= at <= high]
            first, latest = min(spans.start[tested]), max(spans.end[tested])
            if spans.start[i] < first:
                clash |= spans.end[i] >= first
                near |= spans.end[i] >= first - embargo
            else:
                clash |= spans.start[i] <= latest
                near |= spans.start[i] <= latest + embargo
        (purged if clash else embargoed if near else train).append(i)
    return train, purged, embargoed


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 250))
def test_an_embargo_of_time_against_all_pairs(case, embargo):
    spans, blocks, candidate, _, _ = case
    cut = cut_blocks(spans, blocks, candidate, embargo=pd.Timedelta(embargo, "ns"))
    expected = timed_oracle(spans, blocks, candidate, embargo)
    for mask, rows in zip((cut.train, cut.purged, cut.embargoed), expected, strict=True):
        assert np.flatnonzero(mask).tolist() == rows


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_bars_that_no_span_reaches_are_counted(n):
    assert concurrency([0], [0], n).tolist() == [1, *[0] * (n - 1)]
