"""What ``import sktrain``, a splitter and a net cost next to the libraries they stand on, and that
the first two load nothing heavy; and what the first fit of a process adds.

Fresh processes in turn. A splitter needs pandas, so its plain alternative imports scikit-learn's
splitters and pandas; a net needs torch and skorch.
"""

import subprocess
import sys

from _harness import Claim, arguments, as_installed, paired, report

FIT = """
import numpy, sktrain
X = numpy.random.default_rng(0).normal(size=(200, 10, 4))
sktrain.GRUClassifier(max_epochs=1, random_state=0, train_split=None).fit(X, X[:, -1, 0] > 0)
"""
HEAVY = (
    "torch", "skorch", "optuna", "transformers", "matplotlib", "imblearn", "onnx", "onnxruntime",
)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench_import: {code!r} failed:\n{done.stderr}")
    return done.stdout


def main(smoke):
    as_installed()
    repeat = 2 if smoke else 9
    claims = []
    loaded = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    for code in ("import sktrain", "from sktrain import TemporalSplitter"):
        found = eval(run(f"{code}; {loaded}"))
        claims.append(
            Claim(f"heavy modules after '{code}'", len(found), 0, note=", ".join(found), smoke=True)
        )
    pairs = [
        ("import sktrain / import sklearn", "import sktrain", "import sklearn", 1.25),
        (
            "from sktrain import TemporalSplitter / sklearn splitter and pandas",
            "from sktrain import TemporalSplitter",
            "import pandas; from sklearn.model_selection import TimeSeriesSplit", 1.25,
        ),
        (
            "from sktrain import GRUClassifier / torch and skorch",
            "from sktrain import GRUClassifier", "import torch, skorch", 1.1,
        ),
        ("import and fit 200 rows / torch and skorch", FIT, "import torch, skorch", 1.25),
    ]
    for name, ours, plain, bound in pairs:
        mine, theirs, ratio = paired(
            lambda code=ours: run(code), lambda code=plain: run(code), repeat=repeat
        )
        claims.append(Claim(name, ratio, bound, unit="x", note=f"{mine:.2f} s / {theirs:.2f} s"))
    report("bench_import", claims, smoke=smoke)


if __name__ == "__main__":
    main(arguments(__doc__).smoke)
