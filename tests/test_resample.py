"""Resampling against imbalanced-learn, a loop, and the rule that children follow their parents."""

from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as SamplingPipeline
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sktrain import (
    EnhancedWalkForwardCV,
    LeakageValidator,
    MLPNetClassifier,
    SlidingWindow,
    WindowSMOTE,
    apply_smote,
    with_history,
)
from sktrain._validation import resampled_rows
from sktrain.exceptions import NotEnoughDataError, ResamplingWarning, SktrainError
from sktrain.resample import ResampledClassifier, correct_prior


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(120, 4)), np.repeat([0, 1], [100, 20])


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        rng.normal(size=(200, 3)), pd.date_range("2020", periods=200), columns=list("abc")
    )
    y = pd.Series(np.where(rng.random(200) < 0.2, "rare", "common"), frame.index)
    y.attrs["label_horizon"] = 3
    return SlidingWindow(lookback=5).fit_transform(frame), y


def test_equal_to_imbalanced_learn_on_plain_rows(rows):
    ours = apply_smote(*rows, random_state=0)
    theirs = SMOTE(random_state=0).fit_resample(*rows)
    np.testing.assert_allclose(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_synthetic_windows_lie_between_their_parents_and_follow_them(windows):
    X, y = windows
    smote = WindowSMOTE(random_state=0)
    X_all, y_all = smote.fit_resample(X, y)
    assert type(X_all) is type(X)
    assert (y_all == "rare").sum() == (y_all == "common").sum()
    assert y_all.attrs["label_horizon"] == 3
    assert X_all.index.is_monotonic_increasing
    assert X_all.index.equals(y_all.index)
    real, made = np.flatnonzero(~smote.synthetic_), np.flatnonzero(smote.synthetic_)
    np.testing.assert_array_equal(X_all[real].gather(), X.gather())
    values = X.gather()
    own = {}
    for child in made:
        window = X_all[[child]].gather()[0]
        for a, b in smote.parents_:
            low, high = np.minimum(values[a], values[b]), np.maximum(values[a], values[b])
            if (
                (window >= low - 1e-12) & (window <= high + 1e-12) | np.isnan(window)
            ).all() and X_all.index[child] == max(X.index[a], X.index[b]):
                own[child] = (a, b)
                break
        assert child in own
        assert {y.iloc[a] for a in own[child]} == {"rare"} == {y_all.iloc[child]}


def test_missing_steps_stay_missing(rows):
    X, y = rows
    X = X.copy()
    X[:, 0] = np.where(np.arange(len(X)) % 7 == 0, np.nan, X[:, 0])
    smote = WindowSMOTE(random_state=0)
    X_all, _ = smote.fit_resample(X, y)
    made = X_all[smote.synthetic_]
    assert np.isfinite(made[:, 1:]).all()
    assert 0 < np.isnan(made[:, 0]).mean() < 1


def test_the_caller_rows_are_untouched(rows):
    X, y = rows[0].copy(), rows[1].copy()
    apply_smote(X, y, random_state=0)
    np.testing.assert_array_equal(X, rows[0])
    np.testing.assert_array_equal(y, rows[1])


def test_frames_and_three_dimensions(rows):
    X, y = rows
    frame, labels = apply_smote(
        pd.DataFrame(X, columns=list("abcd")), pd.Series(y, name="target"), random_state=0
    )
    assert list(frame.columns) == list("abcd")
    assert labels.name == "target"
    assert len(frame) == 200
    cube, _ = apply_smote(X.reshape(120, 2, 2), y, random_state=0)
    np.testing.assert_allclose(cube.reshape(200, 4), frame)


def test_small_classes(rows):
    X, y = rows
    y = y.copy()
    y[100:117] = 0
    with pytest.warns(
        ResamplingWarning, match="class .*1.* has 3 rows, so k_neighbors=5 was lowered to 2"
    ):
        X_all, _ = apply_smote(X, y, random_state=0)
    assert len(X_all) == 234
    y[117:119] = 0
    with pytest.raises(NotEnoughDataError, match="has only 1 row"):
        apply_smote(X, y)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"y": None}, "y is None"),
        ({"y": np.zeros(120, int)}, "one class"),
        ({"y": np.r_[np.nan, np.zeros(119)]}, "NaN in row 0"),
        ({"k_neighbors": 0}, "k_neighbors must be an integer >= 1, got 0"),
        ({"k_neighbors": 2.0}, "k_neighbors"),
        ({"sampling_strategy": "nonsense"}, "sampling_strategy"),
    ],
)
def test_nonsense_is_refused(rows, change, words):
    given = {"X": rows[0], "y": rows[1], **change}
    with pytest.raises(ValueError, match=words):
        apply_smote(**given)


