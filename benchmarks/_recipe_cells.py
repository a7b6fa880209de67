"""One cell of bench_recipe: what a model predicts for the last third of a world drawn with a seed,
under a key that changes when anything does that decides it."""

from functools import cache, lru_cache
import importlib
import inspect
import pkgutil
import time
import types
import warnings

from _recipe_worlds import HORIZON, PLANTED, RIVALS, STEPS, make_world
import numpy as np
from scipy.special import ndtr
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, log_loss
from threadpoolctl import threadpool_limits

from sktrain import EnhancedWalkForwardCV, OptunaSearchCV, TemporalSplitter, ensemble, make_recipe
from sktrain._digest import digest_of

OURS = "recipe"
LAST_THIRD = TemporalSplitter(2 / 3, 1 / 3, 0.0, embargo_bars=0)
BINS = 10


def calibration_error(proba, target):
    """Mean over rows and classes of the distance, in ten equal bins of what was said, between said
    and target."""
    bins = np.minimum((proba * BINS).astype(int), BINS - 1) + BINS * np.arange(proba.shape[1])
    gaps = np.bincount(bins.ravel(), (proba - target).ravel(), minlength=BINS * proba.shape[1])
    return float(np.abs(gaps).sum() / proba.size)


def calibration_noise(proba, seed, horizon=HORIZON, n_draws=200):
    """The error that a perfectly calibrated forecast stays below in 95 of 100 draws of labels.

    Labels that look ``horizon`` bars ahead share all but k of them with those k rows later, so
    neighbours are drawn alike: by normal moving sums of ``horizon`` values. With labels drawn one
    by one, true probabilities exceed the band in 12 to 20 of 100 planted markets of three bars.
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_draws, len(proba) + horizon - 1))
    total = np.pad(values.cumsum(axis=1), ((0, 0), (1, 0)))
    drawn = ndtr((total[:, horizon:] - total[:, :-horizon]) / np.sqrt(horizon))
    draws = (drawn[:, :, None] > proba.cumsum(axis=1)[None, :, :-1]).sum(axis=2)
    return float(
        np.quantile(
            [calibration_error(proba, np.eye(proba.shape[1])[codes]) for codes in draws], 0.95
        )
    )


def figures(proba, y, classes, prior, truth):
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
        return found
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


_world = lru_cache(maxsize=1)(make_world)


def measure(name, seed, model, trials, **size):
    """Figures of one model on one world."""
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        world = _world(name, seed, **size)
        ((train, test),) = LAST_THIRD.split(world.X, world.y)
        X, y, later = world.X.iloc[train], world.y.iloc[train], world.y.iloc[test].to_numpy()
        classes, counts = np.unique(y, return_counts=True)
        truth = None if world.truth is None else world.truth.iloc[test].to_numpy()
        recipe = make_recipe("passthrough", random_state=seed), None, None
        start = time.perf_counter()
        chosen = recipe if model == OURS else RIVALS[model](X.shape[1])
        fitted = tuned(*chosen, X, y, trials, seed)
        proba = fitted.predict_proba(world.X.iloc[test])
        found = figures(proba, later, classes, counts / counts.sum(), truth)
        found["seconds"] = time.perf_counter() - start
    if model == OURS:
        found["weights"] = fitted.named_weights_
        if truth is None:
            found["calibration_noise"] = calibration_noise(proba, seed)
    return {"world": name, "seed": seed, "model": model, **found}


def key_of(name, seed, model, trials, **size):
    """Digest of all that decides a cell, up to the versions of the libraries: the world's rows, the
    code of the figures and of the model. Of sktrain itself the version counts, and the code of the
    recipe and its pool."""
    data = _data(name, *((seed, *size.values()) if name in PLANTED else ()))
    return digest_of(data, STEPS, seed, trials if model != OURS else None, _code(model))[:20]


@cache
def _data(name, seed=0, n_bars=0, n_symbols=0):
    """Digest of the rows of a world, however they are made."""
    world = make_world(name, seed, n_bars=n_bars, n_symbols=n_symbols)
    truth = None if world.truth is None else world.truth.to_numpy()
    return digest_of([*world.X.columns], world.X.to_numpy(), world.y.to_numpy(), truth)


@lru_cache
def _code(model):
    """Of the figures and the model."""
    how = _recipe_code() if model == OURS else (RIVALS[model], tuned)
    return digest_of(figures, calibration_noise if model == OURS else None, model, how)


def _recipe_code():
    """Functions, methods and constants of sktrain.ensemble; not its words."""
    found = {}
    for info in pkgutil.iter_modules(ensemble.__path__, f"{ensemble.__name__}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            home = getattr(value, "__module__", module.__name__)
            if home != module.__name__ or name[:2] == "__" or isinstance(value, types.ModuleType):
                continue
            if inspect.isclass(value):
                value = [one for one in vars(value).values() if inspect.isroutine(one)]
            found[f"{info.name}.{name}"] = value
    return digest_of(found)
