"""What the checks cost when a good file is opened: golden files with the checks, and with them switched off."""

from contextlib import ExitStack
from pathlib import Path
import statistics
from unittest import mock
import warnings

import _harness

GOLDEN = Path(__file__).parent.parent / "tests" / "persistence" / "golden"
CHECKS = {  # what was added when files of strangers were made safe to open, and what does nothing
    "sktrain.persistence._checks.check_tree_state": lambda arguments, state: None,
    "sktrain.persistence._checks.checked": lambda root: root,
    "sktrain.persistence._file._compare": lambda manifest, estimator, decoder: None,
    "sktrain.persistence._nets._check_sizes": lambda net, weights: None,
    "sktrain.persistence._probes.replayable": lambda estimator, rows: None,
    "sktrain.persistence._skops._check_archive": lambda archive, size, member, budget: None,
    "sktrain.compression._quantized.QuantizedClassifier._inflates": staticmethod(lambda state: 0),
}


def opened(path, checks):
    from sktrain import load

    with ExitStack() as stack:
        for name, nothing in () if checks else CHECKS.items():
            stack.enter_context(mock.patch(name, nothing))
        return load(path)


def main():
    smoke = _harness.arguments(__doc__).smoke
    warnings.simplefilter("ignore")
    ratios, claims = [], []
    for path in sorted(GOLDEN.glob("*.sktrain"))[:: 6 if smoke else 1]:
        ours, plain, ratio = _harness.paired(
            lambda path=path: opened(path, True), lambda path=path: opened(path, False),
            repeat=3 if smoke else 15, warmup=2,
        )  # fmt: skip
        ratios.append(ratio)
        note = f"{1e3 * ours:.1f} ms, without {1e3 * plain:.1f}"
        claims.append(_harness.Claim(path.stem, ratio, unit="x", note=note))
    every = statistics.median(ratios)
    worst = max(ratios)
    claims.insert(0, _harness.Claim("opening with the checks, median of all files", every, 1.1, unit="x"))
    claims.insert(1, _harness.Claim("opening with the checks, the worst file", worst, 1.1, unit="x"))
    _harness.report("load", claims, smoke=smoke)


if __name__ == "__main__":
    main()