def test_samplers_stand_before_nets(rows, windows):
    X, y = rows
    net = MLPNetClassifier(max_epochs=2, random_state=0)
    for sampler in (SMOTE(random_state=0), WindowSMOTE(random_state=0)):
        model = SamplingPipeline([("smote", sampler), ("net", net)]).fit(X, y)
        assert clone(model).fit(X, y).predict_proba(X) == pytest.approx(
            model.predict_proba(X), abs=0
        )
    W, labels = windows
    model = SamplingPipeline([("smote", WindowSMOTE(random_state=0)), ("net", net)]).fit(W, labels)
    block = model[-1].validation_
    # the last 15 % of 200 times
    cut = labels.index.get_level_values(-1)[-1] - pd.Timedelta(days=29)
    assert block.valid is not None
    smote = WindowSMOTE(random_state=0)
    index = smote.fit_resample(W, labels)[0].index
    assert (index[block.valid] >= cut).all()
    # purged by the horizon, counted in bars, not rows
    assert (index[block.train] < cut - pd.Timedelta(days=3)).all()


def test_prior_correction():
    assert correct_prior([[0.5, 0.5]], [0.9, 0.1], [0.5, 0.5]).tolist() == [
        pytest.approx([0.9, 0.1])
    ]
    with pytest.raises(SktrainError, match="resampled_prior"):
        correct_prior([[0.5, 0.5]], [0.9, 0.1], [0.5, 0.6])


def test_resampled_classifier_gives_calibrated_probabilities():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.1).astype(int)
    X = rng.normal(size=(4000, 2)) + y[:, None]
    plain = LogisticRegression().fit(X, y).predict_proba(X)[:, 1]
    model = ResampledClassifier(LogisticRegression(), WindowSMOTE(random_state=0)).fit(X, y)
    assert model.prior_ == pytest.approx([1 - y.mean(), y.mean()])
    assert model.resampled_prior_ == pytest.approx([0.5, 0.5])
    assert abs(model.predict_proba(X)[:, 1] - plain).mean() < 0.02
    raw = clone(model).set_params(correct_prior=False).fit(X, y).predict_proba(X)[:, 1]
    assert raw.mean() > 0.25 > 0.12 > model.predict_proba(X)[:, 1].mean()


class Noting(LogisticRegression):
    """Keeps what its fit was told."""

    def fit(self, X, y, sample_weight=None, label_end_times=None, times=None):
        self.told_ = {
            "X": X,
            "y": y,
            "sample_weight": sample_weight,
            "label_end_times": label_end_times,
            "times": times,
        }
        return super().fit(np.asarray(X).reshape(len(X), -1), y, sample_weight)


@pytest.mark.parametrize("kind", ["frame", "windows", "array", "list"])
def test_rows_and_labels_leave_in_step(windows, kind):
    lazy, y = windows
    X = {
        "frame": pd.DataFrame(lazy.gather()[:, -1], lazy.index, list("abc")),
        "windows": lazy,
        "array": lazy.gather(),
        "list": lazy.gather()[:, -1].tolist(),
    }[kind]
    smote = WindowSMOTE(random_state=0)
    X_all, y_all = smote.fit_resample(X, y)
    assert type(X_all) is type(X)
    assert len(X_all) == len(y_all) == len(smote.origin_)
    assert y_all.index.equals(y.index[smote.origin_])
    if kind in ("frame", "windows"):
        assert X_all.index.equals(y_all.index)
    assert smote.n_features_in_ == 3
    np.testing.assert_array_equal(np.asarray(X_all)[~smote.synthetic_], np.asarray(X))
    made = np.asarray(X, dtype=float)[smote.parents_]
    share = smote.shares_.reshape(-1, *[1] * (made.ndim - 2))
    np.testing.assert_allclose(
        np.asarray(X_all, dtype=float)[smote.synthetic_],
        made[:, 0] + share * (made[:, 1] - made[:, 0]),
    )


def test_labels_leave_as_they_came(rows):
    X, y = rows
    expected = WindowSMOTE(random_state=0).fit_resample(X, y)[1]
    for kind in (
        y.tolist(),
        y[:, None],
        pd.DataFrame({"class": y}),
        pd.Series(y, name="class", dtype="category"),
    ):
        made = WindowSMOTE(random_state=0).fit_resample(X, kind)[1]
        if isinstance(kind, np.ndarray):  # one that carries a mark, and is an array in all else
            assert isinstance(made, np.ndarray)
            assert isinstance(made[:2], np.ndarray)  # carries the mark of its two rows
            assert [type(part) for part in (made == 1, made + 1)] == [np.ndarray] * 2
        else:
            assert type(made) is type(kind)
        np.testing.assert_array_equal(np.asarray(made).ravel(), expected)
    assert made.dtype == "category"


