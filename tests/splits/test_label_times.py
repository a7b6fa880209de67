"""When labels are known: one handle, one function, and no source that purges less than y says."""

import json
import pickle
import subprocess
import sys

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest

from sktrain import (
    AdaptiveLabeler,
    CombinatorialPurgedCV,
    EnhancedWalkForwardCV,
    TemporalSplitter,
    TripleBarrierLabeler,
    average_uniqueness,
    sequential_bootstrap,
    with_label_times,
)
from sktrain._validation import label_spans, label_times_of
from sktrain.exceptions import (
    DataQualityWarning,
    InvalidBarsError,
    InvalidSplitError,
    SktrainError,
    UnknownHorizonWarning,
)

DAY = pd.Timedelta("1D")
SP500 = (5006, 13882687, [1314, 1982, 1710])
US_STOCKS = (11994, 53939570, [5662, 0, 6332])
FOLDS_EMBARGO_10_OF_OLD = [[822, 760], [1582, 834], [2416, 780], [3196, 834], [4030, 962]]
PLAIN = {"embargo_bars": 0, "min_samples_per_fold": 5, "ensure_regime_coverage": False}


def bars(n=300, seed=0, index=None):
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    index = pd.bdate_range("2020-01-01", periods=n) if index is None else index
    frame = {
        "open": close,
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "volume": 7.0,
    }
    return pd.DataFrame(frame, index)


def panel(n=200, symbols=3):
    return pd.concat({f"S{k}": bars(n, k) for k in range(symbols)}, names=["symbol", "time"])


@pytest.fixture(scope="module")
def labelled():
    return AdaptiveLabeler(5, 0.5, scaling="sigma").fit_resample(bars())


def ends_of(y):
    return pd.DatetimeIndex(label_spans(y, y)[0].end)


# -- the handle ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labeler",
    [
        AdaptiveLabeler(4, 0.5, scaling="sigma"),
        TripleBarrierLabeler(max_holding=6),
        AdaptiveLabeler("9D", 0.01),
        TripleBarrierLabeler(max_holding="9D"),
    ],
)
@pytest.mark.parametrize("market", [bars(), panel()], ids=["one", "panel"])
def test_labels_and_rows_carry_what_the_labeler_knows(labeler, market):
    X, y = labeler.fit_resample(market)
    expected = pd.DatetimeIndex(labeler.label_end_times(market).loc[y.index])
    assert (ends_of(y) == expected).all()
    assert (pd.DatetimeIndex(label_spans(X)[0].end) == expected).all()
    half = y.iloc[::2]
    assert (ends_of(half) == expected[::2]).all()
    whole = labeler.transform(market)
    assert (ends_of(whole)[whole.notna()] == expected).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.integers(1, 12))
