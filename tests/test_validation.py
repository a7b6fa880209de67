"""Input validation: every bad input of the catalogue is refused with its place, every legal one
passes unchanged."""

from decimal import Decimal
from fractions import Fraction
import warnings

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from sktrain import with_history
from sktrain._validation import (
    Count,
    Number,
    check_bars,
    check_count,
    check_flag,
    check_number,
    label_horizon,
    label_spans,
    labelled_mask,
    time_axis,
)
from sktrain.exceptions import (
    DataQualityWarning,
    InvalidBarsError,
    InvalidSplitError,
    NotEnoughDataError,
    SktrainError,
    UnknownHorizonWarning,
)


def make(n=30, seed=0, **changes):
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = close * np.exp(rng.normal(0, 0.005, n))
    bars = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) * 0.99,
            "close": close,
            "volume": rng.integers(1, 1000, n),
        },
        index=pd.date_range("2020-01-01", periods=n, name="time"),
    )
    return bars.assign(**changes)


def put(column, row, value):
    bars = make()
    bars[column] = bars[column].astype(float)
    bars.iloc[row, bars.columns.get_loc(column)] = value
    return bars


def panel(*symbols):
    return pd.concat(
        {symbol: make(seed=i) for i, symbol in enumerate(symbols)}, names=["symbol", "time"]
    )


CATALOGUE = {
    "nan": (lambda: put("close", 7, np.nan), r"'close' is nan in row 7 \(2020-01-08"),
    "inf": (lambda: put("high", 3, np.inf), r"'high' is inf in row 3"),
    "minus inf": (lambda: put("volume", 3, -np.inf), "'volume' is -inf in row 3"),
    "1e308": (lambda: put("high", 4, 1e308), r"1e\+308 in row 4"),
    "zero": (lambda: put("low", 5, 0), r"'low' must be positive, got 0.0 in row 5"),
    "negative": (lambda: put("open", 5, -1), "'open' must be positive, got -1.0 in row 5"),
    "crossed": (lambda: make(high=1.0), "high < low in row 0"),
    "close outside": (lambda: put("close", 9, 500), r"close lies outside \[low, high\] in row 9"),
    "open outside": (lambda: put("open", 9, 0.5), r"open lies outside \[low, high\] in row 9"),
    "negative volume": (
        lambda: put("volume", 2, -5),
        "'volume' must be zero or more, got -5.0 in row 2",
    ),
    "unsigned": (lambda: make().astype({"volume": "uint64"}), "'volume' has dtype uint64"),
    "half precision": (lambda: make().astype({"close": "float16"}), "'close' has dtype float16"),
    "strings": (lambda: make(close="100.5"), "'close' has dtype (str|object)"),
    "decimals": (lambda: make(close=Decimal("100")), "'close' has dtype object"),
    "pd.NA": (
        lambda: make(volume=pd.array([pd.NA] + [1] * 29, dtype="Int64")),
        "'volume' is nan in row 0",
    ),
    "booleans": (lambda: make(volume=True), "'volume' has dtype bool"),
    "dates": (lambda: make(close=pd.Timestamp("2020")), "'close' has dtype datetime64"),
    "durations": (lambda: make(close=pd.Timedelta("1D")), "'close' has dtype timedelta64"),
    "categories": (
        lambda: make().assign(close=lambda b: b["close"].astype("category")),
        "'close' has dtype category",
    ),
    "complex": (lambda: make(close=1j), "'close' has dtype complex128"),
    "missing column": (
        lambda: make().drop(columns=["open", "volume"]),
        r"lack the columns open, volume; found \['high'",
    ),
    "double column": (lambda: make(CLOSE=1.0), "'close' stands more than once"),
    "numbered columns": (lambda: make().set_axis(range(5), axis=1), "must be strings"),
    "mixed names": (lambda: make().rename(columns={"volume": 5}), "must be strings"),
    "no columns": (lambda: make()[[]], "lack the columns"),
    "no rows": (lambda: make().iloc[:0], "no rows"),
    "an array": (lambda: make().to_numpy(), "got ndarray"),
    "a series": (lambda: make()["close"], "got Series"),
    "duplicate time": (lambda: make().iloc[[0, 1, 1, 2]], r"row 2 \(2020-01-02.*repeats"),
    "descending": (lambda: make().iloc[::-1], r"row 1 \(2020-01-29.*earlier"),
    "shuffled": (lambda: make().iloc[[0, 5, 3]], "row 2 .*earlier"),
    "NaT": (
        lambda: make().set_axis(make().index.where(make().index.day != 4)),
        "row 3 has no time",
    ),
    "two zones": (
        lambda: make(2).set_axis(
            pd.Index(
                [pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2021", tz="Asia/Tokyo")],
                dtype=object,
            )
        ),
        "mixes time zones",
    ),
    "naive and aware": (
        lambda: make(2).set_axis(
            pd.Index([pd.Timestamp("2020", tz="UTC"), pd.Timestamp("2021")], dtype=object)
        ),
        "mixes time zones",
    ),
    "repeated hour": (
        lambda: make(3).set_axis(
            pd.DatetimeIndex(["2020-10-25 01:00", "2020-10-25 02:00", "2020-10-25 02:00"])
        ),
        "row 2 .*repeats",
    ),
    "no times": (lambda: make().reset_index(drop=True), "got RangeIndex"),
    "strings as times": (
        lambda: make().set_axis([f"day {i}" for i in range(30)]),
        "values of type str",
    ),
    "epoch as nanoseconds": (
        lambda: make().set_axis(pd.to_datetime(1577836800 + 86400 * np.arange(30))),
        "1970",
    ),
    "epoch too late": (
        lambda: make().set_axis(pd.DatetimeIndex((1577836800000 + np.arange(30)).astype("M8[s]"))),
        "wrong unit",
    ),
    "symbols apart": (
        lambda: panel("A", "B").iloc[[0, 1, 30, 31, 2]],
        "symbol 'A' are not together",
    ),
    "unsorted in a symbol": (lambda: panel("A", "B").iloc[[0, 1, 31, 30]], r"row 3 .*earlier"),
    "time before symbol": (lambda: panel("A", "B").swaplevel(), "symbol first with swaplevel"),
    "three levels": (lambda: pd.concat({"x": panel("A")}), "two levels"),
    "no symbol": (
        lambda: panel("A").set_axis(pd.MultiIndex.from_arrays([[None] * 30, make().index])),
        "row 0 has no symbol",
    ),
}


@pytest.mark.parametrize("case", CATALOGUE)
def test_the_catalogue_of_bad_bars(case):
    build, message = CATALOGUE[case]
    with pytest.raises(InvalidBarsError, match=message):
        check_bars(build())


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 29),
    st.sampled_from(["open", "high", "low", "close", "volume"]),
    st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 1e308]),
)
def test_the_first_bad_row_is_named(row, column, value):
    bars = make()
    bars[column] = bars[column].astype(float)
    bars.iloc[row:, bars.columns.get_loc(column)] = value
    with pytest.raises(InvalidBarsError, match=rf"row {row} \(2020-01-{row + 1:02d}"):
        check_bars(bars)


