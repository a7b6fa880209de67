"""What a probability is worth: log loss and calibration of the default net, on later rows, beside
plain skorch and the prior.

Markets without and with a planted signal, and the bundled S&P 500 with a rare class. The
alternatives are the same network in plain skorch with cross-entropy for as many epochs, that inside
scikit-learn's ``CalibratedClassifierCV``, the net's own scores without the inverse of the focal
loss, the inverse without calibration, and the shares of the training labels. ``--seeds
development`` are the markets constants were chosen on; the figures are those of markets looked at
once. ``--doubts`` shows what the constant ``_DOUBT`` of ``sktrain/_posterior.py`` was chosen by:
the default net on 12 development markets of each kind, for several values of it.
"""

import argparse
from dataclasses import dataclass
from unittest.mock import patch
import warnings

from _harness import Claim, report
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from skorch import NeuralNetClassifier
import torch

from sktrain import AdaptiveLabeler, BarFeatures, GRUClassifier, SlidingWindow, _posterior
from sktrain._posterior import Posterior
from sktrain.datasets import load_sp500, make_market

LOOKBACK, EPOCHS, BINS = 20, 25, 10
FIRST = {"development": 1000, "judged": 9000}
NAMES = (
    "default", "inverse only", "focal score", "plain skorch", "CalibratedClassifierCV", "prior",
)


@dataclass(frozen=True)
class World:
    """One market cut in two, in order of time; labels of the first part are known before the second
    begins."""

    name: str
    train: np.ndarray
    y_train: np.ndarray
    test: np.ndarray
    y_test: np.ndarray
    horizon: int