def test_lengths_of_time_end_at_the_last_bar_within(seed, many, days):
    """Against a loop over the bars of each symbol, with bars missing."""
    rng = np.random.default_rng(seed)
    parts = {}
    for k in range(1 + many):
        kept = np.sort(rng.choice(60, 40, replace=False))
        parts[f"S{k}"] = bars(40, k, pd.Timestamp("2021-01-01") + DAY * kept)
    market = pd.concat(parts, names=["symbol", "time"]) if many else parts["S0"]
    labeler = AdaptiveLabeler(
        f"{days}D", 0.01, use_volatility_adjustment=False, use_risk_adjustment=False
    )
    codes, ends = labeler.transform(market), labeler.label_end_times(market)
    for name, part in parts.items():
        own = (codes.loc[name], ends.loc[name]) if many else (codes, ends)
        for row, now in enumerate(part.index):
            within = [t for t in part.index if now < t <= now + days * DAY]
            known = bool(within) and part.index[-1] >= now + days * DAY
            assert known == pd.notna(own[0].iloc[row])
            if known:
                assert own[1].iloc[row] == within[-1]
                change = part["close"][within[-1]] / part["close"].iloc[row] - 1
                assert own[0].iloc[row] == 1 + (change > 0.01) - (change < -0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_barriers_within_a_length_of_time(seed, days):
    """Against a loop: the first bar within the time that touches a barrier, else the last one
    within it."""
    rng = np.random.default_rng(seed)
    market = bars(
        50,
        seed % 1000,
        pd.Timestamp("2021-01-01") + DAY * np.sort(rng.choice(80, 50, replace=False)),
    )
    labeler = TripleBarrierLabeler(0.02, 0.02, max_holding=f"{days}D", tie="stop")
    codes, ends = labeler.transform(market), labeler.label_end_times(market)
    for row, now in enumerate(market.index):
        within = [t for t in market.index if now < t <= now + days * DAY]
        if not within or market.index[-1] < now + days * DAY:
            assert pd.isna(codes.iloc[row])
            continue
        close = market["close"].iloc[row]
        side, end = None, within[-1]
        for t in within:
            up, down = market["high"][t] >= close * 1.02, market["low"][t] <= close * 0.98
            if up or down:
                side, end = (0 if down else 2), t
                break
        if side is None:
            side = 1 + np.sign(market["close"][end] - close)
        assert (codes.iloc[row], ends.iloc[row]) == (side, end)


def test_a_pickle_of_labels_grows_by_few_bytes_a_row():
    X, y = AdaptiveLabeler(3, 0.5, scaling="sigma").fit_resample(bars(20_000))
    for part in (y, y.iloc[:10_000]):
        bare = part.copy()
        bare.attrs = {}
        assert len(pickle.dumps(part)) - len(pickle.dumps(bare)) <= 24 * len(part)
    again = pickle.loads(pickle.dumps(y.iloc[5000:5010]))
    assert (ends_of(again) == ends_of(y)[5000:5010]).all()


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_handles_travel_whole(zone, unit):
    market = bars(80, index=pd.bdate_range("2020-01-01", periods=80, tz=zone).as_unit(unit))
    _, y = AdaptiveLabeler(3, 0.5, scaling="sigma").fit_resample(market)
    handle, other = label_times_of(y), label_times_of(pickle.loads(pickle.dumps(y)))
    assert other.index.equals(handle.index)
    assert other.index.dtype == handle.index.dtype
    assert (other.end == handle.end).all()
    assert (other.codes == handle.codes).all()


def test_parquet_keeps_the_horizon(tmp_path, labelled):
    pytest.importorskip("pyarrow")
    X, y = labelled
    y.to_frame().to_parquet(tmp_path / "y.parquet")
    back = pd.read_parquet(tmp_path / "y.parquet")["label"]
    assert back.attrs["label_horizon"] == 5
    cv = EnhancedWalkForwardCV(3, **PLAIN)
    bare = pd.DataFrame({"x": 0.0}, y.index)
    purged = cv.summary(bare, back)["purged"]
    assert (purged >= cv.summary(bare, y)["purged"]).all()
    json.dumps(y.attrs)


def test_labels_of_several_symbols_concatenated_keep_their_horizon():
    parts = {
        name: AdaptiveLabeler(5, 0.5, scaling="sigma").fit_resample(bars(200, seed))[1]
        for seed, name in enumerate("AB")
    }
    y = pd.concat(parts, names=["symbol", "time"])
    spans = label_spans(pd.DataFrame({"x": 0.0}, y.index), y)[0]
    assert spans.source in ("y", "label_horizon")
    codes = spans.codes
    assert (np.searchsorted(spans.axis, spans.end) - codes)[codes < len(spans.axis) - 5].max() == 5


# -- precedence and refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "cv",
    [TemporalSplitter(), EnhancedWalkForwardCV(3, **PLAIN), CombinatorialPurgedCV(4, 1)],
    ids=lambda cv: type(cv).__name__,
)
def test_no_splitter_purges_less_than_y_says(cv, labelled):
    X, y = labelled
    with pytest.raises(
        InvalidSplitError, match="horizon=1 bars is shorter than what y says, 5 bars"
    ):
        cv.set_params(horizon=1).split(X, y)
    same = [train.tolist() for train, _ in cv.set_params(horizon=5).split(X, y)]
    assert same == [train.tolist() for train, _ in cv.set_params(horizon=None).split(X, y)]
    more = [len(train) for train, _ in cv.set_params(horizon=9).split(X, y)]
    assert sum(more) < sum(map(len, same))
    cv.set_params(horizon=None)
    ends = pd.Series(ends_of(y), y.index)
    early = ends.copy()
    early.iloc[7] = y.index[7] + DAY
    with pytest.raises(
        InvalidSplitError, match=r"label_end_times ends the label of row 7 .*y knows it only at"
    ):
        cv.split(X, y, label_end_times=early)
    assert [train.tolist() for train, _ in cv.split(X, y, label_end_times=ends)] == same
    with pytest.raises(InvalidSplitError, match="horizon='1 days 00:00:00' ends the label of row"):
        cv.set_params(horizon="1D").split(X, y)
    cv.set_params(horizon=None)