def test_a_synthetic_row_stands_for_the_parent_that_is_known_later(windows):
    from sktrain import with_label_times

    lazy, y = windows
    rng = np.random.default_rng(1)
    ahead = rng.integers(0, 30, len(y))
    ends = y.index[np.minimum(np.arange(len(y)) + ahead, len(y) - 1)]
    smote = WindowSMOTE(random_state=0)
    X_all, y_all = smote.fit_resample(lazy, with_label_times(y, end_times=ends))
    by_call = clone(smote)
    by_call.fit_resample(lazy, y, label_end_times=ends)
    np.testing.assert_array_equal(smote.origin_, by_call.origin_)
    for origin, (a, b) in zip(smote.origin_[smote.synthetic_], smote.parents_):
        first, second = (ends[a], y.index[a]), (ends[b], y.index[b])
        assert origin in (a, b)
        assert (ends[origin], y.index[origin]) == max(first, second)
    assert X_all.index.is_monotonic_increasing
    assert y_all.attrs["label_times"] is not None


@pytest.mark.parametrize("kind", ["frame", "windows", "array"])
def test_a_net_behind_it_validates_on_real_rows_alone(windows, kind):
    lazy, y = windows
    X = {
        "frame": pd.DataFrame(lazy.gather()[:, -1], lazy.index, list("abc")),
        "windows": lazy,
        "array": lazy.gather(),
    }[kind]
    smote = WindowSMOTE(random_state=0)
    net = MLPNetClassifier(max_epochs=1, random_state=0)
    fitted = SamplingPipeline([("smote", smote), ("net", net)]).fit(X, y)
    block, synthetic = fitted[-1].validation_, fitted[0].synthetic_
    assert len(block.valid) >= 20
    assert not synthetic[block.valid].any()
    origin = fitted[0].origin_
    bars = origin[block.valid].min() - origin[block.train].max()
    assert bars > 3  # the horizon of y


@pytest.mark.parametrize(
    "sampler",
    [SMOTE(random_state=0), ADASYN(random_state=0), RandomOverSampler(random_state=0)],
    ids=lambda s: type(s).__name__,
)
def test_behind_imblearns_samplers_a_net_validates_on_nothing_and_says_so(windows, sampler):
    lazy, y = windows
    X = pd.DataFrame(lazy.gather()[:, -1], lazy.index, list("abc")).fillna(0.0)
    net = MLPNetClassifier(max_epochs=1, random_state=0)
    with pytest.warns(ResamplingWarning, match="WindowSMOTE"):
        fitted = SamplingPipeline([("sampler", sampler), ("net", net)]).fit(X, y)
    assert fitted[-1].validation_.valid is None


def test_rows_that_a_sampler_copies_keep_their_times_inside_resampled_classifier(windows):
    lazy, y = windows
    X = pd.DataFrame(lazy.gather()[:, -1], lazy.index, list("abc")).fillna(0.0)
    model = ResampledClassifier(
        MLPNetClassifier(max_epochs=1, random_state=0), RandomOverSampler(random_state=0)
    ).fit(X, y)
    block = model.estimator_.validation_
    assert block.n_purged > 0
    noted = (
        ResampledClassifier(Noting(), RandomOverSampler(random_state=0))
        .fit(X, y, sample_weight=np.arange(200.0), times=X.index)
        .estimator_.told_
    )
    assert noted["X"].index.is_monotonic_increasing
    np.testing.assert_array_equal(X.loc[noted["X"].index], noted["X"])
    np.testing.assert_array_equal(
        noted["sample_weight"], pd.Series(np.arange(200.0), X.index)[noted["X"].index]
    )
    assert noted["times"].equals(noted["X"].index)
    assert noted["y"].attrs["label_horizon"] == 3


def test_metadata_follows_the_rows(windows):
    lazy, y = windows
    weight, ends = np.random.default_rng(2).random(200), y.index.shift(5)
    model = ResampledClassifier(Noting(), WindowSMOTE(random_state=0))
    X = np.nan_to_num(lazy.gather())
    model.fit(X, y, sample_weight=weight, label_end_times=ends, times=y.index)
    told, smote = model.estimator_.told_, model.sampler_
    assert told["label_end_times"].equals(ends[smote.origin_])
    assert told["times"].equals(y.index[smote.origin_])
    a, b = weight[smote.parents_].T
    np.testing.assert_allclose(told["sample_weight"][smote.synthetic_], a + smote.shares_ * (b - a))
    np.testing.assert_array_equal(told["sample_weight"][~smote.synthetic_], weight)
    with pytest.raises(
        SktrainError, match="SMOTE does not say which rows .*sample_weight cannot follow"
    ):
        ResampledClassifier(Noting(), SMOTE()).fit(X[:, -1], y, sample_weight=weight)
    with pytest.raises(SktrainError, match="KNeighborsClassifier takes no sample_weight"):
        ResampledClassifier(KNeighborsClassifier()).fit(X[:, -1], y, sample_weight=weight)


