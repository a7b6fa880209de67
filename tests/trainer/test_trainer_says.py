"""What a run says before and after: news on another clock, one-sided labels, a constant model, what
it would have earned."""

import numpy as np
import pandas as pd
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import load_sp500, make_market
from sktrain.exceptions import SktrainError
from sktrain.trainer import words
from sktrain.trainer._models import with_config_news
from sktrain.trainer._search import build_search, given_parameters, search_plan
from sktrain.trainer._tasks import label_bars
from sktrain.trainer._verdicts import constant_model, one_sided_labels, profit


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    path = tmp_path_factory.mktemp("news") / "news.csv"
    stamps = pd.date_range("2000-02-01 14:00", periods=20, freq="7D", tz="UTC")
    path.write_text(
        "title,available_at\n"
        + "".join(f"headline {k},{stamp.isoformat()}\n" for k, stamp in enumerate(stamps))
    )
    return path


def test_naive_bars_and_news_with_a_zone_are_refused(news):
    bars = make_market(300, random_state=0).bars
    fields = {"use_pretrained_embeddings": True, "news": news}
    with pytest.raises(SktrainError, match=r"naive.*timezone="):
        with_config_news(bars, EnhancedTrainingConfig(**fields))
    said = EnhancedTrainingConfig(**fields, timezone="America/New_York", session_close="16:00")
    assert len(with_config_news(bars, said).attrs["news"].articles) == 20


def test_a_refused_clock_leaves_no_folder(news, tmp_path):
    config = EnhancedTrainingConfig(use_pretrained_embeddings=True, news=news)
    with pytest.raises(SktrainError, match="timezone"):
        EnhancedTrainer(config, tmp_path / "out", make_market(300, random_state=0).bars).train(
            epochs=1
        )
    assert not (tmp_path / "out").exists()


def test_labels_of_the_original_are_named_before_the_training():
    config = EnhancedTrainingConfig(label_scaling="affine")
    task = label_bars(load_sp500(), config, 3)
    share = (task.y == 1).mean()
    said = one_sided_labels(task, config)
    assert share > 0.85
    assert f"{share:.0%} of the labels are 'hold'" in said
    assert "label_scaling='sigma'" in said
    ours = EnhancedTrainingConfig()
    assert one_sided_labels(label_bars(load_sp500(), ours, 3), ours) is None


def test_a_constant_model_is_named():
    same = np.tile([0.2, 0.5, 0.3], (200, 1))
    assert constant_model(same, np.array([0, 1, 2])) == "hold"
    same[:3] = [0.8, 0.1, 0.1]
    assert constant_model(same, np.array([0, 1, 2])) is None


def test_profit_is_a_loop_over_closes():
    bars = make_market(160, random_state=0).bars
    sides = np.resize([1, 1, -1, 0], 160)
    probabilities = np.eye(3)[sides + 1]
    close, wealth, held = bars["close"].to_numpy(), [], 0.0
    value = 1.0
    for t in range(159):
        value *= 1 + sides[t] * (close[t + 1] / close[t] - 1) - 0.001 * abs(sides[t] - held)
        held = sides[t]
        wealth.append(value)
    found = profit(probabilities, np.array([0, 1, 2]), bars)
    np.testing.assert_allclose(found["model"]["equity"], wealth)
    assert 0 <= found["deflated_sharpe"] <= 1
    assert (
        profit(probabilities, np.array([0, 1, 2]), bars, n_trials=30)["deflated_sharpe"]
        < found["deflated_sharpe"]
    )


def test_a_model_that_never_trades_has_no_sharpe_ratio():
    flat = profit(
        np.tile([0.0, 1.0, 0.0], (30, 1)), np.array([0, 1, 2]), make_market(30, random_state=0).bars
    )
    assert flat["deflated_sharpe"] is None
    assert "traded nothing" in words.profit_sentence(flat)


@pytest.mark.parametrize(
    "n_rows, sides, reason",
    [
        (57, [-1], "one position throughout"),
        (300, [1], "one position throughout"),
        (57, [1, -1, 0], "56 returns are too few"),
    ],
)
def test_a_deflated_sharpe_ratio_that_cannot_be_told_is_not_told(n_rows, sides, reason):
    probabilities = np.eye(3)[np.resize(sides, n_rows) + 1]
    found = profit(probabilities, np.array([0, 1, 2]), make_market(n_rows, random_state=0).bars)
    assert found["deflated_sharpe"] is None
    assert reason in words.profit_sentence(found)
    assert "deflated" not in words.profit_sentence(found)