RECODINGS = {
    "as it is": lambda y: y,
    "binary": lambda y: (y == 2).astype(int),
    "words": lambda y: y.map({0: "sell", 1: "hold", 2: "buy"}),
    "categories": lambda y: y.map({0: "sell", 1: "hold", 2: "buy"}).astype("category"),
    "weights of classes": lambda y: y.map({0: 0.2, 1: 1.5, 2: 0.2}),
    "signs": lambda y: y - 1,
    "meta-labels": lambda y: ((np.arange(len(y)) % 3 == 0) & (y == 2)).astype(int),
    "masked": lambda y: y.where(np.arange(len(y)) % 4 > 0, -1),
    "some unknown": lambda y: y.where(np.arange(len(y)) % 7 > 0),
    "a slice": lambda y: y.iloc[20:90],
    "reversed rows": lambda y: y.iloc[::-1],
}
STALE = {
    "shifted": lambda y: y.shift(-20).dropna().astype(int),
    "shifted by one": lambda y: y.shift(1).dropna(),
    "shuffled": lambda y: pd.Series(np.random.default_rng(0).permutation(y.to_numpy()), y.index),
    "binary and shifted": lambda y: (y == 2).shift(-20).dropna().astype(int),
    "words and shifted": lambda y: y.map({0: "sell", 1: "hold", 2: "buy"}).shift(3).dropna(),
}


@pytest.mark.parametrize("change", RECODINGS)
def test_recoded_labels_keep_their_times(change, labelled):
    X, y = labelled
    new = RECODINGS[change](y)
    new.attrs = y.attrs
    spans, _ = label_spans(X.loc[new.index], new)
    assert spans.source == "y"
    assert (spans.end == pd.Series(label_spans(X, y)[0].end, y.index).loc[new.index]).all()


@pytest.mark.parametrize("change", STALE)
def test_stale_labels_are_refused(change, labelled):
    X, y = labelled
    new = STALE[change](y)
    new.attrs = y.attrs
    rows = X.loc[new.index]
    with pytest.raises(InvalidSplitError, match="y is stale: row .* with_label_times"):
        label_spans(rows, new)
    with pytest.raises(InvalidSplitError, match="y is stale"):
        label_spans(rows, new, horizon=5)  # no more than the stale handle says
    assert label_spans(rows, new, horizon=40)[0].source == "horizon"
    ends = rows.index.shift(30, freq="B")
    assert label_spans(rows, new, label_end_times=ends)[0].source == "label_end_times"
    told = with_label_times(new, end_times=ends)
    assert (ends_of(told) == ends).all()