def test_what_is_left_open_is_seeded(rows):
    def drawn(seed):
        return (
            ResampledClassifier(LogisticRegression(), random_state=seed).fit(*rows).estimator_.coef_
        )

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert (drawn(1) != drawn(2)).any()
    fixed = ResampledClassifier(
        LogisticRegression(), WindowSMOTE(random_state=5), random_state=1
    ).fit(*rows)
    assert fixed.sampler_.random_state == 5


def marked_rows(kind):
    """Resampled rows of each kind of index, a mark on each, and the places of all of them."""
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(30, int), np.ones(10, int)][rng.permutation(40)]
    X = rng.normal(size=(40, 3))
    days = pd.date_range("2024-01-01", periods=40)
    index = {
        "days": days,
        "periods": days.to_period("D"),
        "panel": pd.MultiIndex.from_product([["A", "B"], days[:20]], names=["symbol", "time"]),
    }.get(kind)
    if kind == "windows":
        X = SlidingWindow(3).fit_transform(X)
    elif kind == "windows of days":
        X = SlidingWindow(3).fit_transform(with_history(pd.DataFrame(X, days)))
        y = pd.Series(y, days)
    elif index is not None:
        X, y = pd.DataFrame(X, index), pd.Series(y, index)
    return WindowSMOTE(random_state=0).fit_resample(X, y)


def told(rows):
    found = resampled_rows(rows)
    return [found.synthetic.tolist(), found.parents.tolist(), found.origin.tolist()]


def expected(rows, places):
    """By hand: which of the rows at ``places`` were made, from which of them, standing for what."""
    whole = resampled_rows(rows)
    at = {place: row for row, place in enumerate(places)}
    parents = [[at.get(parent, -1) for parent in whole.parents[place]] for place in places]
    return [whole.synthetic[places].tolist(), parents, whole.origin[places].tolist()]


@pytest.mark.parametrize("kind", ["days", "periods", "panel", "windows", "windows of days", "none"])
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.ColdStartWarning")
def test_slices_of_resampled_rows_know_which_of_them_were_made(kind):
    """A slice that begins behind a real row and holds one made from it took that one for real."""
    rows, labels = marked_rows(kind)
    n = len(labels)
    assert n > 50
    slices = [slice(a, b) for a in range(0, n - 15, 3) for b in range(a + 15, n + 1, 5)]
    for cut in [*slices, slice(None, None, 2), slice(1, None, 3), slice(None, None, -1)]:
        places = np.arange(n)[cut]
        for part in (rows, labels):
            if isinstance(part, np.ndarray) and part.ndim == 2:
                continue  # a table of numbers carries no mark; its labels do
            taken = getattr(part, "iloc", part)[cut]
            assert told(taken) == expected(part, places), (cut, type(part))


def test_masks_and_folds_of_resampled_rows_know_which_of_them_were_made():
    rows, labels = marked_rows("days")
    late, early = rows.index > "2024-02-01", rows.index < "2024-01-10"
    for mask in (late, late | early):
        assert told(rows[mask]) == expected(rows, np.flatnonzero(mask))
    whole = resampled_rows(rows)
    rng = np.random.default_rng(1)
    for _ in range(20):  # some rows of a time are not here: made ones are known, their parents not
        train = whole.without_orphans(rng.random(len(rows)) < 0.8)
        found = resampled_rows(rows[train])
        np.testing.assert_array_equal(found.synthetic, whole.synthetic[train])
        parents = np.array(expected(rows, np.flatnonzero(train))[1])
        known = found.parents[:, 0] >= 0
        np.testing.assert_array_equal(found.parents[known], parents[known])
    shuffled = rng.permutation(len(rows))
    with pytest.warns(ResamplingWarning, match="can no longer be told"):
        assert resampled_rows(rows.iloc[shuffled]) is None


def test_slices_of_resampled_rows_have_folds_that_the_auditor_passes():
    """Made rows whose parents were cut off are tested nowhere, and these cannot be either."""
    rows, labels = marked_rows("days")
    cv = EnhancedWalkForwardCV(
        2, horizon=0, embargo_bars=0, min_samples_per_fold=5, ensure_regime_coverage=False
    )
    made = resampled_rows(rows.iloc[15:])
    assert ((made.parents < 0).any(axis=1) & made.synthetic).any()
    assert LeakageValidator().check_split(cv, rows.iloc[15:], labels.iloc[15:]).status == "PASS"
