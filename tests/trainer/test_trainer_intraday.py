"""Intraday bars in the trainer: their interval is found and checked, labels stay inside sessions,
features tell the time of day."""

import numpy as np
import pandas as pd
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market
from sktrain.exceptions import SktrainError
from sktrain.trainer._plan import inside_sessions
from sktrain.trainer._spacing import check_interval, name_of, spacing_of
from sktrain.trainer._tasks import label_bars

FAST = {
    "models": ["mlp"],
    "lookback": 5,
    "hidden_size": 8,
    "use_walk_forward": False,
    "leakage_audit": False,
    "prune_after_training": False,
    "early_stopping_min_epochs": 1,
    "use_drift_detection": False,
}


def minutes(days=14):
    """A made market on the minutes of a day with a lunch break."""
    stamps = []
    for day in pd.bdate_range("2024-03-04", periods=days):
        stamps += [day + pd.Timedelta(minutes=m) for m in [*range(571, 611), *range(781, 821)]]
    bars = make_market(len(stamps), random_state=0).bars
    bars.attrs = {}
    return bars.set_axis(pd.DatetimeIndex(stamps, name="time"))


def test_a_run_on_minutes_stays_inside_sessions(tmp_path):
    trainer = EnhancedTrainer(EnhancedTrainingConfig(**FAST), tmp_path, minutes())
    result = trainer.train(epochs=1)
    assert (result["interval"], result["crosses_session"]) == ("1m", False)
    assert any(
        "day" in name or "minute" in name
        for name in set(trainer.model_[0].get_feature_names_out()) - set(_daily_features())
    )
    assert result["data"]["first"][-3:-2] == ":"  # times, not only dates
    text = (tmp_path / "report.html").read_text()
    assert "Labels, volatilities and windows stay inside trading sessions" in text
    window = trainer.model_[1]
    assert (window.crosses_session, window.session) == (False, "4h")
    opens = trainer.model_[:2].transform(minutes())[80]  # the second day's first bar
    assert np.isnan(opens[:4]).all()
    assert not np.isnan(opens[4]).all()
    assert result["data"]["first"] in text


def _daily_features():
    from sktrain import BarFeatures

    return BarFeatures().fit(make_market(200, random_state=0).bars).get_feature_names_out()


def test_the_plan_names_sessions_and_those_shorter_than_a_window(tmp_path, capsys):
    config = EnhancedTrainingConfig(**{**FAST, "lookback": 90})
    assert inside_sessions(minutes(), config).endswith("crosses_session=True")
    trainer = EnhancedTrainer(EnhancedTrainingConfig(**FAST, session="1h"), tmp_path, minutes())
    trainer.train(epochs=1, verbose=1)
    assert trainer.model_[1].session == "1h"
    said = " ".join(capsys.readouterr().err.split())
    assert "windows stay inside; a pause of 1h or more ends one; 40 bars on average" in said
    assert "fewer than lookback" not in said


def test_windows_cross_the_night_where_asked(tmp_path):
    trainer = EnhancedTrainer(
        EnhancedTrainingConfig(**FAST, crosses_session=True), tmp_path, minutes()
    )
    trainer.train(epochs=1)
    assert trainer.model_[1].crosses_session


def test_sessions_can_be_described_or_crossed():
    bars = minutes()
    assert label_bars(bars, EnhancedTrainingConfig(crosses_session=True), 3).labeler.crosses_session
    inside = label_bars(bars, EnhancedTrainingConfig(), 3)
    halves = label_bars(bars, EnhancedTrainingConfig(session="1h"), 3)
    assert (inside.labeler.crosses_session, inside.labeler.session, halves.labeler.session) == (
        False,
        "4h",
        "1h",
    )
    assert len(halves.y) < len(inside.y)
    days = make_market(300, random_state=0).bars
    assert label_bars(days, EnhancedTrainingConfig(), 3).labeler.crosses_session
    with pytest.raises(
        SktrainError, match="session='1h' describes intraday bars, but these are 1d apart"
    ):
        label_bars(days, EnhancedTrainingConfig(session="1h"), 3)


def test_bars_around_the_clock_have_no_sessions():
    bars = minutes(4)
    whole = bars.set_axis(pd.date_range("2024-01-01", periods=len(bars), freq="min"))
    assert label_bars(whole, EnhancedTrainingConfig(), 3).labeler.crosses_session
    slow = bars.set_axis(pd.date_range("2024-01-01", periods=len(bars), freq="6h"))
    assert label_bars(slow, EnhancedTrainingConfig(), 3).labeler.crosses_session


@pytest.mark.parametrize(
    ("freq", "asked", "fits"),
    [
        ("1D", "1d", True),
        ("B", "1d", True),
        ("1D", "1m", False),
        ("1min", "1d", False),
        ("1min", "1m", True),
        ("5min", "5m", True),
        ("5min", "1m", False),
        ("1h", "60m", True),
        ("W", "1wk", True),
        ("ME", "1mo", True),
        ("ME", "1wk", False),
        ("1D", None, True),
    ],
)
def test_an_interval_is_held_against_the_bars(freq, asked, fits):
    bars = pd.DataFrame({"close": 1.0}, pd.date_range("2024-01-01", periods=40, freq=freq))
    if fits:
        assert check_interval(bars, asked) == name_of(spacing_of(bars))
    else:
        with pytest.raises(
            SktrainError, match=f"interval='{asked}' was asked for, but the bars are"
        ):
            check_interval(bars, asked)


@pytest.mark.parametrize("interval", ["daily", "0d", "1x", "", 5])
def test_what_is_no_interval_is_refused(interval):
    bars = pd.DataFrame({"close": 1.0}, pd.date_range("2024-01-01", periods=9))
    with pytest.raises(SktrainError, match="interval="):
        check_interval(bars, interval)


def test_the_spacing_of_a_panel_is_that_of_its_symbols():
    index = pd.MultiIndex.from_product(
        [["A", "B"], pd.date_range("2024-01-01", periods=9, freq="5min")], names=["symbol", "time"]
    )
    assert name_of(spacing_of(pd.DataFrame({"close": np.ones(18)}, index))) == "5m"