def regression_targets(n=200):
    days = pd.bdate_range("2020-01-01", periods=n)
    y = pd.Series(np.random.default_rng(0).normal(size=n), days)
    return with_label_times(y, end_times=days.shift(5, freq="B"))


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y * -3,
        lambda y: y > 0.2,
        lambda y: y.abs() > 1,
        lambda y: np.sign(y),
        lambda y: y.rank(),
        lambda y: y.clip(-1, 1),
        lambda y: y.where(np.arange(len(y)) % 3 > 0, 0),
        lambda y: pd.qcut(y, 4, labels=["low", "less", "more", "high"]),
        lambda y: y.iloc[::-3],
    ],
)
def test_targets_of_a_regression_keep_their_times_while_they_keep_their_order(change):
    y = regression_targets()
    new = change(y)
    new.attrs = y.attrs
    spans, _ = label_spans(new, new)
    assert spans.source == "y"
    late = new.shift(-20).dropna()
    late.attrs = y.attrs
    with pytest.raises(InvalidSplitError, match="y is stale: row"):
        label_spans(late, late)
    with pytest.raises(InvalidSplitError, match="y is stale: row"):
        label_spans(
            new, late.sample(frac=1, random_state=0).set_axis(late.index).reindex(new.index)
        )


def test_many_distinct_targets_need_no_table_of_all_pairs():
    n = 100_000  # a table of pairs would hold 10**10 numbers
    hours = pd.date_range("2018", periods=n, freq="h")
    y = with_label_times(
        pd.Series(np.random.default_rng(0).normal(size=n), hours), end_times=hours.shift(5)
    )
    assert (label_spans(y, y)[0].end == hours.shift(5).as_unit("ns").asi8).all()
    many = with_label_times(y.round(1), end_times=hours.shift(5))
    assert label_spans(many, many * 2)[0].source == "y"


def test_rows_of_one_symbol_without_its_name_have_the_ends_of_that_symbol():
    days = pd.bdate_range("2020-01-01", periods=200)
    rare = pd.concat({"A": bars(200, 1), "B": bars(200, 2).iloc[::7]}, names=["symbol", "time"])
    delisted = pd.concat({"C": bars(200, 3).iloc[:120]}, names=["symbol", "time"])
    X, y = AdaptiveLabeler(5, 0.5, scaling="sigma", volatility_lookback=5).fit_resample(
        pd.concat([rare, delisted])
    )
    truth = pd.Series(label_spans(X, y)[0].end, y.index)
    for symbol in "ABC":
        rows = y.loc[symbol].sample(frac=1, random_state=0)
        assert (
            label_spans(X.loc[symbol].loc[rows.index], rows)[0].end == truth[symbol][rows.index]
        ).all()
        assert (label_spans(rows, rows == 2)[0].end == truth[symbol][rows.index]).all()
    for symbol in "AC":  # a few rows of B may follow from another symbol's by chance
        late = y.loc[symbol].shift(-3).dropna()
        with pytest.raises(InvalidSplitError, match="y is stale"):
            label_spans(X.loc[symbol].loc[late.index], late)
    assert (pd.DatetimeIndex(truth["A"]) <= days[-1]).all()


def test_every_column_of_labels_is_compared(labelled):
    X, y = labelled
    both = pd.DataFrame({"buy": y == 2, "sell": y == 0})
    both.attrs = y.attrs
    assert label_spans(X, both)[0].source == "y"
    late = pd.DataFrame({"now": y, "late": y.shift(-20)}).dropna()
    late.attrs = y.attrs
    with pytest.raises(InvalidSplitError, match="y is stale: row"):
        label_spans(X.loc[late.index], late)


def test_labels_of_several_symbols_without_their_names_are_told_how_to_name_them():
    labeler = AdaptiveLabeler(5, 0.5, scaling="sigma")
    parts = {name: labeler.fit_resample(bars(200, seed)) for seed, name in enumerate("AB")}
    X, y = (pd.concat([part[k] for part in parts.values()]) for k in (0, 1))
    with pytest.raises(InvalidSplitError, match=r"times repeat\. .*pd\.concat\(\{'A': y_a"):
        label_spans(X, y)
    X, y = (
        pd.concat({name: part[k] for name, part in parts.items()}, names=["symbol", "time"])
        for k in (0, 1)
    )
    assert label_spans(X, y)[0].source == "label_horizon"