SUSPICIOUS = {
    "split": (
        lambda: make(n=30).assign(
            **{
                c: make()[c] * np.where(np.arange(30) < 9, 1, 0.3)
                for c in ("open", "high", "low", "close")
            }
        ),
        "row 9",
    ),
    "stale": (
        lambda: make(40).assign(open=100.0, high=101.0, low=99.0, close=[100.0] * 35 + [100.5] * 5),
        "stands still at 100 for 35 bars",
    ),
    "constant": (lambda: make(volume=7), "'volume' is 7 in all 30 rows"),
    "mixed frequency": (
        lambda: make(100).set_axis(
            pd.date_range("2020", periods=50).append(pd.date_range("2021", periods=50, freq="h"))
        ),
        "mixed frequency.* 0 days 01:00:00 .* 1 days",
    ),
    "periods": (lambda: make().to_period(), "PeriodIndex"),
}


@pytest.mark.parametrize("case", SUSPICIOUS)
def test_suspicious_bars_are_said(case):
    build, message = SUSPICIOUS[case]
    with pytest.warns(DataQualityWarning, match=message):
        check_bars(build())
    if case != "periods":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_bars(build(), warn=False)


def test_legal_bars_pass_as_they_are(sp500, us_stocks):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_bars(sp500) is sp500
        assert check_bars(panel("B", "A")).index[0][0] == "B"
        check_bars(make(1))
        check_bars(make(volume=np.arange(30)))  # zero volume
        check_bars(make().astype("float32"))
        check_bars(make().tz_localize("Asia/Tokyo"))
        check_bars(make().assign(news="words pass through"))
        business_days = pd.bdate_range("2020", periods=500)
        check_bars(make(500).set_axis(business_days))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        check_bars(us_stocks)
        assert isinstance(check_bars(make().to_period()).index, pd.DatetimeIndex)


