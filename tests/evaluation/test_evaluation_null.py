"""No-signal copies keep what they promise and nothing else; the calibration's p-value is a count
anybody can repeat."""

from dataclasses import replace
import json

from hypothesis import given, settings, strategies as st
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from sktrain import AdaptiveLabeler, BarFeatures
from sktrain._history import get_history
from sktrain._validation import check_bars
from sktrain.datasets import load_us_stocks, make_market
from sktrain.evaluation import NullCalibration, null_calibration, null_market
from sktrain.evaluation._calibration import _Copies, _stop_count
from sktrain.evaluation._journal import Journal
from sktrain.exceptions import (
    CorruptFileError,
    InvalidBarsError,
    NotEnoughDataError,
    SktrainError,
    StudyMismatchError,
)

METHODS = ("block", "sign", "phase")
LABELER = AdaptiveLabeler(horizon=1, base_threshold=0.43, scaling="sigma")
CV = TimeSeriesSplit(3)


class LastReturns(TransformerMixin, BaseEstimator):
    """The body share of the last two bars, from the rows alone: cheap enough to refit thousands of
    times."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        body = np.log(X["close"].to_numpy() / X["open"].to_numpy()) / np.log(
            X["high"].to_numpy() / X["low"].to_numpy()
        )
        return np.column_stack([body, np.append(0.0, body[:-1])])


MODEL = make_pipeline(LastReturns(), LogisticRegression())


def log_returns(bars):
    close = np.log(bars["close"])
    return (
        close.groupby(level=0).diff() if isinstance(bars.index, pd.MultiIndex) else close.diff()
    ).dropna()


@pytest.fixture(scope="module")
def market():
    return make_market(1500, signal=0.6, random_state=0).bars


@pytest.fixture(scope="module")
def panel():
    """Three instruments that move together, one of them younger."""
    parts = {}
    common = np.random.default_rng(0).normal(0, 0.02, 600)
    for seed, name in enumerate("ABC"):
        own = make_market(600, signal=0.0, random_state=seed).bars
        factor = np.exp(np.cumsum(common))
        start = 250 if name == "C" else 0
        # one price level a bar keeps the candle valid
        frame = own[["open", "high", "low", "close"]].mul(factor, axis=0)
        parts[name] = frame.assign(volume=own["volume"]).iloc[start:]
    return pd.concat(parts, names=["symbol", "time"])


@pytest.mark.parametrize("method", METHODS)
def test_copies_are_bars_of_the_same_shape(market, method):
    before = market.copy()
    copy = null_market(market, method, random_state=0)
    check_bars(copy)
    pd.testing.assert_frame_equal(market, before)
    assert copy.index.equals(market.index)
    assert (copy.dtypes == market.dtypes).all()
    assert copy["close"].iloc[0] == pytest.approx(market["close"].iloc[0])
    assert not np.allclose(copy["close"], market["close"])
    assert get_history(copy).frame["close"].equals(copy["close"])
    assert get_history(copy) != get_history(market)
    assert null_market(market, method, random_state=0).equals(copy)
    assert not null_market(market, method, random_state=1).equals(copy)


@pytest.mark.parametrize("method", ["block", "phase"])
def test_bars_change_places_whole(market, method):
    """Every copied bar is some original bar: return, candle and volume together."""
    copy = null_market(market, method, random_state=0)

    def candles(bars):
        previous = bars["close"].shift().fillna(bars["open"])
        shapes = [np.log(bars[name] / previous) for name in ("open", "high", "low", "close")]
        table = np.column_stack([*shapes, bars["volume"]])
        return table[np.lexsort(table.T)]

    np.testing.assert_allclose(candles(copy), candles(market), atol=1e-12)


def test_block_keeps_the_path_from_block_to_block(market):
    copy = null_market(market, "block", block_length=25, random_state=0)
    # the first bar stays, then 1499 bars in blocks of 25, the last one of 24 joined to its
    # neighbour
    ends = np.arange(25, 1450, 25)
    np.testing.assert_allclose(copy["close"].iloc[ends], market["close"].iloc[ends])
    inside = np.setdiff1d(np.arange(1, 1450), ends)
    assert np.mean(np.isclose(copy["close"].iloc[inside], market["close"].iloc[inside])) < 0.1


def test_block_order_is_uniform():
    """Each bar of a block comes first equally often."""
    bars = make_market(11, random_state=0, signal=0.0).bars
    volumes = bars["volume"].to_numpy()
    first = [
        null_market(bars, "block", block_length=5, random_state=seed)["volume"].iloc[1]
        for seed in range(500)
    ]
    counts = [first.count(volume) for volume in volumes[1:6]]
    assert sum(counts) == 500
    assert stats.chisquare(counts).pvalue > 1e-3


def test_sign_keeps_sizes_and_volumes_in_place(market):
    copy = null_market(market, "sign", random_state=0)
    ours, theirs = log_returns(copy).to_numpy(), log_returns(market).to_numpy()
    mean = theirs.mean()
    np.testing.assert_allclose(np.abs(ours - mean), np.abs(theirs - mean), atol=1e-12)
    np.testing.assert_allclose(
        np.log(copy["high"] / copy["low"]),
        np.log(market["high"] / market["low"]),
        atol=2 * abs(mean) + 1e-12,
    )
    assert (copy["volume"] == market["volume"]).all()
    assert 0.4 < np.mean(np.isclose(ours, theirs)) < 0.6


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(*[st.floats(50, 500)] * 4, st.integers(0, 10**12)), min_size=40, max_size=60
    ),
    st.sampled_from(METHODS),
    st.integers(0, 2**32),
)
def test_any_valid_bars_give_valid_copies(rows, method, seed):
    """Gaps of any size, candles without range, silent bars."""
    table = np.array([row[:4] for row in rows])
    bars = pd.DataFrame(
        {
            "open": table[:, 0],
            "high": table.max(axis=1),
            "low": table.min(axis=1),
            "close": table[:, 3],
        }
    )
    bars = bars.assign(volume=[row[4] for row in rows], note="x").set_axis(
        pd.bdate_range("2020", periods=len(rows))
    )
    check_bars(null_market(bars, method, random_state=seed), warn=False)


def test_walks_beyond_the_range_of_numbers_are_refused():
    close = np.tile([1e-30, 1e30], 50)
    bars = pd.DataFrame(
        dict.fromkeys(("open", "high", "low", "close"), close), pd.bdate_range("2020", periods=100)
    ).assign(volume=1)
    with pytest.raises(SktrainError, match="too much for a walk"):
        null_market(bars, "sign", random_state=0)


def autocorrelation(x, lag):
    return np.corrcoef(x[lag:], x[:-lag])[0, 1]


def test_what_each_method_destroys(market):
    original = autocorrelation(log_returns(market).to_numpy(), 1)
    left = {
        method: np.mean(
            [
                autocorrelation(
                    log_returns(null_market(market, method, random_state=s)).to_numpy(), 1
                )
                for s in range(5)
            ]
        )
        for method in METHODS
    }
    assert original > 0.5
    assert abs(left["sign"]) < 0.05
    assert left["block"] < 0.3 * original  # what a block's mean still tells
    assert left["phase"] == pytest.approx(original, abs=0.06)  # by design: linear momentum stays


@pytest.mark.parametrize("method", ["block", "sign"])
def test_panel_keeps_its_cross_section(panel, method):
    def correlation(bars):
        return log_returns(bars).unstack(0).corr().to_numpy()

    copy = null_market(panel, method, random_state=0)
    check_bars(copy)
    assert correlation(panel)[0, 1] > 0.3
    np.testing.assert_allclose(correlation(copy), correlation(panel), atol=0.03)
    if method == "block":  # the same day's bars of all instruments travel together
        days = panel["volume"].unstack(0).dropna()
        moved = copy["volume"].unstack(0).dropna()
        assert {tuple(row) for row in moved.to_numpy()[1:]} == {
            tuple(row) for row in days.to_numpy()[1:]
        }


def test_phase_wants_one_calendar(panel):
    with pytest.raises(SktrainError, match="same times"):
        null_market(panel, "phase")
    even = panel.loc[["A", "B"]]
    copy = null_market(even, "phase", random_state=0)
    check_bars(copy)
    ours, theirs = (log_returns(bars).unstack(0).corr().iloc[0, 1] for bars in (copy, even))
    assert ours == pytest.approx(theirs, abs=0.15)


def test_a_panel_without_common_times_is_refused():
    one, two = (make_market(100, random_state=seed).bars for seed in range(2))
    two.index = two.index + pd.to_timedelta(np.random.default_rng(0).integers(1, 3, 100), "h")
    three = one.set_axis(one.index + pd.Timedelta("5h"))
    # two groups, each shuffles
    assert (
        check_bars(
            null_market(pd.concat({"A": one, "B": three}, names=["symbol", "time"]), random_state=0)
        )
        is not None
    )
    rare = pd.concat(
        {
            f"S{i}": one.drop(one.index[np.random.default_rng(i).integers(0, 2, 100) == 1])
            for i in range(12)
        },
        names=["symbol", "time"],
    )
    with pytest.raises(SktrainError, match="share too few times"):
        null_market(rare, "block")


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.DataQualityWarning")
def test_bundled_stocks_copy():
    stocks = load_us_stocks()
    for method in ("block", "sign"):
        check_bars(null_market(stocks, method, random_state=0))


def test_refused_markets(market):
    for call, error, message in (
        (lambda: null_market(market, "noise"), SktrainError, "method"),
        (lambda: null_market(market, block_length=1), SktrainError, "block_length"),
        (lambda: null_market(market, block_length=20.0), SktrainError, "block_length"),
        (lambda: null_market(market.iloc[:30]), NotEnoughDataError, "at least 40"),
        (lambda: null_market(market.iloc[::-1]), InvalidBarsError, "increase"),
        (lambda: null_market(market.drop(columns="high")), InvalidBarsError, "high"),
    ):
        with pytest.raises(error, match=message):
            call()


def by_hand(bars):
    rows, y = LABELER.fit_resample(bars)
    scorer = get_scorer("balanced_accuracy")
    return np.mean(
        [
            scorer(MODEL.fit(rows.iloc[a], y.iloc[a]), rows.iloc[b], y.iloc[b])
            for a, b in CV.split(rows)
        ]
    )


@pytest.mark.parametrize("method", METHODS)
def test_calibration_is_a_count(market, method):
    result = null_calibration(
        MODEL, market, labeler=LABELER, cv=CV, n_null=9, method=method, random_state=3
    )
    assert result.score == pytest.approx(by_hand(market))
    seeds = [np.random.SeedSequence(3, spawn_key=(i,)) for i in range(9)]
    nulls = [by_hand(null_market(market, method, random_state=seed)) for seed in seeds]
    np.testing.assert_allclose(result.null_scores, nulls)
    assert result.p_value == (1 + sum(null >= result.score for null in nulls)) / 10
    assert result.p_value == 0.1 if method != "phase" else result.p_value >= 0.1
    assert result.excess == pytest.approx(result.score - np.mean(nulls))
    assert "copies" in result.summary()


def test_same_result_for_any_n_jobs(market):
    # its seed is open
    noisy = make_pipeline(
        LastReturns(), DecisionTreeClassifier(max_features=1, splitter="random", max_depth=3)
    )
    runs = [
        null_calibration(noisy, market, labeler=LABELER, cv=CV, n_null=6, random_state=0, n_jobs=n)
        for n in (None, 2)
    ]
    np.testing.assert_array_equal(runs[0].null_scores, runs[1].null_scores)
    assert runs[0].score == runs[1].score
    again = null_calibration(noisy, market, labeler=LABELER, cv=CV, n_null=4, random_state=0)
    # a copy depends on its number, not on how many there are
    np.testing.assert_array_equal(again.null_scores, runs[0].null_scores[:4])
    assert noisy[-1].random_state is None


NOISY = make_pipeline(
    LastReturns(), DecisionTreeClassifier(max_features=1, splitter="random", max_depth=3)
)


@pytest.fixture(scope="module")
def noise_scores():
    """A market without signal, and all forty scores of its copies."""
    noise = make_market(1000, signal=0.0, random_state=5).bars
    return noise, null_calibration(NOISY, noise, labeler=LABELER, cv=CV, n_null=40, random_state=0)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_sequential_stops_where_the_definition_says(noise_scores, n_jobs, alpha):
    noise, whole = noise_scores
    found = null_calibration(
        NOISY, noise, labeler=LABELER, cv=CV, n_null=40, random_state=0, stop="sequential",
        alpha=alpha, n_jobs=n_jobs,
    )
    high, scored = round(0.8 * alpha * 41), 0
    while scored < 40 and np.sum(whole.null_scores[:scored] >= whole.score) < high:
        scored += 1
    assert scored < 40  # it does stop
    assert (found.n_scored, found.n_null, found.stop_count) == (scored, 40, high)
    np.testing.assert_array_equal(found.null_scores, whole.null_scores[:scored])
    assert found.p_value == high / scored
    assert found.verdict() == "no edge"
    assert f"the first {scored} of 40 copies" in found.summary()


def test_an_edge_is_held_against_all_copies(market):
    common = {"labeler": LABELER, "cv": CV, "n_null": 24, "random_state": 3}
    whole = null_calibration(MODEL, market, **common)
    found = null_calibration(MODEL, market, **common, stop="sequential")
    np.testing.assert_array_equal(found.null_scores, whole.null_scores)
    assert found.p_value == whole.p_value == 0.04
    assert found.verdict() == "edge"
    assert found.verdict(0.03) == "no edge"
    assert replace(found, alpha=0.03).verdict() == "no edge"


@pytest.mark.parametrize("n_null", [19, 39, 99])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
def test_sequential_p_values_are_exact(n_null, alpha):
    """Over every place of the market's score among its copies', P(p <= t) <= t; at alpha it is
    alpha."""
    stop_count = _stop_count("sequential", alpha, n_null)
    draws = np.random.default_rng(0).random((4000, n_null + 1))
    p, scored = np.array([_sequential(row[0], row[1:], stop_count, alpha) for row in draws]).T
    for level in (0.02, 0.05, 0.1, 0.3, 0.7):
        assert stats.binomtest(int(np.sum(p <= level)), 4000, level, "greater").pvalue > 1e-4
    expected = stop_count * (1 + sum(1 / k for k in range(stop_count + 1, n_null + 1)))
    assert scored.mean() == pytest.approx(expected, abs=4 * scored.std() / np.sqrt(4000))


def _sequential(score, nulls, stop_count, alpha):
    """p-value and copies scored, through the library's own pieces, without a market."""
    copies = _Copies(Journal(None, None, 0, [score]), score, len(nulls), stop_count)
    for number in copies.missing():
        copies.add(number, nulls[number])
    found = NullCalibration(
        score,
        np.array([score]),
        nulls[: copies.decided],
        "sign",
        "draw",
        len(nulls),
        alpha,
        stop_count,
    )
    return found.p_value, found.n_scored


