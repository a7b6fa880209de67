"""Search quality and wall time against optuna-integration's OptunaSearchCV and RandomizedSearchCV:
same space, trials and folds."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
import warnings

from _harness import Claim, arguments, report
import numpy as np
import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna_integration import OptunaSearchCV as IntegrationSearchCV
from scipy.stats import loguniform, randint, uniform
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sktrain import (
    AdaptiveLabeler,
    BarFeatures,
    EnhancedWalkForwardCV,
    GRUClassifier,
    SlidingWindow,
)
from sktrain.datasets import load_sp500, make_market
from sktrain.search import OptunaSearchCV

SEEDS, N_TRIALS = 10, 20


def materialised(cv, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(cv.split(X, y))


def sp500_gru():
    """Windows of seven features of the last 800 S&P 500 bars; a GRU of a few units for two
    epochs."""
    bars, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(
        load_sp500()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = np.asarray(
            SlidingWindow(lookback=5).fit_transform(
                BarFeatures(windows=(5, 20)).fit_transform(bars).iloc[:, :7]
            ),
            dtype=np.float32,
        )
    X, y = X[-800:], y.iloc[-800:]
    model = GRUClassifier(
        max_epochs=2, batch_size=128, random_state=0, callbacks__early_stopping=None,
        module__n_layers=1, horizon=3,
    )
    space = {
        "lr": FloatDistribution(1e-5, 1e-1, log=True),
        "module__hidden_size": IntDistribution(4, 32),
        "module__dropout": FloatDistribution(0.0, 0.5),
    }
    return (
        model,
        space,
        X,
        np.asarray(y),
        materialised(
            EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False, horizon=3), X, y
        ),
        "neg_log_loss",
    )


def market_logistic():
    """A planted market, bar features, logistic regression."""
    market = make_market(3000, signal=0.5, random_state=0)
    features = BarFeatures(windows=(5, 10, 20)).fit_transform(market.bars)
    known = features.notna().all(axis=1).to_numpy()
    X, y = features[known].to_numpy(), np.asarray(market.y)[known]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    space = {
        "logisticregression__C": FloatDistribution(1e-6, 1e4, log=True),
        "logisticregression__tol": FloatDistribution(1e-6, 1e-1, log=True),
    }
    return (
        model, space, X, y,
        materialised(
            EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False, horizon=1), X, y
        ),
        "neg_log_loss",
    )


def smooth_svr():
    """A smooth function of four variables with a little noise, and a kernel machine."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (800, 4))
    y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2 - X[:, 2] * X[:, 3] + rng.normal(0, 0.1, 800)
    space = {
        "C": FloatDistribution(1e-3, 1e2, log=True),
        "gamma": FloatDistribution(1e-4, 1e2, log=True),
        "epsilon": FloatDistribution(1e-3, 1.0, log=True),
    }
    return (
        SVR(),
        space,
        X,
        y,
        materialised(
            EnhancedWalkForwardCV(n_splits=5, ensure_regime_coverage=False, horizon=0), X, y
        ),
        "r2",
    )


def as_scipy(space):
    out = {}
    for name, bound in space.items():
        if isinstance(bound, IntDistribution):
            out[name] = randint(bound.low, bound.high + 1)
        else:
            out[name] = (
                loguniform(bound.low, bound.high)
                if bound.log
                else uniform(bound.low, bound.high - bound.low)
            )
    return out


def contenders(model, space, cv, scoring, seed, n_trials):
    shared = {"cv": cv, "scoring": scoring, "refit": False, "random_state": seed}
    return {
        "sktrain": OptunaSearchCV(model, space, n_trials=n_trials, n_jobs=2, **shared),
        "integration": IntegrationSearchCV(model, space, n_trials=n_trials, **shared),
        "random": RandomizedSearchCV(model, as_scipy(space), n_iter=n_trials, **shared),
    }


def main():
    smoke = arguments(__doc__).smoke
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    seeds, n_trials = (1, 6) if smoke else (SEEDS, N_TRIALS)
    problems = [market_logistic, smooth_svr] if smoke else [sp500_gru, market_logistic, smooth_svr]
    best = {name: np.zeros((len(problems), seeds)) for name in ("sktrain", "integration", "random")}
    wall = {name: np.zeros((len(problems), seeds)) for name in best}
    for row, problem in enumerate(problems):
        model, space, X, y, cv, scoring = problem()
        for seed in range(seeds):
            for name, search in contenders(model, space, cv, scoring, seed, n_trials).items():
                if seed == 0 and name == "sktrain":
                    # workers start once
                    contenders(model, space, cv, scoring, seed, 5)[name].fit(X, y)
                start = time.perf_counter()
                search.fit(X, y)
                wall[name][row, seed] = time.perf_counter() - start
                best[name][row, seed] = (
                    np.nanmax(search.cv_results_["mean_test_score"])
                    if name != "integration"
                    else search.study_.best_value
                )
        print(
            problem.__name__,
            {
                name: (round(best[name][row].mean(), 4), round(wall[name][row].sum(), 1))
                for name in best
            },
            flush=True,
        )
    claims = []
    for other in ("integration", "random"):
        note = ", ".join(
            f"{problem.__name__} {gain:+.4f}"
            for problem, gain in zip(problems, (best["sktrain"] - best[other]).mean(axis=1))
        )
        claims.append(
            Claim(
                f"best score less {other}'s, mean of {seeds} seeds",
                (best["sktrain"] - best[other]).mean(),
                0.0,
                ">=",
                note=note,
            )
        )
    for other in ("integration", "random"):
        note = ", ".join(
            f"{problem.__name__} {ratio:.2f}"
            for problem, ratio in zip(problems, wall["sktrain"].sum(1) / wall[other].sum(1))
        )
        bound = 0.6 if other == "integration" else None
        claims.append(
            Claim(
                f"wall time / {other}'s (2 workers, 1 thread each)",
                wall["sktrain"].sum() / wall[other].sum(),
                bound,
                note=note,
            )
        )
    report("search", claims, smoke=smoke)


if __name__ == "__main__":
    main()
