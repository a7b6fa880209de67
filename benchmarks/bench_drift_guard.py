"""A simulated year of incremental training through a regime break: DriftGuard against always
updating and never updating.

52 weekly blocks of 40 hourly rows after a quarter for the first fit. Features are AR(1) with phi =
0.5; in week 26 the market turns: two features shift by one standard deviation and the weights of
the outcome change. All three train the same pipeline (StandardScaler, then a linear model by
stochastic gradients) and are scored on every block before they see it, by log loss. The claim is
about alpha=1e-2; other incremental models are reported beside it, whichever way they come out.
"""

import warnings

from _drift_worlds import autoregressive
from _harness import Claim, arguments, mean_interval, report
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import DriftGuard
from sktrain.drift._training import update

WEEKS, ROWS, FIRST, BREAK = 52, 40, 520, 26
CLASSES = np.array([0, 1])


def year(rng):
    """Rows and outcomes of 13 weeks to start with and 52 to follow."""
    n = FIRST + WEEKS * ROWS
    X = autoregressive(rng, 0.5, n, 5)
    broken = np.arange(n) >= FIRST + BREAK * ROWS
    X[broken, :2] += 1.0
    before, after = rng.standard_normal(5), rng.standard_normal(5)
    signal = np.where(broken, (X - [1, 1, 0, 0, 0]) @ after, X @ before)
    return X, (signal + rng.logistic(size=n) > 0).astype(int)


MODELS = {
    "SGD alpha 1e-2": lambda seed: SGDClassifier(loss="log_loss", alpha=1e-2, random_state=seed),
    "SGD alpha 1e-3": lambda seed: SGDClassifier(loss="log_loss", alpha=1e-3, random_state=seed),
    "averaged SGD": lambda seed: SGDClassifier(
        loss="log_loss", alpha=1e-2, average=True, random_state=seed
    ),
    "naive Bayes": lambda seed: GaussianNB(),
}


def losses(predict, learn, X, y):
    """Mean log loss of every block, predicted before it is learned."""
    out = []
    for week in range(WEEKS):
        rows = slice(FIRST + week * ROWS, FIRST + (week + 1) * ROWS)
        out.append(log_loss(y[rows], predict(X[rows]), labels=CLASSES))
        learn(X[rows], y[rows])
    return np.array(out)


def one_year(seed, make):
    """Mean log loss over the year of the three ways, and when the guard refitted."""
    X, y = year(np.random.default_rng(seed))
    first = slice(0, FIRST)

    def model(seed):
        return make_pipeline(StandardScaler(), make(seed))

    never = model(seed).fit(X[first], y[first])
    always = model(seed).fit(X[first], y[first])
    guard = DriftGuard(model(seed), window=1000).fit(X[first], y[first])
    ways = {
        "never": losses(never.predict_proba, lambda X, y: None, X, y),
        "always": losses(
            always.predict_proba,
            lambda X, y: update(always, X, y, CLASSES, skip_scaler_fit=True),
            X,
            y,
        ),
        "guard": losses(lambda X: guard.predict_proba(X), guard.partial_fit, X, y),
    }
    refits = np.flatnonzero(guard.log_["decision"] == "refit") - 1
    return {name: values.mean() for name, values in ways.items()}, refits


def main():
    options = arguments(__doc__)
    warnings.simplefilter("ignore")
    claims, refits = [], ()
    for turn, (name, make) in enumerate(MODELS.items()):
        seeds = range((30 if turn == 0 else 20) if not options.smoke else 1 + (turn == 0))
        years, weeks = zip(*(one_year(seed, make) for seed in seeds))
        refits = weeks if turn == 0 else refits
        for other in ("always", "never") if len(years) > 1 else ():
            mean, half = mean_interval([row["guard"] - row[other] for row in years])
            note = f"mean {mean:.4f} +- {half:.4f} over {len(years)} seeds (95 %)"
            claims.append(
                Claim(
                    f"{name}: guard - {other}, upper end of the interval",
                    mean + half,
                    0.0 if turn == 0 else None,
                    note=note,
                )
            )
        claims += [
            Claim(f"{name}: log loss, {way}", float(np.mean([row[way] for row in years])))
            for way in ("guard", "always", "never")
        ]
    early = [int((weeks < BREAK).sum()) for weeks in refits]
    delay = [
        int(weeks[weeks >= BREAK].min()) - BREAK if (weeks >= BREAK).any() else WEEKS
        for weeks in refits
    ]
    claims.append(
        Claim(
            "refits before the break, per year (false alarms and their regrowth)",
            float(np.mean(early)),
        )
    )
    claims.append(Claim("weeks from the break to the refit, median", float(np.median(delay))))
    report("drift_guard", claims, smoke=options.smoke)


if __name__ == "__main__":
    main()
