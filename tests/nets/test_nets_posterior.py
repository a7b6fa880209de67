"""What a net's probabilities mean: the focal loss inverted, a calibration that cannot lose, and
rows that do not see each other."""

import copy
from dataclasses import replace

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
import torch

from sktrain import (
    FocalLoss,
    GRUClassifier,
    LSTMClassifier,
    MLPNetClassifier,
    TCNClassifier,
    TransformerClassifier,
)
from sktrain._posterior import Posterior, focal_log_posterior
from sktrain.exceptions import SktrainError
from sktrain.resample import ResampledClassifier

GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


def normalised(scores, gamma):
    return Posterior(gamma).probabilities(np.asarray(scores, dtype=float))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize(
    "eta", [[0.95, 0.05], [0.5, 0.5], [0.7, 0.2, 0.1], [0.02, 0.9, 0.05, 0.03]]
)
def test_the_minimiser_of_the_expected_focal_loss_is_mapped_back_to_the_posterior(gamma, eta):
    eta = np.array(eta)
    loss = FocalLoss(alpha=None, gamma=gamma, reduction="none")

    def risk(scores):
        rows = torch.from_numpy(np.tile(scores, (len(eta), 1)))
        return float(torch.from_numpy(eta) @ loss(rows, torch.arange(len(eta))))

    found = minimize(
        risk,
        np.log(eta),
        method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-16, "maxiter": 20_000, "maxfev": 20_000},
    ).x
    np.testing.assert_allclose(normalised(found[None], gamma)[0], eta, atol=2e-5)


def test_a_number_worked_by_hand():
    """gamma 2, v = (3/4, 1/4): h(v) = v / ((1 - v)² - 2 (1 - v) v log v)."""
    h = [0.75 / (0.0625 - 0.375 * np.log(0.75)), 0.25 / (0.5625 - 0.375 * np.log(0.25))]
    np.testing.assert_allclose(
        normalised(np.log([[0.75, 0.25]]), 2.0)[0], np.array(h) / sum(h), rtol=1e-14
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-300, 300), min_size=2, max_size=6), st.sampled_from(GAMMAS))
def test_order_stays_and_extremes_are_finite(scores, gamma):
    log_q = focal_log_posterior(np.array([scores]), gamma)[0]
    assert np.isfinite(log_q).all()
    order = np.argsort(scores, kind="stable")
    apart = np.diff(np.array(scores)[order])
    assert (np.diff(log_q[order])[apart > 1e-9] > 0).all()
    assert abs(normalised([scores], gamma).sum() - 1) < 1e-12


def test_without_gamma_nothing_happens():
    scores = np.random.default_rng(0).normal(size=(50, 3)) * 10
    np.testing.assert_allclose(
        normalised(scores, 0.0), torch.softmax(torch.from_numpy(scores), 1).numpy(), rtol=1e-13
    )


