"""BarFeatures against a per-row loop, and the promises of scale, memory and flat markets."""

from helpers import bare
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

import sktrain
from sktrain import AdaptiveLabeler, BarFeatures, RegimeDetector, SlidingWindow
from sktrain._rolling import PIECE
from sktrain.datasets import load_sp500, load_us_stocks, make_market
from sktrain.features import _bar_columns


def one_row(bars, w, v=None):
    """The features of the last of ``bars``, straight from the definitions."""
    o, h, l, c, vol = (  # noqa: E741
        bars[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")
    )
    r = np.log(c[1:] / c[:-1])[-w:]
    tr = [max(h[i], c[i - 1]) - min(l[i], c[i - 1]) for i in range(len(c) - w, len(c))]
    out = {
        "return_1": np.log(c[-1] / c[-2]),
        "gap": np.log(o[-1] / c[-2]),
        "body_share": np.log(c[-1] / o[-1]) / np.log(h[-1] / l[-1]),
        "close_location": ((c[-1] - l[-1]) - (h[-1] - c[-1])) / (h[-1] - l[-1]),
        f"momentum_{w}": r.sum() / np.sqrt(w * (r**2).sum()),
        f"volatility_{w}": r.std(ddof=1),
        f"range_volatility_{w}": np.sqrt(np.mean(np.log(h[-w:] / l[-w:]) ** 2) / (4 * np.log(2))),
        f"atr_{w}": np.mean([t / c[i - 1] for t, i in zip(tr, range(len(c) - w, len(c)))]),
        f"rsi_{w}": r[r > 0].sum() / np.abs(r).sum(),
        f"band_{w}": (c[-1] - c[-w:].mean()) / (2 * c[-w:].std(ddof=1)),
        f"volume_zscore_{w}": (vol[-1] - vol[-w:].mean()) / vol[-w:].std(ddof=1),
    }
    if v is not None:
        out[f"ma_ratio_{v}_{w}"] = np.log(c[-v:].mean() / c[-w:].mean())
    return out


def test_against_a_loop():
    bars = load_sp500()
    features = BarFeatures((5, 20, 60)).fit_transform(bars)
    for t in (60, 61, 500, 2460, len(bars) - 1):
        for v, w in ((None, 5), (5, 20), (20, 60)):
            for name, value in one_row(bars.iloc[: t + 1], w, v).items():
                assert features[name].iloc[t] == pytest.approx(value, rel=1e-9, abs=1e-12), (
                    t,
                    name,
                )


def test_parkinson_by_hand():
    """O=100 H=105 L=98 C=103: Parkinson's variance of one bar is .00171681."""
    day = pd.DataFrame(
        {"open": 100.0, "high": 105.0, "low": 98.0, "close": 103.0, "volume": 1},
        pd.date_range("2024", periods=4),
    )
    out = BarFeatures((2,)).fit_transform(day)
    assert out["range_volatility_2"].iloc[-1] ** 2 == pytest.approx(0.00171681, abs=5e-9)


def test_calendar_by_hand():
    times = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-03 06:00", "2024-01-07 12:00"])
    day = pd.DataFrame({"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 0}, times)
    out = BarFeatures((2,), calendar="intraday").fit_transform(day)
    np.testing.assert_allclose(out["weekday"], [-1, -1 / 3, 1])  # Monday, Wednesday, Sunday
    np.testing.assert_allclose(out["day_sin"], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(out["day_cos"], [1, 0, -1], atol=1e-12)
    assert out["year_cos"].iloc[0] == 1


@pytest.mark.parametrize("factor", [1000, 1 / 3, 1e-6])
@pytest.mark.parametrize("load", [load_sp500, load_us_stocks])
def test_scale_of_prices_changes_no_feature(load, factor):
    bars = bare(load())
    scaled = bars.copy()
    scaled[["open", "high", "low", "close"]] *= factor
    one, other = BarFeatures().fit_transform(bars), BarFeatures().fit_transform(scaled)
    np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


def test_missing_only_in_warm_up():
    for bars in (load_sp500(), make_market(500, random_state=0).bars):
        fitted = BarFeatures().fit(bars)
        features = fitted.transform(bars)
        assert fitted.lookback_ == 61
        assert not features.iloc[fitted.lookback_ - 1 :].isna().any(axis=None)
        assert np.isfinite(features.iloc[60:]).all(axis=None)
        assert features.iloc[0].notna().sum() == 5  # two of the bar, three of the calendar
    panel = BarFeatures().fit_transform(load_us_stocks())
    assert (
        panel.groupby(level="symbol")["momentum_60"].apply(lambda s: s.isna().sum()) == 60
    ).all()


@pytest.mark.parametrize("growth", [1.0, 1.01, 1.0 - 1e-3])
def test_flat_and_steady_markets_give_neutral_numbers(growth):
    n = 200
    close = 37.7 * growth ** np.arange(n)
    bars = pd.DataFrame(
        {"open": close, "high": close, "low": close, "close": close, "volume": 0},
        pd.date_range("2020", periods=n),
    )
    out = BarFeatures().fit_transform(bars).iloc[60:]
    assert np.isfinite(out).all(axis=None)
    assert (out[["body_share", "close_location", "volume_zscore_20"]] == 0).all(axis=None)
    np.testing.assert_allclose(out["volatility_60"], 0, atol=1e-12)
    expected = np.sign(np.round(growth - 1, 9))
    np.testing.assert_allclose(out["momentum_20"], expected, atol=1e-9)
    np.testing.assert_allclose(out["rsi_20"], (expected + 1) / 2, atol=1e-9)


@pytest.mark.parametrize("windows", [(), (5, 5), (10, 5), (1,), (True, 5), (5.0,), (0, 3), ("5",)])
def test_bad_windows_are_named(windows):
    with pytest.raises(ValueError, match="windows"):
        BarFeatures(windows).fit(load_sp500())


@pytest.mark.parametrize(
    "parameters",
    [
        {"windows": 5},
        {"windows": None},
        {"calendar": "monthly"},
        {"calendar": None},
        {"dtype": "float16"},
        {"dtype": None},
    ],
)
def test_bad_parameters_are_named(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        BarFeatures(**parameters).fit(load_sp500())


def test_estimator_contract():
    bars = load_sp500()
    features = BarFeatures(windows=[3, 9], calendar=False)
    assert clone(features).get_params() == {
        "windows": [3, 9],
        "calendar": False,
        "dtype": "float64",
    }
    with pytest.raises(NotFittedError):
        features.transform(bars)
    out = features.fit_transform(bars)
    assert list(features.get_feature_names_out()) == list(out.columns)
    assert out.shape == (5031, 4 + 2 * 7 + 1)
    assert out.index.equals(bars.index)
    assert features.n_features_in_ == 5
    assert repr(BarFeatures()) == "BarFeatures()"


def test_other_columns_pass_by():
    bars = load_sp500().assign(news=1.0)
    np.testing.assert_array_equal(
        BarFeatures().fit_transform(bars), BarFeatures().fit_transform(load_sp500())
    )


@pytest.mark.parametrize(
    "transformer", [BarFeatures(calendar="intraday"), BarFeatures((2, 300)), RegimeDetector(20)]
)
def test_instruments_of_a_panel_do_not_see_each_other(transformer):
    """Instruments of one bar, of fewer bars than a window and of many: each as if it stood alone,
    to the last bit."""
    stocks = load_us_stocks()
    lengths = (1, 3, 19, 20, 21, 61, 700, 2, 60, 400)
    panel = bare(
        pd.concat([stocks.loc[[s]].iloc[:k] for s, k in zip(stocks.index.levels[0], lengths)])
    )
    together = transformer.fit_transform(panel)
    for symbol in stocks.index.levels[0][: len(lengths)]:
        alone = transformer.fit_transform(panel.loc[symbol])
        pd.testing.assert_frame_equal(
            together.loc[symbol], alone, check_exact=True, check_freq=False
        )


def test_neither_pieces_nor_threads_change_a_bit(monkeypatch):
    bars = bare(make_market(3 * PIECE + 100, random_state=2).bars)
    whole = BarFeatures().fit_transform(bars)
    monkeypatch.setattr(_bar_columns, "_openmp_effective_n_threads", lambda: 3)
    pd.testing.assert_frame_equal(BarFeatures().fit_transform(bars), whole, check_exact=True)
    monkeypatch.setattr(_bar_columns, "PIECE", 1000)
    pd.testing.assert_frame_equal(BarFeatures().fit_transform(bars), whole, check_exact=True)
    for start in (PIECE - 70, PIECE - 1, PIECE, 2 * PIECE - 61):
        part = BarFeatures().fit_transform(bars.iloc[start : start + 150])
        pd.testing.assert_frame_equal(
            part.iloc[60:], whole.iloc[start + 60 : start + 150], check_exact=True
        )


def test_a_column_is_one_piece_of_memory():
    """Nothing is copied on the way out, and what reads columns reads them in order."""
    features = BarFeatures().fit_transform(bare(load_sp500()))
    values = features.to_numpy()
    assert values.flags.f_contiguous
    assert np.shares_memory(values, features["atr_20"].to_numpy())
    assert features["atr_20"].to_numpy().strides == (8,)


@pytest.mark.parametrize("load", [load_sp500, load_us_stocks])
def test_float32_is_float64_rounded_once(load):
    bars = load()
    single = BarFeatures(dtype="float32").fit(bars)
    double = BarFeatures().fit_transform(bars)
    pd.testing.assert_frame_equal(
        single.transform(bars), double.astype(np.float32), check_exact=True
    )
    part = single.transform(bars.iloc[-300:-200])  # a slice knows its history in float32, too
    pd.testing.assert_frame_equal(part, double.iloc[-300:-200].astype(np.float32), check_exact=True)
    fresh = BarFeatures(dtype="float32").fit(bare(bars)).transform(bare(bars))
    assert set(fresh.dtypes) == {np.dtype(np.float32)}


def test_float32_behind_in_front_and_in_a_file(tmp_path):
    bars, y = AdaptiveLabeler(horizon=3).fit_resample(load_sp500())
    single = BarFeatures(dtype="float32")
    for container in ("pandas", "polars"):
        out = clone(single).set_output(transform=container).fit_transform(bars)
        assert out.shape == (len(bars), 38)
        assert {str(dtype) for dtype in out.dtypes} <= {"float32", "Float32"}
    windows = make_pipeline(single, SlidingWindow(5)).fit_transform(bars)
    assert windows.dtype == np.float32
    model = make_pipeline(clone(single), SlidingWindow(5, flatten=True), GaussianNB())
    model.fit(bars.iloc[100:1000], y.iloc[100:1000])
    sktrain.save(model, tmp_path / "model.zip")
    opened = sktrain.load(tmp_path / "model.zip")
    np.testing.assert_array_equal(
        opened.predict_proba(bars.iloc[1000:1100]), model.predict_proba(bars.iloc[1000:1100])
    )
    assert opened[0].dtype == "float32"
