"""The recipe against what a user would pick instead: log loss on the last third of planted and real
markets, seeds paired.

Rivals are tuned by purged walk-forward search; the recipe (``sktrain.make_recipe``) is taken as it
is. On planted markets the true probabilities are known, so the share of the possible gain and the
error of calibration are exact. Seeds 0 to 9 are for development; the bounds are judged on seeds 100
to 119.
"""

import argparse
import os
from pathlib import Path
import time
import warnings

from _harness import Claim, mean_interval, report
from _recipe_worlds import PLANTED, REAL, make_world, rivals
from joblib import Parallel, delayed
import numpy as np
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, log_loss
from threadpoolctl import threadpool_limits

from sktrain import EnhancedWalkForwardCV, OptunaSearchCV, TemporalSplitter, make_recipe

OURS = "recipe"
JUDGED = range(100, 120)
LAST_THIRD = TemporalSplitter(2 / 3, 1 / 3, 0.0, embargo_bars=0)
BINS = 10


def calibration_error(proba, target):
    """Mean over rows and classes of the distance, in ten equal bins of what was said, between said
    and target."""
    bins = np.minimum((proba * BINS).astype(int), BINS - 1) + BINS * np.arange(proba.shape[1])
    gaps = np.bincount(bins.ravel(), (proba - target).ravel(), minlength=BINS * proba.shape[1])
    return float(np.abs(gaps).sum() / proba.size)


def calibration_noise(proba, seed, n_draws=200):
    """The error that a perfectly calibrated forecast stays below in 95 of 100 draws of labels."""
    rng = np.random.default_rng(seed)
    draws = (rng.random((n_draws, len(proba), 1)) > proba.cumsum(axis=1)[None, :, :-1]).sum(axis=2)
    return float(
        np.quantile(
            [calibration_error(proba, np.eye(proba.shape[1])[codes]) for codes in draws], 0.95
        )
    )


def figures(proba, y, classes, prior, truth, seed):
    """What one model said of the last third."""
    codes = np.searchsorted(classes, y)
    hit = np.eye(len(classes))[codes]
    alone = log_loss(y, np.tile(prior, (len(y), 1)), labels=classes)
    found = {
        "excess": log_loss(y, proba, labels=classes) - alone,
        "balanced_accuracy": balanced_accuracy_score(y, classes[proba.argmax(axis=1)]),
        "calibration_error": calibration_error(proba, hit if truth is None else truth),
    }
    if truth is None:
        return {**found, "calibration_noise": calibration_noise(proba, seed)}
    possible = alone - log_loss(y, truth, labels=classes)
    return {**found, "possible": possible} if possible > 1e-6 else found


def tuned(model, space, first, X, y, trials, seed):
    """The model as a purged walk-forward search finds it; the search begins with what is known to
    work."""
    if space is None:
        return clone(model).fit(X, y)
    cv = EnhancedWalkForwardCV(3, embargo_bars=0, ensure_regime_coverage=False)
    search = OptunaSearchCV(
        model, space, n_trials=trials, cv=cv, scoring="neg_log_loss", random_state=seed,
        enqueue=[first],
    )
    return search.fit(X, y).best_estimator_


def measure(name, seed, trials, size):
    """Figures of every model on one world."""
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        world = make_world(name, seed, **size)
        ((train, test),) = LAST_THIRD.split(world.X, world.y)
        X, y, later = world.X.iloc[train], world.y.iloc[train], world.y.iloc[test].to_numpy()
        classes, counts = np.unique(y, return_counts=True)
        truth = None if world.truth is None else world.truth.iloc[test].to_numpy()
        models = {
            **rivals(X.shape[1]),
            OURS: (make_recipe("passthrough", random_state=seed), None, None),
        }
        rows = {}
        for model_name, (model, space, first) in models.items():
            start = time.perf_counter()
            fitted = tuned(model, space, first, X, y, trials, seed)
            proba = fitted.predict_proba(world.X.iloc[test])
            rows[model_name] = figures(proba, later, classes, counts / counts.sum(), truth, seed)
            rows[model_name]["seconds"] = time.perf_counter() - start
            if model_name == OURS:
                rows[model_name]["weights"] = fitted.named_weights_
    print(name, seed, {model: round(row["excess"], 4) for model, row in rows.items()}, flush=True)
    return {"world": name, "seed": seed, "models": rows}