def rare(n=2500, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    return X, (X[:, 0] + rng.normal(size=n) > 2).astype(int)


@pytest.fixture(scope="module")
def rare_net():
    X, y = rare()
    return MLPNetClassifier(max_epochs=15, random_state=0).fit(X, y)


def test_a_default_net_is_as_good_as_cross_entropy_on_a_rare_class(rare_net):
    T, t = rare(4000, seed=1)
    cross = MLPNetClassifier(
        max_epochs=15, criterion=torch.nn.CrossEntropyLoss, random_state=0
    ).fit(*rare())
    ours, theirs = (net.predict_proba(T) for net in (rare_net, cross))
    prior = log_loss(t, np.full(len(t), t.mean()))
    focal = log_loss(t, torch.softmax(rare_net.forward(T), 1).numpy())
    assert log_loss(t, ours) < min(0.8 * prior, log_loss(t, theirs) + 0.01)
    assert focal > prior  # what was said before
    assert abs(ours[:, 1].mean() - t.mean()) < 0.015


def test_prior_correction_after_resampling_starts_from_a_posterior():
    (X, y), (T, t) = rare(1500), rare(4000, seed=1)
    model = ResampledClassifier(MLPNetClassifier(max_epochs=12, random_state=0)).fit(X, y)
    assert model.resampled_prior_[1] == 0.5
    found = model.predict_proba(T)[:, 1]
    assert abs(found.mean() - t.mean()) < 0.03
    assert log_loss(t, found) < 0.85 * log_loss(t, np.full(len(t), t.mean()))


def test_class_weights_and_class_sampling_stay_in():
    X, y = rare()
    plain = MLPNetClassifier(max_epochs=12, random_state=0).fit(X, y).predict_proba(X)[:, 1].mean()
    weighted = MLPNetClassifier(max_epochs=12, criterion__alpha="balanced", random_state=0).fit(
        X, y
    )
    sampled = MLPNetClassifier(max_epochs=12, class_sampling="weighted", random_state=0).fit(X, y)
    for net in (weighted, sampled):
        np.testing.assert_allclose(net.posterior_.prior, 0.5, atol=1e-6)
        assert net.predict_proba(X)[:, 1].mean() > plain + 0.1


def test_temperature_and_weight_are_learned_where_there_is_a_block():
    X, y = rare(600)
    net = MLPNetClassifier(max_epochs=8, random_state=0)
    assert net.fit(X, y).posterior_.n_rows == pytest.approx(len(net.validation_.valid))
    # labels overlap
    assert MLPNetClassifier(max_epochs=8, horizon=10, random_state=0).fit(
        X, y
    ).posterior_.n_rows == pytest.approx(9)
    for without in ({"train_split": None}, {"calibration": None}):
        posterior = MLPNetClassifier(max_epochs=2, random_state=0, **without).fit(X, y).posterior_
        assert posterior == Posterior(gamma=2.0)
    with pytest.raises(SktrainError, match="calibration must be one of"):
        MLPNetClassifier(calibration="platt").fit(X, y)


def test_calibration_repairs_scores_that_are_too_sure():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20_000, 1)) * [1.0, -1.0]
    y = (rng.random(20_000) > Posterior().probabilities(truth)[:, 0]).astype(int)
    found = Posterior().calibrated(truth * 3, y, np.array([0.5, 0.5]), 20_000)
    assert found.temperature == pytest.approx(3, rel=0.05)


def test_scores_without_signal_become_the_prior():
    losses, raw = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        prior = np.array([0.6, 0.3, 0.1])
        scores, T = (0.5 * rng.normal(size=(n, 3)) + np.log(prior) for n in (200, 2000))
        y, t = (rng.choice(3, n, p=prior) for n in (200, 2000))
        found = Posterior().calibrated(scores, y, prior, 1000).probabilities(T)
        losses.append(log_loss(t, found) - log_loss(t, np.tile(prior, (2000, 1))))
        raw.append(
            log_loss(t, Posterior().probabilities(T)) - log_loss(t, np.tile(prior, (2000, 1)))
        )
    assert np.mean(losses) < 0.003 < 0.05 < np.mean(raw)


def test_a_prior_that_is_nearly_equal_does_not_outvote_a_weak_signal():
    rng = np.random.default_rng(0)
    prior = np.array([0.52, 0.48])
    scores = 0.5 * rng.normal(size=(60, 2))
    found = Posterior().calibrated(scores, rng.choice(2, 60, p=prior), prior, 200)
    assert (found.probabilities(scores).argmax(axis=1) == scores.argmax(axis=1)).mean() > 0.8
    assert found.prior_weight < 0.5