def test_the_first_stale_row_is_shown(labelled):
    X, y = labelled
    new = y.copy()
    sells, buys = np.flatnonzero(y == 0), np.flatnonzero(y == 2)
    new.iloc[sells[5]], new.iloc[buys[50]] = 2, 0
    with pytest.raises(
        InvalidSplitError,
        match=rf"row {sells[5]} \({y.index[sells[5]].date()}.*has 2 where .* have 0",
    ):
        label_spans(X, new)


def test_two_classes_taken_apart_by_a_side_cannot_be_told_from_a_shift(labelled):
    X, y = labelled
    two = y[y != 1]
    side = pd.Series(np.random.default_rng(1).choice([0, 2], len(two)), two.index)
    hit = (two == side).astype(int)
    hit.attrs = two.attrs
    with pytest.raises(InvalidSplitError, match="stale"):
        label_spans(X.loc[two.index], hit)
    assert (ends_of(with_label_times(hit, like=y)) == ends_of(two)).all()


def test_labels_without_attrs_are_told_by_their_rows(labelled):
    X, y = labelled
    plain = y.to_numpy()
    spans = label_spans(X, plain)[0]
    assert spans.source == "X"
    assert (spans.end == label_spans(X, y)[0].end).all()
    with pytest.warns(UnknownHorizonWarning):  # other labels than those the rows were written for
        label_spans(X, np.random.default_rng(0).permutation(plain))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: with_label_times(y), "one of end_times"),
        (lambda y: with_label_times(y, end_times=y.index, like=y), "one of end_times"),
        (lambda y: with_label_times(y.to_numpy(), end_times=y.index), "needs a Series"),
        (lambda y: with_label_times(y.reset_index(drop=True), end_times=y.index), "y has no times"),
        (lambda y: with_label_times(y.iloc[[0, 0]], end_times=y.index[[0, 0]]), "row 1 twice"),
        (lambda y: with_label_times(y, end_times=y.index - DAY), "row 0 ends before it starts"),
        (lambda y: with_label_times(y, end_times=y.index[:-1]), "values for"),
        (lambda y: with_label_times(y, end_times=y.index.tz_localize("UTC")), "time zone"),
        (lambda y: with_label_times(y, like=pd.Series(0, y.index)), "like carries no label times"),
        (
            lambda y: with_label_times(pd.Series(0, y.index.shift(300)), like=y),
            "row 0 of y .* is no row of like",
        ),
        (lambda y: with_label_times(y.to_numpy()[:-1], like=y), "values and no index"),
        (lambda y: with_label_times(y.iloc[:0], like=y), "y has no rows"),
    ],
)
def test_what_with_label_times_refuses(call, message, labelled):
    with pytest.raises(SktrainError, match=message):
        call(labelled[1])


def test_a_label_that_ends_in_year_9999_is_named(labelled):
    X, y = labelled
    ends = np.array(y.index, dtype="M8[s]")
    ends[3] = np.datetime64("9999-12-31")
    with pytest.raises(InvalidSplitError, match="row 3 ends at 9999-12-31"):
        label_spans(X, y.to_numpy(), label_end_times=pd.DatetimeIndex(ends))


# -- when rows are ---------------------------------------------------------------------------------


def flat(X, y):
    """The rows of a panel in order of time, symbols in a column."""
    order = np.argsort(X.index.get_level_values(1), kind="stable")
    return X.iloc[order].reset_index(level=0), y.iloc[order].reset_index(level=0, drop=True)


@pytest.mark.parametrize("said", ["handle", "label_horizon", "horizon"])
def test_repeated_days_count_unique_times(said):
    X, y = AdaptiveLabeler(8, 0.5, scaling="sigma").fit_resample(panel())
    rows, labels = flat(X, y)
    rows.attrs = {}
    labels.attrs = {"handle": labels.attrs, "label_horizon": {"label_horizon": 8}, "horizon": {}}[
        said
    ]
    cv = EnhancedWalkForwardCV(3, horizon=8 if said == "horizon" else None, **PLAIN)
    days = X.index.levels[1]
    for train, test in cv.split(rows, labels):
        assert days.get_loc(rows.index[test].min()) - days.get_loc(rows.index[train].max()) == 9


