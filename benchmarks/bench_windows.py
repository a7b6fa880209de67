"""Peak memory of SlidingWindow in a 5-fold cross_validate with a trivial classifier, in units of
the base array.

Each variant runs in a process of its own; what is compared is the highest resident memory minus
what the process held before the base array was made. Materialised windows would hold ``lookback``
times the base array.
"""

import json
import resource
import subprocess
import sys

from _harness import Claim, arguments, report


def measure(n, features, lookback, kind):
    """Peak memory over the base array, and over what windows of one fold would weigh if copied."""
    import numpy as np
    import pandas as pd
    import psutil
    from sklearn.dummy import DummyClassifier
    from sklearn.model_selection import KFold, cross_validate
    from sklearn.pipeline import make_pipeline

    from sktrain import SlidingWindow, with_history

    model = make_pipeline(SlidingWindow(lookback), DummyClassifier())
    small = with_history(
        pd.DataFrame(np.ones((99, 2)), pd.date_range("2000", periods=99, freq="min"))
    )
    cross_validate(model, small, np.arange(99) % 2, cv=KFold(5))  # everything is imported and warm
    before = psutil.Process().memory_info().rss
    X = np.random.default_rng(0).standard_normal((n, features))
    weight = X.nbytes
    if kind == "frame":  # pandas keeps a copy of its own: the array is let go
        X = with_history(pd.DataFrame(X, pd.date_range("2000", periods=n, freq="min")))
    y = np.arange(n) % 3
    cross_validate(model, X, y, cv=KFold(5), error_score="raise")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return peak / weight


def main(smoke):
    n, features, lookback = (100_000, 10, 60) if smoke else (300_000, 20, 60)
    claims = []
    for kind in ("frame", "array"):
        command = [
            sys.executable,
            __file__,
            "--measure",
            str(n),
            str(features),
            str(lookback),
            kind,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench_windows: {done.stderr}")
        value = json.loads(done.stdout)
        note = f"{n} x {features}, lookback {lookback}; copied windows would take {lookback}x"
        claims.append(Claim(f"peak memory / base array, {kind}", value, 4.0, unit="x", note=note))
    report("bench_windows", claims, smoke=smoke)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        import warnings

        warnings.simplefilter("ignore")
        place = sys.argv.index("--measure")
        print(json.dumps(measure(*map(int, sys.argv[place + 1 : place + 4]), sys.argv[place + 4])))
    else:
        main(arguments(__doc__).smoke)