def test_what_was_given_is_kept_out_of_the_search():
    config = EnhancedTrainingConfig(dropout_rate=0.2, models=["gru"])
    given = given_parameters(config, batch_size=16)
    space = build_search(
        config, search_plan(config, batch_size=16), given=given
    ).param_distributions
    assert set(space) == {"net__lr", "net__callbacks__weight_decay__base"}
    searched = build_search(
        config, search_plan(config, batch_size=16), given=given
    ).estimator.get_params()
    assert (searched["net__batch_size"], searched["net__module__dropout"]) == (16, 0.2)
    assert (
        searched["net__callbacks__weight_decay__max"]
        >= space["net__callbacks__weight_decay__base"].high
    )
    config = EnhancedTrainingConfig(dropout_rate=0.2, weight_decay=1e-3)
    with pytest.raises(SktrainError, match="all of them were given"):
        build_search(
            config,
            search_plan(config),
            given=given_parameters(config, batch_size=16, learning_rate=0.1),
        )


def test_the_audit_follows_the_seed_of_the_run(monkeypatch):
    from contextlib import nullcontext
    from types import SimpleNamespace

    from sktrain import leakage
    from sktrain.trainer import _stages
    from sktrain.trainer._models import FitPlan

    seen = []

    class Recorder(leakage.LeakageValidator):
        def audit(self, *arguments):
            seen.append(self.random_state)
            return SimpleNamespace(passed=True, to_dict=dict)

    monkeypatch.setattr(leakage, "LeakageValidator", Recorder)
    for seed in (3, 11):
        run = SimpleNamespace(
            config=EnhancedTrainingConfig(training_seed=seed),
            plan=FitPlan(1, 32, 0.001, 3, 0.2),
            rows=lambda *blocks: (None, None),
            reporter=SimpleNamespace(stage=lambda name: nullcontext()),
            stopped=lambda: False,
        )
        _stages.audit(run)
    assert seen == [3, 11]


def test_scores_of_folds_have_no_columns_without_folds():
    test = {"model": {"accuracy": 0.5, "balanced_accuracy": 0.4, "log_loss": 1.0}}
    head = ["", "folds", "interval", "accuracy", "balanced", "loss"]
    kept, rows = words.score_table({"metrics_summary": {"test": test, "walk_forward": {}}}, head)
    assert kept == ["", "accuracy", "balanced", "loss"]
    assert rows == [["model", "50.0%", "40.0%", "1.000"]]
    folds = {
        "model": {
            "balanced_accuracy": 0.4,
            "balanced_accuracy_low": 0.3,
            "balanced_accuracy_high": 0.5,
        }
    }
    kept, rows = words.score_table(
        {"metrics_summary": {"test": test, "walk_forward": folds}}, head
    )
    assert kept == head
    assert rows[0][2] == "30.0%–50.0%"


def test_news_that_need_options_are_refused_with_the_field_that_settles_it(tmp_path):
    path = tmp_path / "news.csv"
    path.write_text("what,date\nOne,01/02/2024 10:00\nTwo,02/03/2024 11:00\n")
    bars = load_sp500().iloc[-50:]
    fields = {"use_pretrained_embeddings": True, "news": path}
    with pytest.raises(SktrainError, match=r"news_columns=\{'title': 'NAME'\}"):
        with_config_news(bars, EnhancedTrainingConfig(**fields))
    fields["news_columns"] = {"title": "what"}
    with pytest.raises(SktrainError, match="Say news_dayfirst=True or news_dayfirst=False"):
        with_config_news(bars, EnhancedTrainingConfig(**fields))
    config = EnhancedTrainingConfig(**fields, news_dayfirst=True)
    again = EnhancedTrainingConfig.from_toml(config.to_toml())
    found = with_config_news(bars, again).attrs["news"].articles
    assert [str(one.available_at) for one in found] == [
        "2024-02-01 10:00:00",
        "2024-03-02 11:00:00",
    ]
    assert [one.title for one in found] == ["One", "Two"]
    with pytest.raises(
        SktrainError, match="news_dayfirst says how a file of news is read: set news"
    ):
        EnhancedTrainingConfig(news_dayfirst=True)