def test_uneven_repeated_days_are_said():
    X, y = AdaptiveLabeler(8, 0.5, scaling="sigma").fit_resample(panel())
    rows, _ = flat(X, y)
    with pytest.warns(
        DataQualityWarning, match=r"times repeat .*set_index\('symbol', append=True\).swaplevel\(\)"
    ):
        label_spans(rows.iloc[1:].assign(label=0), horizon=2)


def long_table():
    X, y = AdaptiveLabeler(8, 0.5, scaling="sigma").fit_resample(panel())
    X.attrs = {}
    return X.reset_index().assign(y=y.to_numpy())


TABLES = {
    "a column of times": (
        long_table,
        r"column 'time' holds times.*X.set_index\(\['symbol', 'time'\]\)",
    ),
    "text in a column": (
        lambda: long_table().assign(time=lambda t: t["time"].dt.strftime("%d/%m/%Y")),
        r"column 'time'.*pd.to_datetime\(X\['time'\]\)",
    ),
    "an ISO text": (
        lambda: long_table().assign(time=lambda t: t["time"].astype(str)),
        "column 'time'",
    ),
    "epoch seconds": (
        lambda: long_table().assign(time=lambda t: t["time"].astype("M8[s]").astype("int64")),
        "column 'time'",
    ),
    "numbers of days": (
        lambda: long_table().assign(time=lambda t: t["time"].dt.strftime("%Y%m%d").astype(int)),
        "column 'time'",
    ),
    "an index of epochs": (
        lambda: pd.DataFrame({"x": 0.0}, np.arange(100) * 86400 + 1_600_000_000),
        "epoch numbers",
    ),
    "an index of epochs as floats": (
        lambda: pd.DataFrame({"x": 0.0}, np.arange(100) * 86400.0 + 1_600_000_000),
        "epoch numbers",
    ),
    "shuffled numbers": (
        lambda: pd.DataFrame({"x": 0.0}, np.random.default_rng(0).permutation(100)),
        "not increasing",
    ),
    "an index of text": (
        lambda: pd.DataFrame(
            {"x": 0.0}, [f"{d:02d}/{m:02d}/2020" for m in range(1, 10) for d in range(1, 12)]
        ),
        "DatetimeIndex",
    ),
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize(
    "cv",
    [
        TemporalSplitter(horizon=3),
        EnhancedWalkForwardCV(3, horizon=3, **PLAIN),
        CombinatorialPurgedCV(4, 1, horizon=3),
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_row_order_is_not_time_where_a_table_could_say_it(case, cv):
    build, message = TABLES[case]
    with pytest.raises(InvalidBarsError, match=message):
        cv.split(build())


def test_tables_of_polars_too():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"time": pd.date_range("2020", periods=60).to_numpy(), "x": np.zeros(60)}
    )
    with pytest.raises(InvalidBarsError, match=r"to_pandas\(\).set_index"):
        TemporalSplitter(horizon=1).split(frame)


def test_plain_tables_are_in_order_of_time():
    frame = pd.DataFrame({"a": np.arange(60.0), "name": ["x", "y"] * 30}, index=np.arange(60) * 2)
    assert len(list(EnhancedWalkForwardCV(3, horizon=1, **PLAIN).split(frame))) == 3


@pytest.mark.parametrize("shape", ["one", "panel"])
def test_times_say_when_stripped_rows_are(shape):
    X, y = AdaptiveLabeler(5, 0.5, scaling="sigma").fit_resample(
        bars() if shape == "one" else panel()
    )
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X.iloc[order], y.iloc[order]
    ends = ends_of(y)
    cv = EnhancedWalkForwardCV(3, **PLAIN)
    expected = [(a.tolist(), b.tolist()) for a, b in cv.split(X, y)]
    found = cv.split(X.to_numpy(), y.to_numpy(), times=X.index, label_end_times=ends)
    assert [(a.tolist(), b.tolist()) for a, b in found] == expected
    assert cv.get_n_splits(X.to_numpy(), times=X.index) == 3
    by_y = cv.split(X.to_numpy(), y)  # the index of y tells it too
    assert [(a.tolist(), b.tolist()) for a, b in by_y] == expected


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (lambda X: X.index[:-1], "times has"),
        (lambda X: X.index.shift(1), "times: row 0"),
        (lambda X: X.index.tz_localize("UTC"), "times: row 0"),
        (lambda X: np.arange(len(X)), "times must be a DatetimeIndex"),
    ],
)
def test_times_that_do_not_fit(times, message, labelled):
    X, y = labelled
    with pytest.raises(InvalidBarsError, match=message):
        EnhancedWalkForwardCV(3, **PLAIN).split(X, y, times=times(X))