def test_later_copies_that_end_first_decide_nothing():
    """With many at work, copy 3 may end before copy 0: only the order of numbers counts."""
    copies = _Copies(Journal(None, None, 0, [0.5]), 0.5, 6, 2)
    missing = copies.missing()
    for number, value in ((3, 0.9), (1, 0.9), (2, 0.1)):
        copies.add(number, value)
        assert copies.decided == 0
    assert next(missing) == 0
    copies.add(0, 0.7)
    assert copies.decided == 2
    assert list(missing) == []


def test_sequential_goes_on_where_it_stopped(noise_scores, tmp_path):
    noise, whole = noise_scores
    path = tmp_path / "null.json"
    model = make_pipeline(Interrupted(), NOISY[-1])
    common = {
        "labeler": LABELER,
        "cv": CV,
        "n_null": 40,
        "random_state": 0,
        "alpha": 0.2,
        "stop": "sequential",
    }
    Interrupted.fits, Interrupted.stop_at = 0, None
    straight = null_calibration(model, noise, **common)
    assert Interrupted.fits == 3 * (1 + straight.n_scored)
    Interrupted.fits, Interrupted.stop_at = 0, 3 + 3 * 4 + 1
    with pytest.raises(KeyboardInterrupt):
        null_calibration(model, noise, path=path, **common)
    Interrupted.fits, Interrupted.stop_at = 0, None
    resumed = null_calibration(model, noise, path=path, **common)
    assert Interrupted.fits == 3 * (straight.n_scored - 4)
    np.testing.assert_array_equal(resumed.null_scores, straight.null_scores)
    assert resumed.p_value == straight.p_value
    Interrupted.fits = 0
    # what is there is not scored again
    null_calibration(model, noise, path=path, **{**common, "stop": None})
    assert Interrupted.fits == 3 * (40 - straight.n_scored)
    Interrupted.fits = 0
    again = null_calibration(model, noise, path=path, **common)  # with all copies at hand
    assert Interrupted.fits == 0
    np.testing.assert_array_equal(again.null_scores, straight.null_scores)


