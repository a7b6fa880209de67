"""Every config field drives what it names: one row per field, held to what is built, to a run, to a
resumed and to a continued run."""

import copy
from dataclasses import fields, replace
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig, FocalLoss
from sktrain.datasets import make_market
from sktrain.exceptions import SktrainError
from sktrain.trainer import _incremental, _started
from sktrain.trainer._models import (
    FitPlan,
    build_model,
    build_net,
    checkpoints_activations,
    feature_steps,
)
from sktrain.trainer._progress import Reporter
from sktrain.trainer._run import Run
from sktrain.trainer._search import build_search
from sktrain.trainer._tasks import divide, label_bars, walk_forward_cv

PLAN = FitPlan(epochs=7, batch_size=128, learning_rate=1e-3, horizon=3, valid_fraction=0.2)
BARS = make_market(700, random_state=0).bars
NEWS = {"use_pretrained_embeddings": True, "news": "articles.csv"}


def net(name):
    """The parameter of a net."""
    return lambda config: build_net("gru", config, PLAN).get_params()[name]


def blocks(config):
    return [len(rows) for rows in divide(label_bars(BARS, config, 3), config)]


def labels(config):
    return label_bars(BARS, config, 3).y.value_counts().to_dict()


def labeler(name):
    return lambda config: getattr(label_bars(BARS, config, 3).labeler, name)


def splitter(name):
    return lambda config: getattr(walk_forward_cv(config), name)


def news_step(*path):
    def probe(config):
        step = feature_steps(config)[0][1]
        for name in path:
            step = getattr(step, name, None)
        return step

    return probe


def told(name):
    """What the reader of news is told."""
    return lambda config: config.news_options.get(name)


def search(name):
    return lambda config: getattr(build_search(config, PLAN), name)


def smote(config):
    return build_model(config, PLAN, ["gru"])[-1].get_params().get("smote__k_neighbors")


def result(*path):
    """What a run with every switch off, or on, says."""

    def probe(config, runs):
        found = runs[config]
        for name in path:
            found = found.get(name) if isinstance(found, dict) else found
        return bool(found) if path[-1] != "bits" else found

    probe.of_a_run = True
    return probe