def test_periods_are_timestamps_throughout():
    market = bars(300, index=pd.period_range("2015", periods=300, freq="D"))
    labeler = AdaptiveLabeler(3, 0.5, scaling="sigma")
    with pytest.warns(DataQualityWarning):
        X, y = labeler.fit_resample(market)
    assert X.index.equals(y.index)
    with pytest.warns(DataQualityWarning):
        folds = list(EnhancedWalkForwardCV(3, **PLAIN).split(market, labeler.transform(market)))
    assert len(folds) == 3


# -- lengths of time in splitters ------------------------------------------------------------------


def test_folds_of_the_calendar(labelled):
    X, y = labelled
    last = y.index[-1]
    for number, (train, test) in enumerate(
        EnhancedWalkForwardCV(3, test_size="60D", **PLAIN).split(X, y)
    ):
        low, high = last - (3 - number) * 60 * DAY, last - (2 - number) * 60 * DAY
        assert y.index[test].tolist() == [t for t in y.index if low < t <= high]
        first = y.index[test[0]]
        assert y.index[train].tolist() == [t for t, end in zip(y.index, ends_of(y)) if end < first]


def test_windows_and_embargoes_of_time(labelled):
    X, y = labelled
    ends = ends_of(y)
    cv = EnhancedWalkForwardCV(
        3, max_train_size="40D", embargo="4D", min_samples_per_fold=5, ensure_regime_coverage=False
    )
    for train, test in cv.split(X, y):
        first = y.index[test[0]]
        kept = [i for i in range(test[0]) if ends[i] + 4 * DAY < first]
        assert train.tolist() == [i for i in kept if y.index[i] > y.index[kept[-1]] - 40 * DAY]
    for train, test in CombinatorialPurgedCV(4, 1, embargo="4D").split(X, y):
        first, latest = y.index[test[0]], ends[test].max()
        assert train.tolist() == [
            i for i in range(len(y)) if ends[i] + 4 * DAY < first or y.index[i] > latest + 4 * DAY
        ]


@pytest.mark.parametrize("name", ["horizon", "embargo_bars", "embargo"])
@pytest.mark.parametrize("value", ["0D", "-3D", "5", "1ME", "5B", pd.NaT, True, 2.0, "soon"])
def test_what_is_no_span(name, value):
    with pytest.raises(ValueError, match=name):
        EnhancedWalkForwardCV(3, **{**PLAIN, name: value}).split(bars())


@pytest.mark.parametrize(
    "name", ["horizon", "embargo_bars", "embargo", "test_size", "max_train_size"]
)
def test_lengths_of_time_need_times(name):
    with pytest.raises(InvalidSplitError, match=rf"{name}=.*the rows carry no times"):
        EnhancedWalkForwardCV(3, **{"horizon": 1, **PLAIN, name: "5D"}).split(np.zeros((300, 1)))


def test_two_names_of_one_embargo():
    X = np.zeros((200, 1))
    a = [
        train.tolist()
        for train, _ in EnhancedWalkForwardCV(
            3, horizon=1, embargo=4, min_samples_per_fold=5, ensure_regime_coverage=False
        ).split(X)
    ]
    b = [
        train.tolist()
        for train, _ in EnhancedWalkForwardCV(
            3, horizon=1, embargo_bars=4, min_samples_per_fold=5, ensure_regime_coverage=False
        ).split(X)
    ]
    assert a == b
    with pytest.raises(InvalidSplitError, match="two names of one parameter"):
        EnhancedWalkForwardCV(3, horizon=1, embargo=4, embargo_bars=5).split(X)