def world(name, bars, y, horizon):
    y = y.dropna() if hasattr(y, "dropna") else y
    features = BarFeatures().fit(bars.iloc[: len(bars) // 2]).transform(bars)
    windows = np.asarray(
        SlidingWindow(lookback=LOOKBACK).fit_transform(features), dtype=np.float32
    )[100:]
    codes = np.unique(np.asarray(y), return_inverse=True)[1][100:]
    windows, half = windows[: len(codes)], len(codes) // 2
    return World(
        name,
        windows[: half - horizon],
        codes[: half - horizon],
        windows[half:],
        codes[half:],
        horizon,
    )


def worlds(seeds, n_markets, n_bars):
    for k in range(n_markets):
        for signal, horizon in ((0.0, 1), (0.0, 5), (0.4, 1)):
            market = make_market(
                n_bars, signal=signal, horizon=horizon, random_state=FIRST[seeds] + k
            )
            yield world(f"signal {signal:g}, horizon {horizon}", market.bars, market.y, horizon)
    if seeds == "judged":
        bars, y = AdaptiveLabeler(horizon=1, base_threshold=0.01).fit_resample(
            load_sp500().iloc[-n_bars:]
        )
        yield world("S&P 500, moves over 1 %", bars, y, 1)


def filled(X, of):
    """Missing values, and standardization, for plain skorch: by the training rows."""
    mean, spread = np.nanmean(of, axis=(0, 1)), np.nanstd(of, axis=(0, 1)) + 1e-12
    return np.nan_to_num((X - mean) / spread).astype(np.float32)


class Logits(torch.nn.Module):
    """The network of the default net, for plain skorch, which takes logits with
    CrossEntropyLoss."""

    def __init__(self, n_features=1, n_classes=2):
        super().__init__()
        self.network = GRUClassifier._network(n_features, LOOKBACK, n_classes)

    def forward(self, X):
        return self.network(X)


def answers(one):
    """Probabilities of every model on the later rows, by name."""
    n_classes = int(one.y_train.max()) + 1
    net = GRUClassifier(max_epochs=EPOCHS, horizon=one.horizon, random_state=0).fit(
        one.train, one.y_train
    )
    scores = net.forward(one.test).numpy().astype(np.float64)
    prior = np.bincount(one.y_train, minlength=n_classes) / len(one.y_train)
    train, test = filled(one.train, one.train), filled(one.test, one.train)
    torch.manual_seed(0)
    plain = NeuralNetClassifier(
        Logits,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        max_epochs=EPOCHS, batch_size=128, train_split=None, verbose=0,
        iterator_train__shuffle=True,
        module__n_features=train.shape[2],
        module__n_classes=n_classes,
    )
    plain.fit(train, one.y_train)
    wrapped = CalibratedClassifierCV(plain, method="sigmoid", cv=2, ensemble=False).fit(
        train, one.y_train
    )
    return {
        "default": net.predict_proba(one.test),
        "inverse only": Posterior(net.posterior_.gamma).probabilities(scores),
        "focal score": Posterior().probabilities(scores),
        "plain skorch": plain.predict_proba(test),
        "CalibratedClassifierCV": wrapped.predict_proba(test),
        "prior": np.tile(prior, (len(test), 1)),
    }


DOUBTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5)
KINDS = ((0.0, 1), (0.0, 5), (0.0, 10), (0.2, 1), (0.4, 1))  # signal, horizon


def under_doubts(one):
    """Log loss above the prior's on the later rows, for each value of the constant of doubt."""
    learned = []

    def recorded(posterior, *args, **kwargs):
        learned.append((posterior, args, kwargs))
        return posterior

    net = GRUClassifier(max_epochs=EPOCHS, horizon=one.horizon, random_state=0)
    with patch.object(Posterior, "calibrated", recorded):
        net.fit(one.train, one.y_train)
    scores = net.forward(one.test).numpy().astype(np.float64)
    shares = np.bincount(one.y_train, minlength=len(net.classes_)) / len(one.y_train)
    base = -float(np.log(shares[one.y_test]).mean())
    (posterior, args, kwargs), found = learned[0], []
    for doubt in DOUBTS:
        with patch.object(_posterior, "_DOUBT", doubt):
            calibrated = posterior.calibrated(*args, **kwargs)
        found.append(log_loss(calibrated.probabilities(scores), one.y_test) - base)
    return found


def doubts(n_markets, n_bars):
    """A row per kind of market and value: mean over the markets and its standard error."""
    for signal, horizon in KINDS:
        found = []
        for k in range(n_markets):
            seed = FIRST["development"] + k
            market = make_market(n_bars, signal=signal, horizon=horizon, random_state=seed)
            found.append(under_doubts(world("", market.bars, market.y, horizon)))
        mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(n_markets)
        for doubt, value, spread in zip(DOUBTS, mean, error):
            name = (
                f"signal {signal:g}, horizon {horizon}, doubt {doubt:g}: log loss above the prior's"
            )
            yield Claim(name, float(value), unit="nats", note=f"± {spread:.4f}")


def log_loss(p, codes):
    return float(-np.log(np.maximum(p[np.arange(len(codes)), codes], 1e-15)).mean())


def reliability(p, codes):
    """Rows, mean confidence and share of right answers in each bin of confidence, and the expected
    calibration error (Naeini, Cooper & Hauskrecht 2015)."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == codes
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    said, seen = (
        np.bincount(place, values, BINS) / np.maximum(rows, 1) for values in (confidence, right)
    )
    return rows, said, seen, float(rows @ np.abs(said - seen) / len(codes))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seeds", choices=list(FIRST), default="judged")
    parser.add_argument("--doubts", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if given.doubts:
        markets, bars = (2, 700) if given.smoke else (12, 2000)
        report("probabilities_doubts", list(doubts(markets, bars)), smoke=True)
        return
    n_markets, n_bars = (1, 700) if given.smoke else (3, 2000)
    found = {}
    for one in worlds(given.seeds, n_markets, n_bars):
        said = answers(one)
        base = log_loss(said["prior"], one.y_test)
        for name, p in said.items():
            rows, mean, share, error = reliability(p, one.y_test)
            found.setdefault((one.name, name), []).append(
                (log_loss(p, one.y_test) - base, error, rows, rows * mean, rows * share)
            )
    claims = []
    for place in dict.fromkeys(place for place, _ in found):
        figures = {
            name: [np.mean([row[k] for row in found[place, name]]) for k in (0, 1)]
            for name in NAMES
        }
        for name in NAMES[:-1]:
            excess, error = figures[name]
            bound = None
            if name == "default":  # without signal the prior, else what cross-entropy gains
                bound = (
                    0.003 if place.startswith("signal 0,") else figures["plain skorch"][0] + 0.01
                )
            total = [np.sum([row[k] for row in found[place, name]], axis=0) for k in (2, 3, 4)]
            bins = {
                f"{k / BINS:.1f}": [
                    int(total[0][k]),
                    total[1][k] / total[0][k],
                    total[2][k] / total[0][k],
                ]
                for k in range(BINS)
                if total[0][k]
            }
            note = f"calibration error {error:.3f}"
            details = {"calibration_error": error, "reliability (rows, said, seen)": bins}
            claims.append(
                Claim(
                    f"{place}: {name}, log loss above the prior's", excess, bound, unit="nats",
                    note=note, details=details,
                )
            )
        worse = figures["default"][1] - figures["inverse only"][1]
        claims.append(Claim(f"{place}: calibration error, default less uncalibrated", worse, 0.01))
    report(
        "probabilities" if given.seeds == "judged" else "probabilities_development",
        claims,
        smoke=given.smoke or given.seeds != "judged",
    )


if __name__ == "__main__":
    main()