def test_features_of_a_copy_are_computed_once_for_all_folds(market, monkeypatch):
    computed = []
    compute = BarFeatures._compute
    monkeypatch.setattr(
        BarFeatures,
        "_compute",
        lambda self, bars: computed.append(len(bars)) or compute(self, bars),
    )
    model = make_pipeline(BarFeatures(windows=(5,)), DummyClassifier())
    null_calibration(
        model, market, labeler=LABELER, cv=TimeSeriesSplit(4), n_null=3, random_state=0
    )
    assert len(computed) == 1 + 3  # the market and three copies, not five folds of each


def test_noise_is_no_edge_and_constant_answers_are_worth_nothing(market):
    noise = make_market(1000, signal=0.0, random_state=5).bars
    result = null_calibration(MODEL, noise, labeler=LABELER, cv=CV, n_null=19, random_state=0)
    assert result.p_value > 0.05
    assert result.verdict() == "no edge"
    assert result.false_discovery_rate == (
        0.5 if result.p_value >= 1 / np.e else pytest.approx(result.false_discovery_rate)
    )
    constant = null_calibration(
        make_pipeline(LastReturns(), DummyClassifier()),
        market, labeler=LABELER, cv=CV, n_null=9, random_state=0,
    )
    assert constant.p_value == 1.0