@pytest.mark.parametrize("Net", [MLPNetClassifier, GRUClassifier, LSTMClassifier])
def test_a_row_that_float32_cannot_hold_gets_the_same_answer_in_any_company(Net):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3, 2)).astype(np.float32)
    net = Net(max_epochs=3, random_state=0).fit(X, (X[:, -1, 0] > 0).astype(int))
    far = X[:6].copy()
    for row, size in enumerate((1e6, 1e20, np.finfo(np.float32).max, -1e30, 40.0, 1.0)):
        far[row, 1, 1] = size
    many = np.concatenate([far, np.tile(X, (13, 1, 1))])
    assert len(many) > 5000
    alone, together = net.predict_proba(far), net.predict_proba(many)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together[:6], alone, atol=1e-6)
    np.testing.assert_allclose(together[6:406], net.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(net.predict_proba(X[3:4]), net.predict_proba(X)[3:4], atol=1e-6)


@pytest.mark.parametrize(
    "Net", [MLPNetClassifier, LSTMClassifier, GRUClassifier, TCNClassifier, TransformerClassifier]
)
def test_a_row_gets_the_same_answer_in_any_company_and_form(Net):
    """To 1e-6, and as a float64 network says it, for confident wide nets and calls of any size."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 12, 5)) * rng.uniform(0.1, 5, size=(400, 1, 1))
    y = np.digitize(X[:, -1, 0] + X[:, -2, 1], [-0.5, 0.5])
    net = Net(max_epochs=4, lr=0.01, module__hidden_size=96, horizon=0, random_state=0).fit(X, y)
    exact = copy.deepcopy(net)
    exact.module_.double()
    exact.full_batch_ = True
    expected = exact.predict_proba(X)
    many = np.concatenate([rng.normal(size=(4000, 12, 5)), X, rng.normal(size=(700, 12, 5))])
    missing = X.copy()
    missing[5, 3, 2] = np.nan  # read the long way
    asked = {
        "one by one": np.concatenate([net.predict_proba(X[i : i + 1]) for i in range(60)]),
        "in sevens": np.concatenate([net.predict_proba(X[i : i + 7]) for i in range(0, 70, 7)]),
        "all": net.predict_proba(X),
        "among others": net.predict_proba(many)[4000:4400],
        "flattened": net.predict_proba(X.reshape(400, -1)),
        "float32, other order": net.predict_proba(np.asfortranarray(X, dtype=np.float32)),
        "beside a missing value": np.insert(
            np.delete(net.predict_proba(missing), 5, axis=0), 5, expected[5], axis=0
        ),
    }
    for form, found in asked.items():
        np.testing.assert_allclose(found, expected[: len(found)], atol=1e-6, err_msg=form)


def test_few_rows_that_trained_in_float64_answer_in_it():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3, 2))
    for Net in (MLPNetClassifier, LSTMClassifier):
        net = Net(max_epochs=5, random_state=0).fit(X, (X[:, -1, 0] > 0).astype(int))
        alone = np.concatenate([net.predict_proba(row[None]) for row in X])
        np.testing.assert_allclose(alone, net.predict_proba(X), atol=1e-12)


def test_forward_iter_gives_tensors_that_can_be_trained_on(rare_net):
    X, _ = rare(100)
    weight = torch.ones(2, requires_grad=True)
    for scores in (*rare_net.forward_iter(X), *rare_net.forward_iter(X[:, None])):
        (scores * weight).sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_weights_changed_in_place_are_seen_by_the_next_call(rare_net):
    import copy

    net, (X, _) = copy.deepcopy(rare_net), rare(50)
    before = net.predict_proba(X)
    net.module_.head.weight.data.zero_()
    net.module_.head.bias.data.zero_()
    net.posterior_ = replace(net.posterior_, prior=None)
    np.testing.assert_allclose(net.predict_proba(X), 0.5)
    assert abs(before - 0.5).max() > 0.1


def test_inside_a_pipeline_the_same_probabilities(rare_net):
    X, y = rare()
    scaler = StandardScaler().fit(X)
    model = make_pipeline(StandardScaler(), MLPNetClassifier(max_epochs=15, random_state=0)).fit(
        X, y
    )
    np.testing.assert_array_equal(
        model.predict_proba(X), model[-1].predict_proba(scaler.transform(X))
    )
