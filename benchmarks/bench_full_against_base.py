"""The full configuration of one net against the base one, both judged on the same labels, and what
each component of it adds.

Markets of ``make_market`` with signal; judged are the last third's labels of the market itself.
Base: cross-entropy, no regularization, no early stopping, labels by one threshold for all times,
float32. Full: the net's defaults (focal loss, schedules, clipping, early stopping, calibration),
labels adapted to volatility, int8. ``--ablation`` measures every component instead: full without
it, or, of what is not done by default, full with it. Differences are paired over seeds and read
"with less without", with a 95 % t interval.

Finished cells (net, seed, setup) are kept in ``results/full_against_base_parts.jsonl``;
``--minutes`` stops behind the cell in hand, and a bound is judged only where all ten seeds are
there.
"""

import argparse
from functools import lru_cache
import os
from pathlib import Path
import tempfile
import time
import warnings

from _harness import RESULTS, Claim, Deadline, Parts, mean_interval, report
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
import torch

import sktrain
from sktrain import AdaptiveLabeler, BarFeatures, SlidingWindow, TemporalSplitter
from sktrain._digest import digest_of
from sktrain.datasets import make_market
from sktrain.resample import ResampledClassifier
from sktrain.trainer._pool import LastStep

NETS = {"mlp": sktrain.MLPNetClassifier, "gru": sktrain.GRUClassifier}
SEEDS = 10
LOOKBACK, EPOCHS, BATCH = 10, 60, 128
TERCILE = 0.4307  # of the standard normal: the labels of make_market
LAST_THIRD = TemporalSplitter(2 / 3, 1 / 3, 0.0, embargo_bars=0)

CROSS_ENTROPY = {"criterion": torch.nn.CrossEntropyLoss}
NO_SCHEDULES = {
    "callbacks__dropout__min_p": 0.3,  # dropout stays where it begins
    "callbacks__weight_decay__max": 1e-4,
}
NO_CLIPPING = {"callbacks__clip__clip_value": None, "callbacks__clip__max_norm": None}
NO_STOPPING = {"callbacks__early_stopping": None}
BASE = {
    **CROSS_ENTROPY, "callbacks": "disable", "module__dropout": 0.0, "calibration": None,
    "mixed_precision": False, "train_split": None, "labels": "fixed", "bits": None,
}  # fmt: skip
#: What full loses. ``labels``, ``bits`` and the like are ours, all else are parameters of the net.
WITHOUT = {
    "focal loss": CROSS_ENTROPY,
    "schedules": NO_SCHEDULES,
    "clipping": NO_CLIPPING,
    "adaptive labels": {"labels": "fixed"},
    "early stopping": NO_STOPPING,
    "calibration": {"calibration": None},
    "int8": {"bits": None},
}
#: What is not done by default.
WITH = {
    "weighted sampling": {"class_sampling": "weighted"},
    "SMOTE": {"smote": True},
    "mixed precision": {"mixed_precision": True},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "pruning, half": {"sparsity": 0.5},
    "pool": {"pool": True},
}
SETUPS = {
    "base": BASE,
    "full": {},
    **{f"without {name}": changed for name, changed in WITHOUT.items()},
    **{f"with {name}": changed for name, changed in WITH.items()},
}
OURS = ("labels", "bits", "smote", "sparsity", "pool")


@lru_cache(maxsize=1)
def market(seed, n_bars):
    """Windows, labels by kind, and where to train and to judge."""
    made = make_market(n_bars, signal=0.6, random_state=seed)
    X = SlidingWindow(LOOKBACK).fit_transform(BarFeatures().fit_transform(made.bars))
    typical = float(made.bars["close"].pct_change().std())
    fixed = {"use_volatility_adjustment": False, "use_risk_adjustment": False}
    adapted = AdaptiveLabeler(horizon=1, base_threshold=TERCILE, scaling="sigma")
    labels = {
        "adapted": adapted.transform(made.bars),
        "fixed": AdaptiveLabeler(
            horizon=1, base_threshold=TERCILE * typical, **fixed
        ).transform(made.bars),
    }  # fmt: skip
    return X, labels, made


def trained(net, setup, X, y, seed):
    """The fitted model of a setup and the processor seconds of its training."""
    params = {key: value for key, value in setup.items() if key not in OURS}
    model = NETS[net](max_epochs=EPOCHS, batch_size=BATCH, random_state=seed, horizon=1, **params)
    if setup.get("smote"):
        model = ResampledClassifier(model, sktrain.WindowSMOTE(random_state=seed))
    if setup.get("pool"):
        linear = LogisticRegression(C=0.01, max_iter=500)
        fill = SimpleImputer(keep_empty_features=True)
        steps = LastStep(), fill, StandardScaler(), linear
        members = [("net", model), ("linear", Pipeline([(f"{i}", s) for i, s in enumerate(steps)]))]
        model = sktrain.PooledClassifier(members, horizon=1)
    start = time.process_time()
    model.fit(X, y)
    return model, time.process_time() - start