def test_false_discovery_rate_of_one_score(market):
    result = null_calibration(MODEL, market, labeler=LABELER, cv=CV, n_null=19, random_state=0)
    assert result.p_value == 0.05
    # Sellke, Bayarri & Berger (2001), table 1
    assert result.false_discovery_rate == pytest.approx(0.289, abs=5e-4)
    assert result.verdict() == "edge"


class Interrupted(LastReturns):
    """Stops like Ctrl-C at its n-th fit in this process."""

    fits, stop_at = 0, None

    def fit(self, X, y=None):
        Interrupted.fits += 1
        if Interrupted.stop_at is not None and Interrupted.fits > Interrupted.stop_at:
            raise KeyboardInterrupt
        return self


def test_interrupt_keeps_what_is_finished(market, tmp_path):
    path = tmp_path / "null.json"
    model = make_pipeline(Interrupted(), LogisticRegression())
    common = {"labeler": LABELER, "cv": CV, "n_null": 8, "random_state": 0}
    Interrupted.fits, Interrupted.stop_at = 0, None
    whole = null_calibration(model, market, **common)
    Interrupted.fits, Interrupted.stop_at = 0, 3 + 3 * 4 + 1  # the score, four copies, one fold
    with pytest.raises(KeyboardInterrupt):
        null_calibration(model, market, path=path, **common)
    assert len(json.loads(path.read_text())["nulls"]) == 4
    Interrupted.fits, Interrupted.stop_at = 0, None
    resumed = null_calibration(model, market, path=path, **common)
    assert Interrupted.fits == 3 * 4  # only the copies that were missing
    np.testing.assert_array_equal(resumed.null_scores, whole.null_scores)
    more = null_calibration(model, market, path=path, **{**common, "n_null": 10})
    assert Interrupted.fits == 3 * 6
    np.testing.assert_array_equal(more.null_scores[:8], whole.null_scores)
    assert [file.name for file in tmp_path.iterdir()] == ["null.json"]