def test_a_test_size_too_large_is_named():
    with pytest.raises(ValueError, match="test_size=5000"):
        EnhancedWalkForwardCV(3, horizon=1, test_size=5000).split(np.zeros((400, 1)))
    with pytest.raises(ValueError, match="test_size='2D'.*test fold 0 .*holds"):
        EnhancedWalkForwardCV(3, horizon=1, test_size="2D").split(bars())


# -- weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("market", [bars(), panel()], ids=["one", "panel"])
def test_weights_read_the_labels_themselves(market):
    labeler = TripleBarrierLabeler(0.02, 0.02, max_holding=8)
    X, y = labeler.fit_resample(market)
    ends = labeler.label_end_times(market).loc[y.index]
    pd.testing.assert_series_equal(
        average_uniqueness(y, bars_index=market.index),
        average_uniqueness(ends, bars_index=market.index),
    )
    one, two = (
        sequential_bootstrap(what, bars_index=market.index, n_samples=20, random_state=0)
        for what in (y, ends)
    )
    assert one.tolist() == two.tolist()


# -- what a fixed seed gave ------------------------------------------------------------------------


def test_labels_and_folds_of_the_bundled_data_are_what_they_were(sp500, us_stocks):
    """Digests of labels, and sizes of folds, written down before label times had a handle; only the
    embargo's one bar moved."""
    _, y = AdaptiveLabeler(5, 0.5, scaling="sigma").fit_resample(sp500)
    assert (
        len(y),
        int((y.to_numpy() * (np.arange(len(y)) % 9973)).sum()),
        np.bincount(y).tolist(),
    ) == SP500
    _, y = TripleBarrierLabeler(1.5, 1.5, 12, volatility="yang_zhang").fit_resample(us_stocks)
    assert (
        len(y),
        int((y.to_numpy() * (np.arange(len(y)) % 9973)).sum()),
        np.bincount(y).tolist(),
    ) == US_STOCKS
    X, y = AdaptiveLabeler(5, 0.5, scaling="sigma").fit_resample(sp500)
    facts = EnhancedWalkForwardCV(5, embargo_bars=9).summary(X, y)
    assert facts[["train_size", "test_size"]].to_numpy().tolist() == FOLDS_EMBARGO_10_OF_OLD


def test_a_history_and_its_tail_agree_to_the_last_bit(sp500):
    labeler = AdaptiveLabeler(5, 0.5, scaling="sigma")
    whole, tail = labeler.thresholds(sp500), labeler.thresholds(sp500.iloc[-600:])
    assert (whole.iloc[-580:] == tail.iloc[-580:]).all()
    for volatility in (
        "close",
        "ewma",
        "garman_klass",
        "parkinson",
        "rogers_satchell",
        "yang_zhang",
    ):
        barriers = TripleBarrierLabeler(volatility=volatility)
        whole, tail = barriers.barriers(sp500), barriers.barriers(sp500.iloc[-600:])
        assert (whole.iloc[-570:] == tail.iloc[-570:]).all(axis=None)


def test_labels_open_in_a_fresh_process(tmp_path, labelled):
    X, y = labelled
    (tmp_path / "y.pickle").write_bytes(pickle.dumps((X, y)))
    code = (
        "import pickle, sys; from sktrain import EnhancedWalkForwardCV; X, y = "
        "pickle.load(open(sys.argv[1], 'rb'));"
        "print(EnhancedWalkForwardCV(3, embargo_bars=0, min_samples_per_fold=5, "
        "ensure_regime_coverage=False).summary(X, y).purged.sum())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "y.pickle"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(out.stdout) == EnhancedWalkForwardCV(3, **PLAIN).summary(X, y)["purged"].sum()