def measure(net, seed, name, n_bars):
    """Figures of one cell."""
    warnings.simplefilter("ignore")
    setup = SETUPS[name]
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        torch.set_num_threads(1)
        X, labels, made = market(seed, n_bars)
        ((train, test),) = LAST_THIRD.split(made.bars.loc[made.y.index], made.y)
        rows = made.bars.index.get_indexer(made.y.index)
        y = labels[setup.get("labels", "adapted")].iloc[rows[train]]
        known = y.notna().to_numpy()
        y, inside = y[known].astype(int), rows[train][known]
        model, seconds = trained(net, setup, X[inside], y, seed)
        if setup.get("sparsity"):
            sktrain.ModelPruner(setup["sparsity"]).prune_model(model, X=X[inside])
        if setup.get("bits", 8):
            model = sktrain.ModelQuantizer(setup.get("bits", 8)).quantize_model(model)
        proba, later = model.predict_proba(X[rows[test]]), made.y.iloc[test].to_numpy()
        return {
            "net": net, "seed": seed, "setup": name, "seconds": seconds,
            "balanced_accuracy": balanced_accuracy_score(later, proba.argmax(axis=1)),
            "log_loss": log_loss(later, proba, labels=[0, 1, 2]),
            "bytes": os.path.getsize(sktrain.save(model, Path(folder) / "model.sktrain")),
        }  # fmt: skip


def key_of(net, seed, name, n_bars):
    return digest_of(net, seed, name, SETUPS[name], n_bars, EPOCHS, BATCH, market, trained)[:20]


def interval(values):
    """Mean and both ends of its 95 % interval."""
    mean, half = mean_interval(values)
    return mean, mean - half, mean + half


def paired(rows, net, one, other, key):
    """Values of two setups on the seeds that both have."""
    found = {
        name: {row["seed"]: row[key] for row in rows if (row["net"], row["setup"]) == (net, name)}
        for name in (one, other)
    }
    seeds = sorted(found[one].keys() & found[other].keys())
    return tuple(np.array([found[name][seed] for seed in seeds]) for name in (one, other))


def against_base(rows, net):
    """Full less base, of one net."""
    full, base = paired(rows, net, "full", "base", "balanced_accuracy")
    if not len(full):
        return
    judged = len(full) == SEEDS
    n = f"{len(full)} of {SEEDS} seeds" + ("" if judged else ": not judged")
    mean, low, high = interval(100 * (full - base))

    def claim(what, value, bound, better, unit="", note=""):
        return Claim(
            f"{net}: {what}", float(value), bound if judged else None, better, unit,
            f"{note}; {n}".removeprefix("; "),
        )  # fmt: skip

    told = f"{full.mean():.3f} and {base.mean():.3f}, 95 % interval [{low:+.1f}, {high:+.1f}]"
    yield claim("full minus base, balanced accuracy", mean, 3.0, ">=", "pts", told)
    yield claim("lower end of the interval", low, 0.0, ">=", "pts")
    seconds = [values.sum() for values in paired(rows, net, "base", "full", "seconds")]
    yield claim("training speed of base", seconds[0] / seconds[1], 1.0, ">=", "x")
    full, base = paired(rows, net, "full", "base", "bytes")
    told = "base's file also holds what partial_fit needs: optimizer and earlier rows"
    yield claim("saved file, share of base's", np.mean(full / base), 0.25, "<=", note=told)
    full, base = paired(rows, net, "full", "base", "log_loss")
    mean, low, high = interval(full - base)
    yield Claim(
        f"{net}: full minus base, log loss", mean, note=f"[{low:+.4f}, {high:+.4f}]; {n}"
    )


def components(rows, net):
    """What every component adds to full: with it less without."""
    for name in [*WITHOUT, *WITH]:
        other = f"without {name}" if name in WITHOUT else f"with {name}"
        pair = ("full", other) if name in WITHOUT else (other, "full")
        with_it, without = paired(rows, net, *pair, "balanced_accuracy")
        if not len(with_it):
            continue
        mean, low, high = interval(100 * (with_it - without))
        loss = interval(np.subtract(*paired(rows, net, *pair, "log_loss")))
        cost = np.divide(*(values.sum() for values in paired(rows, net, *pair, "seconds")))
        note = (
            f"[{low:+.1f}, {high:+.1f}]; log loss {loss[0]:+.4f} [{loss[1]:+.4f}, {loss[2]:+.4f}]; "
            f"{cost:.2f} times the training time; {'in' if name in WITHOUT else 'not in'} full; "
            f"{len(with_it)} of {SEEDS} seeds"
        )
        yield Claim(f"{net}: {name} adds", mean, unit="pts", note=note)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="two setups, no results written")
    parser.add_argument("--ablation", action="store_true", help="every component as well")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    Deadline.option(parser)
    return parser.parse_args()


def main():
    chosen = options()
    seeds, n_bars, path = range(SEEDS), 3000, RESULTS / "full_against_base_parts.jsonl"
    names = list(SETUPS) if chosen.ablation else ["base", "full"]
    if chosen.smoke:
        seeds, n_bars, path = range(1), 600, Path(tempfile.mkdtemp()) / "parts.jsonl"
        names = ["base", "full", "with SMOTE", "with pool"]
    parts = Parts(path)
    cells = [(net, seed, name) for net in chosen.nets for seed in seeds for name in names]
    keys = {cell: key_of(*cell, n_bars) for cell in cells}
    missing = [cell for cell in cells if keys[cell] not in parts]
    for cell in Deadline(chosen.minutes).before(missing):
        row = measure(*cell, n_bars)
        parts.add(keys[cell], row)
        print(*cell, f"{row['balanced_accuracy']:.3f} {row['seconds']:.1f} s", flush=True)
    every = ((net, seed, name) for net in NETS for seed in seeds for name in SETUPS)
    rows = [parts[key] for cell in every if (key := key_of(*cell, n_bars)) in parts]
    claims = [
        claim for net in NETS for part in (against_base, components) for claim in part(rows, net)
    ]
    report("full_against_base", claims, smoke=chosen.smoke)


if __name__ == "__main__":
    main()