def test_open_seed_is_kept_in_the_file(market, tmp_path):
    path = tmp_path / "null.json"
    first = null_calibration(MODEL, market, labeler=LABELER, cv=CV, n_null=3, path=path)
    second = null_calibration(MODEL, market, labeler=LABELER, cv=CV, n_null=3, path=path)
    np.testing.assert_array_equal(first.null_scores, second.null_scores)


def test_a_file_belongs_to_one_question(market, tmp_path):
    path = tmp_path / "null.json"
    common = {"labeler": LABELER, "cv": CV, "n_null": 2, "random_state": 0, "path": path}
    null_calibration(MODEL, market, **common)
    other = make_pipeline(LastReturns(), LogisticRegression(C=0.5))
    for name, call in (
        ("estimator", lambda: null_calibration(other, market, **common)),
        ("bars", lambda: null_calibration(MODEL, market.iloc[:-1], **common)),
        ("method", lambda: null_calibration(MODEL, market, method="sign", **common)),
        ("random_state", lambda: null_calibration(MODEL, market, **{**common, "random_state": 1})),
        ("cv", lambda: null_calibration(MODEL, market, **{**common, "cv": TimeSeriesSplit(4)})),
    ):
        with pytest.raises(StudyMismatchError, match=f"another .*{name}"):
            call()
    path.write_text(path.read_text()[:50])
    with pytest.raises(CorruptFileError, match=r"null\.json"):
        null_calibration(MODEL, market, **common)
    with pytest.raises(SktrainError, match="does not exist"):
        null_calibration(MODEL, market, **{**common, "path": tmp_path / "nowhere" / "null.json"})


