"""Whether partial_fit of a net pays: four blocks of 100 rows after a fit on 1,000, with the concept
as it was and after it changed.

Beside it the plain alternative, training on with ``warm_start`` on each block alone up to
``max_epochs``. 30 seeds; every figure is a mean of paired differences on 3,000 rows of the newest
concept, its interval Student's t at 95 %.
"""

import copy
import warnings

from _harness import Claim, arguments, report
from joblib import Parallel, delayed
import numpy as np
from scipy import stats

from sktrain import MLPNetClassifier

BLOCKS, ROWS, FIRST, TEST = 4, 100, 1000, 3000
SIGNAL = {"stationary": (0, 1.0), "another feature": (1, 1.0), "the sign turned": (0, -1.0)}


def rows(rng, n, concept):
    """Ten standard normal features; one of them decides, under noise of 1.5 (Bayes accuracy
    .687)."""
    feature, sign = SIGNAL[concept]
    X = rng.standard_normal((n, 10))
    return X, (sign * X[:, feature] + 1.5 * rng.standard_normal(n) > 0).astype(int)


def one_seed(seed):
    """By concept: accuracy gained by updates, by training on, and the share of updates accepted."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(seed)
    first = MLPNetClassifier(random_state=seed, horizon=0).fit(*rows(rng, FIRST, "stationary"))
    return [after(first, concept, copy.deepcopy(rng)) for concept in SIGNAL]


def after(first, concept, rng):
    """The same for one concept, from a net fitted once."""
    net, plain = copy.deepcopy(first), copy.deepcopy(first).set_params(warm_start=True)
    test = rows(rng, TEST, concept)
    before, accepted = net.score(*test), 0
    for _ in range(BLOCKS):
        block = rows(rng, ROWS, concept)
        accepted += net.partial_fit(*block).update_.accepted
        plain.fit(*block)
    return net.score(*test) - before, plain.score(*test) - before, accepted / BLOCKS


def main():
    smoke = arguments(__doc__).smoke
    n_seeds = 2 if smoke else 30
    jobs = [delayed(one_seed)(seed) for seed in range(n_seeds)]
    worlds = np.array(Parallel(n_jobs=1 if smoke else 2)(jobs)).swapaxes(0, 1)
    claims = []
    for concept, found in zip(SIGNAL, worlds):
        mean = found.mean(axis=0)
        half = stats.t.ppf(0.975, n_seeds - 1) * found.std(axis=0, ddof=1) / np.sqrt(n_seeds)
        note = (
            f"± {half[0]:.4f}; training on: {mean[1]:+.4f} ± {half[1]:.4f}; {mean[2]:.0%} accepted"
        )
        if concept == "stationary":
            claims.append(
                Claim(
                    "updates on stationary blocks, accuracy gained: upper end",
                    mean[0] + half[0],
                    0.0,
                    ">=",
                    note=note,
                )
            )
            claims.append(
                Claim(
                    "updates on stationary blocks, accuracy gained",
                    mean[0],
                    -0.003,
                    ">=",
                    note=note,
                )
            )
        else:
            claims.append(
                Claim(
                    f"updates after {concept}, accuracy gained: lower end",
                    mean[0] - half[0],
                    0.0,
                    ">=",
                    note=note,
                )
            )
    report("updates", claims, smoke=smoke)


if __name__ == "__main__":
    main()