def column(results, model, key):
    return np.array([one["models"][model][key] for one in results])


def best_rival(results):
    names = [name for name in results[0]["models"] if name not in (OURS, "prior")]
    return min(names, key=lambda name: column(results, name, "excess").mean())


def share(results, model):
    """Gain over the prior as a share of the possible one, pooled over seeds."""
    return -column(results, model, "excess").sum() / column(results, model, "possible").sum()


def claims_of(name, results, judged):
    """Claims about one world; bounds hold where all the judging seeds were measured."""
    rival = best_rival(results)
    excess, theirs = column(results, OURS, "excess"), column(results, rival, "excess")
    mean, half = mean_interval(excess - theirs)
    low, high = mean - half, mean + half
    note = (
        f"{rival} {theirs.mean():+.4f}; less it {mean:+.4f} [{low:+.4f}, {high:+.4f}], "
        f"{len(results)} seeds"
    )
    details = {
        "models": {
            model: {
                key: float(np.mean(column(results, model, key)))
                for key in results[0]["models"][model]
                if key != "weights"
            }
            for model in results[0]["models"]
        }
    }
    details |= {
        "weights": [one["models"][OURS]["weights"] for one in results],
        "seeds": [one["seed"] for one in results],
    }

    def claim(what, value, bound, better="<=", note="", **more):
        return Claim(
            f"{name}: {what}",
            float(value),
            bound if judged else None,
            better,
            note=note,
            details=more,
        )

    errors = column(results, OURS, "calibration_error")
    if name in REAL:
        yield claim("log loss less the best rival's", mean, 0.001, note=note, **details)
        yield claim(
            "calibration error less its noise band",
            (errors - column(results, OURS, "calibration_noise")).mean(),
            0.0,
        )
    elif name == "nothing":
        yield claim("log loss less the prior's", excess.mean(), 0.003, note=note, **details)
        yield claim("calibration error", errors.mean(), 0.02)
    else:
        ours, best = share(results, OURS), share(results, rival)
        text = f"{rival} {best:.2f}; {note}"
        if name.startswith("linear"):
            yield claim(
                "share of the possible gain, of the best rival's",
                ours / best,
                0.95, ">=", f"{ours:.2f}; {text}", **details,
            )
        else:
            yield claim(
                "share of the possible gain less the best rival's",
                ours - best,
                0.10, ">=", f"{ours:.2f}; {text}", **details,
            )
        yield claim("calibration error", errors.mean(), 0.02)
    yield Claim(
        f"{name}: seconds of the recipe",
        float(column(results, OURS, "seconds").mean()),
        None,
        note=f"of the tuned {rival} {column(results, rival, 'seconds').mean():.1f}",
    )


def seeds_of(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--smoke", action="store_true", help="a small, quick run that writes no results"
    )
    parser.add_argument(
        "--seeds", type=seeds_of, default=JUDGED, help="such as 0-9; default 100-119"
    )
    parser.add_argument("--worlds", nargs="+", choices=[*PLANTED, *REAL], default=[*PLANTED, *REAL])
    parser.add_argument("--trials", type=int, default=20, help="of each rival's search")
    parser.add_argument("--bars", type=int, default=4000, help="per symbol of planted markets")
    parser.add_argument("--symbols", type=int, default=1, help="30 with --bars 1500 are the panels")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--name", default="recipe", help="of the file in results/")
    return parser.parse_args()


def main():
    chosen = options()
    sources = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sources))  # for workers
    size = {"n_bars": chosen.bars, "n_symbols": chosen.symbols}
    seeds, names, trials = chosen.seeds, chosen.worlds, chosen.trials
    if chosen.smoke:
        seeds, names, trials, size = range(1), ["linear .4", "cross"], 1, {"n_bars": 900}
    tasks = [(name, seed) for name in names for seed in (seeds if name in PLANTED else seeds[:1])]
    results = Parallel(n_jobs=chosen.jobs)(
        delayed(measure)(name, seed, trials, size) for name, seed in tasks
    )
    judged = not chosen.smoke and set(JUDGED) <= set(seeds) and trials >= 20
    claims = [
        claim
        for name in names
        for claim in claims_of(name, [one for one in results if one["world"] == name], judged)
    ]
    report(chosen.name, claims, smoke=chosen.smoke)


if __name__ == "__main__":
    main()