def test_names_are_normalised_and_nothing_is_changed():
    bars = make().rename(columns=str.upper)
    bars.attrs["source"] = "feed"
    out = check_bars(bars)
    assert list(out.columns) == ["open", "high", "low", "close", "volume"]
    assert list(bars.columns) == ["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"]
    assert out.attrs["source"] == "feed"


def test_only_what_is_required_is_required():
    check_bars(make()[["close"]], required=("close",))
    with pytest.raises(InvalidBarsError, match="'volume' must be zero or more"):
        check_bars(put("volume", 0, -1), required=("close",))


def test_rounded_prices_may_stand_a_hair_outside():
    check_bars(make().assign(close=lambda b: b["high"] * (1 + 1e-7)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_resolutions_of_time_are_one_axis(unit):
    axis = time_axis(make().set_axis(make().index.as_unit(unit)))
    np.testing.assert_array_equal(axis.times, make().index.as_unit("ns").asi8)
    mixed = panel("A", "B")
    assert time_axis(mixed).symbols.tolist() == [0] * 30 + [1] * 30


def test_rows_without_times_are_in_order():
    for rows in (
        np.zeros((4, 2)),
        [[1], [2], [3], [4]],
        pd.DataFrame({"x": range(4)}),
        pd.DataFrame({"x": range(4)}, index=list("abcd")),
    ):
        axis = time_axis(rows)
        assert axis.times.tolist() == [0, 1, 2, 3]
        assert axis.symbols is None


@pytest.mark.parametrize(
    "labels", [["2020-01-02", "2020-01-01"], [pd.Timestamp("2020").date()] * 2]
)
def test_times_in_disguise_are_not_taken_for_an_order(labels):
    with pytest.raises(InvalidBarsError, match="to_datetime"):
        time_axis(pd.DataFrame({"x": [1, 2]}, index=pd.Index(labels, dtype=object)))


@pytest.mark.parametrize("value", [True, False, np.True_, 3.0, 0, -1, None, "3", np.nan, 1 + 0j])
def test_counts(value):
    with pytest.raises(SktrainError, match="n must be an integer >= 1"):
        check_count("n", value)
    with pytest.raises(InvalidParameterError, match="'n'"):
        validate_parameter_constraints({"n": [Count()]}, {"n": value}, "caller")


@pytest.mark.parametrize(
    "bounds, said, least",
    [
        ({}, "a finite number", -1e9),
        ({"low": 0}, "a number >= 0", 0),
        ({"low": 0, "closed": "neither"}, "a number > 0", 5e-324),
        ({"low": 0, "closed": "neither", "optional": True}, "a number > 0 or None", 5e-324),
        ({"low": 0, "high": 1, "closed": "left"}, r"a number in \[0, 1\)", np.float32(0)),
        ({"low": -1, "high": 1, "closed": "right"}, r"a number in \(-1, 1\]", Fraction(-1, 2)),
    ],
)
def test_bounds_of_numbers(bounds, said, least):
    assert check_number("x", least, **bounds) == float(least)
    with pytest.raises(SktrainError, match=f"^x must be {said}, got nan"):
        check_number("x", np.nan, **bounds)
    assert bounds.get("optional") is None or check_number("x", None, **bounds) is None


@pytest.mark.parametrize("value", [0, 1, None, "True", np.nan, np.array([True])])
def test_flags(value):
    with pytest.raises(SktrainError, match="^x must be True or False, got "):
        check_flag("x", value)
    assert check_flag("x", np.False_) is False


def test_counts_that_count():
    assert check_count("n", np.int64(3)) == 3
    assert check_count("n", 0, minimum=0) == 0
    assert check_count("n", None, optional=True) is None
    with pytest.raises(SktrainError, match="^n must be an integer >= 1 or None, got 0"):
        check_count("n", 0, optional=True)
    validate_parameter_constraints({"n": [Count(0, 5)]}, {"n": 5}, "caller")
    with pytest.raises(InvalidParameterError):
        validate_parameter_constraints({"n": [Count(0, 5)]}, {"n": 6}, "caller")


@pytest.mark.parametrize(
    "value",
    [True, np.True_, np.nan, np.inf, -np.inf, "1", None, 1.5, -0.1, 1 + 0j, 10**400, np.array(0.5)],
    ids=lambda value: f"{type(value).__name__}-{value!s:.5}",
)
def test_numbers(value):
    with pytest.raises(SktrainError, match=r"^x must be a number in \[0, 1\], got "):
        check_number("x", value, 0, 1)
    with pytest.raises(InvalidParameterError, match="'x'"):
        validate_parameter_constraints({"x": [Number(0, 1)]}, {"x": value}, "caller")


@pytest.mark.parametrize(
    "y, expected",
    [
        (None, [True] * 3),
        (np.array([1, 2, 3]), [True] * 3),
        (np.array([1, np.nan, 3]), [True, False, True]),
        (["a", None, "b"], [True, False, True]),
        (pd.Series([1, pd.NA, 3], dtype="Int64"), [True, False, True]),
        (np.array([[1, 1], [np.nan, 1], [2, 2]]), [True, False, True]),
    ],
)
def test_what_a_label_is(y, expected):
    assert labelled_mask(y, 3).tolist() == expected


def test_where_a_horizon_comes_from():
    y = pd.Series([1])
    assert label_horizon(y) is None
    y.attrs["label_horizon"] = 4
    assert (label_horizon(y), label_horizon(y, 2), label_horizon(y, 0)) == (4, 2, 0)
    with pytest.raises(SktrainError, match="horizon must be an integer >= 0, got 2.5"):
        label_horizon(y, 2.5)


def test_a_horizon_counts_remembered_bars():
    """Rows dropped from X still count as bars when X remembers them."""
    bars = make(20)
    kept = with_history(bars).iloc[::4]
    spans, _ = label_spans(kept, horizon=3)
    np.testing.assert_array_equal(spans.end[:-1], bars.index.as_unit("ns").asi8[3:19:4])
    kept.attrs = {}
    forgetful, _ = label_spans(kept, horizon=3)
    np.testing.assert_array_equal(forgetful.end[:2], kept.index.as_unit("ns").asi8[3:])
    assert (forgetful.end[2:] > kept.index[-1].value).all()


def test_spans_keep_the_order_of_rows():
    mixed = panel("A", "B").sample(frac=1, random_state=0)
    spans, _ = label_spans(mixed, horizon=2)
    whole = panel("A", "B")
    for (symbol, time), end in zip(mixed.index, spans.end):
        own = whole.loc[symbol].index
        place = own.get_loc(time) + 2
        assert end == own[place].value if place < 30 else end > own[-1].value


def test_unknown_and_impossible_horizons():
    with pytest.warns(UnknownHorizonWarning, match="me does not know"):
        spans, _ = label_spans(np.zeros((5, 1)), caller="me")
    assert (spans.start == spans.end).all()
    with pytest.raises(
        NotEnoughDataError, match="horizon=5 is longer than the data: 5 unique times"
    ):
        label_spans(np.zeros((5, 1)), horizon=5)
    with pytest.raises(NotEnoughDataError, match="no rows"):
        label_spans(np.zeros((0, 1)), horizon=1)


@pytest.mark.parametrize(
    "ends, message",
    [
        (lambda index: index[:-1], "29 values for 30 rows"),
        (lambda index: index - pd.Timedelta("1D"), "row 0 ends before it starts"),
        (lambda index: index.tz_localize("UTC"), "time zone"),
        (lambda index: np.arange(30), "must hold timestamps, got int64"),
        (
            lambda index: pd.Series(index, index=index[::-1]),
            r"row 0 is 2020-01-01 .* in label_end_times",
        ),
    ],
)
def test_end_times_are_checked(ends, message):
    bars = make()
    with pytest.raises(SktrainError, match=message):
        label_spans(bars, label_end_times=ends(bars.index))


def test_a_missing_end_time_is_known_at_once():
    bars = make()
    ends = (bars.index + pd.Timedelta("1D")).to_series(index=bars.index).where(np.arange(30) != 4)
    spans, _ = label_spans(bars, label_end_times=ends)
    assert spans.end[4] == spans.start[4]
    spans, _ = label_spans(bars, label_end_times=[pd.NaT] * 30)
    assert (spans.end == spans.start).all()


def test_rows_and_labels_of_other_times():
    index = make().index.tolist()
    index[3] = pd.Timestamp("1999")
    with pytest.raises(InvalidSplitError, match="row 3 is"):
        label_spans(make(), pd.Series(0, pd.DatetimeIndex(index)), horizon=1)
    with pytest.raises(InvalidSplitError, match="row 0 is"):
        label_spans(make(), pd.Series(0, range(30)), horizon=1)