OFF, ON = "off", "on"
ROWS = {  # field: (other fields, value, probe, expected at the default, expected at the value)
    "train_ratio": (
        {"val_ratio": 0.1, "test_ratio": 0.1},
        0.8,
        lambda c: blocks(c)[0] / sum(blocks(c)) > 0.75,
        False,
        True,
    ),
    "val_ratio": ({"train_ratio": 0.6}, 0.25, lambda c: blocks(c)[1] > 120, False, True),
    "test_ratio": ({"train_ratio": 0.6}, 0.25, lambda c: blocks(c)[2] > 120, False, True),
    "embargo_bars": ({}, 25, splitter("embargo_bars"), 10, 25),
    "dropout_rate": ({}, 0.1, net("module__dropout"), 0.3, 0.1),
    "dropout_schedule": ({}, "cosine", net("callbacks__dropout__schedule"), "linear", "cosine"),
    "weight_decay": ({}, 1e-3, net("callbacks__weight_decay__base"), 1e-4, 1e-3),
    "weight_decay_schedule": (
        {},
        "linear",
        net("callbacks__weight_decay__schedule"),
        "cosine",
        "linear",
    ),
    "gradient_clip_value": ({}, None, net("callbacks__clip__clip_value"), 1.0, None),
    "max_gradient_norm": ({}, 2.0, net("callbacks__clip__max_norm"), 5.0, 2.0),
    "use_focal_loss": ({}, False, net("criterion__gamma"), 2.0, 0.0),
    "focal_loss_gamma": ({}, 3.0, net("criterion__gamma"), 2.0, 3.0),
    "focal_loss_alpha": ({}, "balanced", net("criterion__alpha"), 0.25, "balanced"),
    "use_smote": ({}, True, smote, None, 5),
    "smote_k_neighbors": ({"use_smote": True}, 3, smote, 5, 3),
    "adaptive_labels": ({}, False, labeler("use_volatility_adjustment"), True, False),
    "base_label_threshold": ({"label_scaling": "sigma"}, 1.0, labeler("base_threshold"), 0.5, 1.0),
    "volatility_adjusted_labels": ({}, False, labeler("use_risk_adjustment"), True, False),
    "label_scaling": ({}, "affine", labeler("scaling"), "sigma", "affine"),
    "use_walk_forward": ({}, True, result("walk_forward_results"), OFF, ON),
    "wf_folds": ({}, 3, splitter("n_splits"), 5, 3),
    "wf_min_samples_per_fold": ({}, 40, splitter("min_samples_per_fold"), 100, 40),
    "ensure_regime_coverage": ({}, False, splitter("ensure_regime_coverage"), True, False),
    "use_drift_detection": ({}, True, result("drift"), OFF, ON),
    "use_gradient_checkpointing": (
        {},
        False,
        lambda c: checkpoints_activations(c, 4096)[0],
        True,
        False,
    ),
    "use_mixed_precision": ({}, False, net("mixed_precision"), "auto", False),
    "prune_after_training": ({}, True, result("compression", "sparsity"), OFF, ON),
    "quantize_model": ({}, True, result("compression", "bits"), OFF, ON),
    "use_hpo": ({}, True, result("nested"), OFF, ON),
    "hpo_n_trials": ({}, 4, search("n_trials"), 30, 4),
    "hpo_direction": ({}, "minimize", search("scoring"), "balanced_accuracy", "neg_log_loss"),
    "use_pretrained_embeddings": (
        {"news": "articles.csv"},
        True,
        lambda c: type(feature_steps(c)[0][1]).__name__,
        "BarFeatures",
        "NewsFeatures",
    ),
    "embedding_model": (
        NEWS,
        "finbert",
        news_step("encoder", "model_name"),
        "bert-base-chinese",
        "finbert",
    ),
    "embedding_dim": (NEWS, 8, news_step("encoder", "embed_dim"), 16, 8),
    "news_columns": (NEWS, {"title": "what"}, told("columns"), None, {"title": "what"}),
    "news_timezone": (NEWS, "Asia/Shanghai", told("timezone"), None, "Asia/Shanghai"),
    "news_dayfirst": (NEWS, True, told("dayfirst"), None, True),
    "news_encoding": (NEWS, "gb18030", told("encoding"), None, "gb18030"),
    "news_symbol": (NEWS, "000001", told("symbol"), None, "000001"),
    "news_bad_rows": (NEWS, "drop", told("bad_rows"), None, "drop"),
    "timezone": (NEWS, "Asia/Shanghai", news_step("aligner", "timezone"), None, "Asia/Shanghai"),
    "session_close": (NEWS, "15:00", news_step("aligner", "session_close"), None, "15:00"),
    "training_seed": ({}, 7, net("random_state"), 42, 7),
    "early_stopping_patience": ({}, 4, net("callbacks__early_stopping__patience"), 15, 4),
    "early_stopping_min_epochs": ({}, 3, net("callbacks__early_stopping__min_epochs"), 20, 3),
    "early_stopping_max_epochs": ({"early_stopping_min_epochs": 1}, 5, net("max_epochs"), 7, 5),
    "batch_size": ({}, 16, net("batch_size"), 128, 16),
    "models": (
        {},
        ("mlp", "tcn"),
        lambda c: [name for name, _ in build_model(c, PLAN)[-1].estimators],
        ["lstm", "gru", "tcn", "transformer"],
        ["mlp", "tcn"],
    ),
    "pooling": (
        {},
        "learned",
        lambda c: type(build_model(c, PLAN)[-1]).__name__,
        "VotingClassifier",
        "PooledClassifier",
    ),
    "lookback": ({}, 12, lambda c: feature_steps(c)[1][1].lookback, 30, 12),
    "hidden_size": ({}, 16, net("module__hidden_size"), 32, 16),
    "n_layers": ({}, 3, net("module__n_layers"), 1, 3),
    "leakage_audit": ({}, True, result("leakage_validation"), OFF, ON),
    "n_jobs": ({}, 2, search("n_jobs"), -1, 2),
    "device": ({}, "cpu", net("device"), "auto", "cpu"),
    "ablation": ({"use_walk_forward": True}, True, result("ablation"), OFF, ON),
}
ELSEWHERE = {  # held by tests of their own
    "drift_psi_threshold": "test_drift_thresholds_reach_the_detector",
    "drift_mean_shift_threshold": "test_drift_thresholds_reach_the_detector",
    "quantization_bits": "test_bits_and_sparsity_reach_the_model",
    "pruning_sparsity": "test_bits_and_sparsity_reach_the_model",
    "deterministic_training": "test_deterministic_training_is_scoped",
    "news": "test_trainer_train.test_news_joins_the_features",
    "skip_scaler_fit": "test_a_plain_run_keeps_the_scaling_when_asked",
    "session": "test_trainer_intraday",
    "crosses_session": "test_trainer_intraday",
}
TINY = {
    "models": ["mlp"],
    "lookback": 5,
    "hidden_size": 8,
    "wf_folds": 2,
    "wf_min_samples_per_fold": 50,
    "ensure_regime_coverage": False,
    "early_stopping_min_epochs": 1,
    "use_walk_forward": False,
    "use_drift_detection": False,
    "leakage_audit": False,
    "prune_after_training": False,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Results of a run with every switch off and of one with every switch on."""
    on = {
        **TINY,
        "use_walk_forward": True,
        "use_drift_detection": True,
        "leakage_audit": True,
        "prune_after_training": True,
        "quantize_model": True,
        "quantization_bits": 4,
        "pruning_sparsity": 0.3,
        "use_hpo": True,
        "hpo_n_trials": 2,
        "wf_min_samples_per_fold": 30,
        "ablation": True,
        "gradient_clip_value": None,
        "max_gradient_norm": None,
    }
    found = {}
    for name, chosen in ((OFF, TINY), (ON, on)):
        bars = make_market(1100, random_state=0).bars
        trainer = EnhancedTrainer(
            EnhancedTrainingConfig(**chosen), tmp_path_factory.mktemp(name), bars
        )
        found[name] = trainer.train(epochs=1)
    return found


@pytest.mark.parametrize(
    "field", [name for name, row in ROWS.items() if not hasattr(row[2], "of_a_run")]
)
def test_a_field_drives_what_it_names(field):
    others, value, probe, before, after = ROWS[field]
    kept = {} if field in ("train_ratio", "val_ratio", "test_ratio") else others
    assert probe(EnhancedTrainingConfig(**kept)) == before
    assert probe(EnhancedTrainingConfig(**others, **{field: value})) == after


@pytest.mark.parametrize(
    "field", [name for name, row in ROWS.items() if hasattr(row[2], "of_a_run")]
)
def test_a_switch_does_what_it_names(field, runs):
    probe = ROWS[field][2]
    assert not probe(OFF, runs)
    assert probe(ON, runs)


def test_bits_and_sparsity_reach_the_model(runs):
    assert runs[ON]["compression"]["bits"] == 4
    assert runs[ON]["compression"]["sparsity"] == pytest.approx(0.3, abs=0.02)


def test_a_search_says_what_was_trained(runs):
    """The figures of the result are those of the net, and every fold searched for itself."""
    told, found = runs[ON]["hyperparameters"], runs[ON]["search"]["best_params"]
    assert told["learning_rate"] == found["net__lr"]
    assert told["batch_size"] == found["net__batch_size"]
    assert told["dropout"] == found["net__module__dropout"]
    assert (
        told["weight_decay"]
        == found["net__callbacks__weight_decay__base"]
        < told["weight_decay_max"]
    )
    nested = runs[ON]["nested"]
    assert len(nested["scores"]) == len(nested["params"]) == 2
    np.testing.assert_allclose(
        nested["scores"], [row["score"] for row in runs[ON]["walk_forward_results"]]
    )
    assert "Nested" in runs[ON]["verdict"]


def test_drift_thresholds_reach_the_detector(tmp_path):
    from sktrain import load

    config = EnhancedTrainingConfig(
        **{
            **TINY,
            "use_drift_detection": True,
            "drift_psi_threshold": 0.7,
            "drift_mean_shift_threshold": 0.9,
        }
    )
    EnhancedTrainer(config, tmp_path, BARS).train(epochs=1)
    detector = load(tmp_path / "drift.sktrain")
    assert (detector.psi_threshold, detector.mean_shift_threshold) == (0.7, 0.9)


def test_deterministic_training_is_scoped():
    scope = EnhancedTrainer._determinism(
        EnhancedTrainingConfig(deterministic_training=True, training_seed=5)
    )
    assert (scope.enabled, scope.seed) == (True, 5)
    assert not hasattr(EnhancedTrainer._determinism(EnhancedTrainingConfig()), "enabled")


def _changed(field):
    """A config that differs from TINY in one field (and in what that field needs)."""
    config = EnhancedTrainingConfig(**TINY)
    if field in ROWS:
        others, value = ROWS[field][:2]
        if isinstance(value, bool):
            value = not getattr(config, field)
        return replace(config, **others, **{field: value})
    more = {**NEWS} if field == "news" else {}
    values = {
        "drift_psi_threshold": 0.5,
        "drift_mean_shift_threshold": 0.5,
        "quantization_bits": 4,
        "pruning_sparsity": 0.1,
        "deterministic_training": True,
        "news": "articles.csv",
        "skip_scaler_fit": True,
        "session": "3h",
        "crosses_session": True,
    }
    return replace(config, **{**more, field: values[field]})


def _run(config, folder):
    return Run(config, folder, PLAN, Reporter(), source=SimpleNamespace(bars=BARS))


@pytest.mark.parametrize("field", [field.name for field in fields(EnhancedTrainingConfig)])
def test_resume_refuses_a_run_with_another_field(field, tmp_path):
    _started.begin(_run(EnhancedTrainingConfig(**TINY), tmp_path), resume=False)
    _started.begin(_run(EnhancedTrainingConfig(**TINY), tmp_path), resume=True)
    with pytest.raises(SktrainError, match=f"{field} was"):
        _started.begin(_run(_changed(field), tmp_path), resume=True)


NET_FIELDS = [
    name for name, row in ROWS.items() if "net.<locals>" in getattr(row[2], "__qualname__", "")
]


@pytest.fixture(scope="module")
def small_net():
    rng = np.random.default_rng(0)
    config = EnhancedTrainingConfig(**{**TINY, "models": ["gru"]})
    return build_net("gru", config, replace(PLAN, epochs=1)).fit(
        rng.normal(size=(150, 5, 3)).astype(np.float32), np.arange(150) % 3
    )


@pytest.mark.parametrize("field", [name for name in NET_FIELDS if name not in _incremental._FIXED])
def test_a_continued_net_takes_the_field(field, small_net):
    net, wanted = copy.deepcopy(small_net), build_net("gru", _changed(field), PLAN)
    _incremental.adopt(net, wanted)
    shaping = {"module__hidden_size", "module__n_layers", "standardize", "update_epochs"}
    left, right = (
        {
            name: value
            for name, value in one.get_params().items()
            if name not in shaping
            and not name.startswith("callbacks__")
            or "__" in name.removeprefix("callbacks__")
        }
        for one in (net, wanted)
    )
    for name in set(left) - shaping:
        if not callable(left[name]):
            assert left[name] == right[name], name
    assert net.update_epochs == wanted.max_epochs
    assert net.__sklearn_is_fitted__()


@pytest.mark.parametrize("field", [*_incremental._FIXED, "label_scaling", "base_label_threshold"])
def test_what_shapes_the_model_cannot_be_continued(field):
    config = EnhancedTrainingConfig(**TINY)
    told = {
        "horizon": 3,
        "label_scaling": config.labels_scaling,
        "base_label_threshold": config.labels_threshold,
    }
    before = {"config": config.to_dict(), "hyperparameters": told}
    _incremental._refuse_others("run", before, config, 3)
    with pytest.raises(SktrainError, match=f"{field} was"):
        _incremental._refuse_others("run", before, _changed(field), 3)


def test_a_plain_run_keeps_the_scaling_when_asked(tmp_path):
    from sktrain import load

    def scaling():
        layer = load(tmp_path / "trained.sktrain")[-1].module_.standardize
        return np.concatenate([layer.mean.numpy(), layer.scale.numpy()])

    config = EnhancedTrainingConfig(**TINY)
    with pytest.raises(SktrainError, match="holds none"):
        EnhancedTrainer(replace(config, skip_scaler_fit=True), tmp_path, BARS).train(epochs=1)
    EnhancedTrainer(config, tmp_path, BARS.iloc[:500]).train(epochs=1)
    first = scaling()
    EnhancedTrainer(replace(config, skip_scaler_fit=True), tmp_path, BARS).train(epochs=1)
    np.testing.assert_array_equal(scaling(), first)
    EnhancedTrainer(config, tmp_path, BARS).train(epochs=1)
    assert (scaling() != first).any()


def test_cross_entropy_is_focal_loss_without_focus():
    criterion = build_net("gru", EnhancedTrainingConfig(use_focal_loss=False), PLAN).get_params()
    assert (
        criterion["criterion"],
        criterion["criterion__alpha"],
        criterion["criterion__gamma"],
    ) == (FocalLoss, None, 0.0)


# -- an incremental run ---------------------------------------------------------------------------

REFUSED, ADOPTED, READ = "refused by name", "taken over by the net", "told to the reader of news"
CONTINUED = {  # field: one of these, or what two continued runs say, without and with it
    **dict.fromkeys((*_incremental._FIXED, "label_scaling", "base_label_threshold"), REFUSED),
    **dict.fromkeys((name for name in NET_FIELDS if name not in _incremental._FIXED), ADOPTED),
    "use_gradient_checkpointing": ADOPTED,
    **dict.fromkeys(("news", *(name for name in ROWS if name.startswith("news_"))), READ),
    "train_ratio": (lambda run: run["shares"][0] < 0.6, False, True),
    "val_ratio": (lambda run: run["shares"][1] > 0.2, False, True),
    "test_ratio": (lambda run: run["shares"][2] > 0.2, False, True),
    "embargo_bars": (lambda run: run["kept_free"] > 2 * 25, False, True),
    "use_smote": (lambda run: "smote" in run["seen"], False, True),
    "smote_k_neighbors": (lambda run: run["seen"].get("smote"), None, 3),
    "use_drift_detection": (
        lambda run: "without drift" in run["incremental"]["reason"],
        False,
        True,
    ),
    "drift_psi_threshold": (lambda run: run["seen"].get("psi_threshold"), None, 50.0),
    "drift_mean_shift_threshold": (lambda run: run["seen"].get("mean_shift_threshold"), None, 60.0),
    "skip_scaler_fit": (lambda run: "scaling kept" in run["incremental"]["reason"], False, True),
    "prune_after_training": (lambda run: "sparsity" in run["compression"], False, True),
    "pruning_sparsity": (lambda run: round(run["compression"].get("sparsity", 0), 1), 0, 0.3),
    "quantize_model": (lambda run: "bits" in run["compression"], False, True),
    "quantization_bits": (lambda run: run["compression"].get("bits"), None, 4),
    "use_hpo": (lambda run: len(run["hyperparameters"]["searched"]) > 3, False, True),
    "hpo_n_trials": (lambda run: run["seen"].get("n_trials"), None, 2),
    "hpo_direction": (lambda run: run["seen"].get("scoring"), None, "neg_log_loss"),
    "leakage_audit": (lambda run: bool(run["leakage_validation"]), False, True),
    "deterministic_training": (lambda run: run["seen"].get("enabled"), None, True),
    "n_jobs": (lambda run: run["seen"]["n_jobs"], -1, 1),
    **dict.fromkeys(
        ("use_walk_forward", "wf_folds", "wf_min_samples_per_fold", "ensure_regime_coverage"),
        (lambda run: "no walk-forward folds" in " ".join(run["warnings"]), False, True),
    ),
    "ablation": (lambda run: "and no ablation" in " ".join(run["warnings"]), False, True),
}
CHANGES = {
    "train_ratio": 0.5, "val_ratio": 0.25, "test_ratio": 0.25, "embargo_bars": 25,
    "use_smote": True, "smote_k_neighbors": 3, "use_drift_detection": True,
    "drift_psi_threshold": 50.0, "drift_mean_shift_threshold": 60.0, "skip_scaler_fit": True,
    "prune_after_training": True, "pruning_sparsity": 0.3, "quantize_model": True,
    "quantization_bits": 4, "use_hpo": True, "hpo_n_trials": 2, "hpo_direction": "minimize",
    "leakage_audit": True, "deterministic_training": True, "n_jobs": 1, "use_walk_forward": True,
    "wf_folds": 3, "wf_min_samples_per_fold": 30, "ensure_regime_coverage": True, "ablation": True,
}  # fmt: skip
OF_NEWS = {
    "news": "articles.csv", "news_columns": {"title": "what"}, "news_timezone": "Asia/Shanghai",
    "news_dayfirst": True, "news_encoding": "gb18030", "news_symbol": "000001",
    "news_bad_rows": "drop",
}  # fmt: skip


@pytest.mark.parametrize("table", ["plain", "resumed", "continued"])
def test_no_field_lacks_a_row(table):
    """A new field has a row in each of the three, or this fails."""
    rows = {"plain": {**ROWS, **ELSEWHERE}, "continued": CONTINUED}
    if table == "resumed":  # each is refused: the field must be one that can be changed
        found = {field.name for field in fields(EnhancedTrainingConfig) if _changed(field.name)}
    else:
        found = set(rows[table])
    assert found == {field.name for field in fields(EnhancedTrainingConfig)}


def _continued(folder, bars, changes):
    """What an incremental run says and what its parts were given."""
    from sktrain import DriftDetector
    from sktrain.trainer import _search, _trainer

    seen = {}
    whole = replace(EnhancedTrainingConfig(**TINY, use_mixed_precision=False), **changes)
    with pytest.MonkeyPatch.context() as patch:
        for place, name, look in (
            (_incremental, "oversampler", lambda c: {"smote": c.smote_k_neighbors}),
            (_trainer, "workers", lambda c, *_: {"n_jobs": c.n_jobs}),
            (_trainer, "with_config_news", lambda bars, c: {"news": c.news, **c.news_options}),
            (_trainer, "DeterministicTrainingConfig", lambda **k: {"enabled": k["enabled"]}),
            (
                DriftDetector,
                "check",
                lambda d, *_: {
                    "psi_threshold": d.psi_threshold,
                    "mean_shift_threshold": d.mean_shift_threshold,
                },
            ),
            (_search, "build_search", None),
        ):
            real = getattr(place, name)

            def spy(*args, real=real, look=look, **named):
                if look is not None:
                    seen.update(look(*args, **named))
                    return real(*args, **named)
                made = real(*args, **named)
                seen.update({"n_trials": made.n_trials, "scoring": made.scoring})
                return made

            patch.setattr(place, name, spy)
        found = EnhancedTrainer(whole, folder, bars).train(epochs=1, incremental=True, verbose=0)
    evidence = json.loads((folder / "evidence.json").read_text())
    sizes = np.array([block["rows"] for block in evidence["blocks"]])
    fresh = int(found["incremental"]["reason"].split()[0])
    told = {"seen": seen, "shares": sizes / sizes.sum(), "kept_free": fresh - sizes.sum()}
    return {**found, **told}


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """Two incremental runs on one earlier run: with nothing changed, and with everything."""
    bars, found = make_market(1900, regimes=False, random_state=1).bars, {}
    first = tmp_path_factory.mktemp("first") / "run"
    config = EnhancedTrainingConfig(
        **{**TINY, "use_drift_detection": True}, use_mixed_precision=False
    )
    EnhancedTrainer(config, first, bars.iloc[:700]).train(epochs=1, verbose=0)
    for name, changes in ((OFF, OF_NEWS), (ON, CHANGES)):
        shutil.copytree(first, first.parent / name)
        found[name] = _continued(first.parent / name, bars, changes)
    return found


@pytest.mark.parametrize(
    "field", [name for name, row in CONTINUED.items() if isinstance(row, tuple)]
)
def test_a_continued_run_does_what_the_field_names(field, continued):
    probe, before, after = CONTINUED[field]
    assert (
        continued[OFF]["incremental"]["mode"] == continued[ON]["incremental"]["mode"] == "continued"
    )
    assert probe(continued[OFF]) == before
    assert probe(continued[ON]) == after


@pytest.mark.parametrize("field", OF_NEWS)
def test_a_continued_run_reads_news_as_it_is_told(field, continued):
    name = field.removeprefix("news_")
    assert continued[OFF]["seen"][name] == OF_NEWS[field]
    assert not continued[ON]["seen"].get(name)


def test_a_continued_net_recomputes_activations_when_asked(small_net, monkeypatch):
    from sktrain.trainer import _models

    monkeypatch.setattr(_models, "_WORTH_RECOMPUTING", 0)
    for asked in (True, False):
        config = EnhancedTrainingConfig(**TINY, use_gradient_checkpointing=asked)
        wanted = build_net("gru", config, PLAN)
        net = copy.deepcopy(small_net)
        _incremental.adopt(net, wanted)
        assert net.gradient_checkpointing is asked