def test_default_splitter_and_own_scoring(market):
    model = make_pipeline(BarFeatures(windows=(5,)), DummyClassifier())
    result = null_calibration(
        model, market, labeler=LABELER, n_null=2, scoring="accuracy", random_state=0
    )
    assert len(result.fold_scores) == 5
    assert result.metric == "accuracy"


def test_panel_calibrates(panel):
    result = null_calibration(MODEL, panel, labeler=LABELER, n_null=2, cv=CV, random_state=0)
    assert result.null_scores.shape == (2,)


def test_function_as_labeler(market):
    def labels(bars):
        return bars.iloc[:-1], (
            bars["close"].to_numpy()[1:] > bars["close"].to_numpy()[:-1]
        ).astype(int)

    assert (
        null_calibration(MODEL, market, labeler=labels, cv=CV, n_null=4, random_state=0).p_value
        == 0.2
    )


def test_progress_is_silent_unless_asked(market, capsys):
    for verbose in (0, 1):
        null_calibration(
            MODEL, market, labeler=LABELER, cv=CV, n_null=2, random_state=0, verbose=verbose
        )
        assert ("null copies" in capsys.readouterr().out) == bool(verbose)


def test_refused_calibrations(market):
    def broken(fitted, X, y):
        return np.nan

    for arguments, message in (
        ({"n_null": 0}, "n_null"),
        ({"n_null": True}, "n_null"),
        ({"method": "bootstrap"}, "method"),
        ({"labeler": 3}, "labeler"),
        ({"random_state": -1}, "random_state"),
        ({"scoring": broken}, "not a finite number"),
        (
            {"labeler": AdaptiveLabeler(horizon=12), "block_length": 20},
            "twice the labels' horizon of 12",
        ),
        ({"verbose": None}, "verbose"),
        ({"stop": "early"}, "stop"),
        ({"stop": True}, "stop"),
        ({"alpha": 1}, "alpha"),
        ({"alpha": np.nan}, "alpha"),
    ):
        with pytest.raises(SktrainError, match=message):
            null_calibration(
                MODEL,
                market,
                **{"labeler": LABELER, "cv": CV, "n_null": 1, "random_state": 0, **arguments},
            )
    with pytest.raises(SktrainError, match="estimator"):
        null_calibration(DummyClassifier, market, labeler=LABELER)


def test_a_copy_that_cannot_be_scored_is_named(market, tmp_path):
    def labels(bars):
        if not bars["close"].equals(market["close"]):
            raise ValueError("no such market")
        return LABELER.fit_resample(bars)

    with pytest.raises(SktrainError, match=r"Copy 0 .*no such market"):
        null_calibration(MODEL, market, labeler=labels, cv=CV, n_null=2, random_state=0)
    with pytest.raises(SktrainError, match="picklable labeler"):
        null_calibration(
            MODEL, market, labeler=labels, cv=CV, n_null=2, random_state=0,
            path=tmp_path / "null.json",
        )
    assert get_history(market) is not None  # the caller's bars keep theirs


@pytest.mark.slow
@pytest.mark.parametrize("method", ["block", "sign"])
def test_p_values_on_noise_are_uniform(method):
    """Randomised between neighbouring values, p-values of 120 markets without signal are
    uniform."""
    spread = np.random.default_rng(0)
    values = []
    for seed in range(120):
        noise = make_market(400, signal=0.0, random_state=seed).bars
        p = null_calibration(
            MODEL, noise, labeler=LABELER, cv=CV, n_null=19, method=method, random_state=seed
        ).p_value
        values.append(p - spread.uniform() / 20)
    assert stats.kstest(values, "uniform").pvalue > 0.01
