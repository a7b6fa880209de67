"""Family-wise false alarms and power of DriftDetector on dependent rows, beside the plain
thresholds of the peers on the same draws.

Five features, 1000 reference rows against the 250 that follow, AR(1) with phi = 0, .5, .9, .98; one
thread. A false alarm is any drift declared where there is none. ``--peers-python PATH`` names an
interpreter with evidently and frouros, which do not install beside current pandas; without it,
their published default rules are computed here: Kolmogorov-Smirnov p < 0.05 in any feature
(evidently's default up to 1000 rows, frouros' KSTest), and PSI > 0.1 in any feature.
"""

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile

from _drift_worlds import PHIS, POWER, undrifted
from _harness import Claim, report
import numpy as np
from scipy.stats import ks_2samp

from sktrain import DriftDetector

PEERS = """
import json, sys, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
from evidently import Report
from evidently.presets import DataDriftPreset
import evidently, frouros
from frouros.detectors.data_drift import KSTest, PSI
out = {"evidently": evidently.__version__, "frouros": getattr(frouros, "__version__", "?"), "rates": {}}
def any_drift(reference, new):
    names = list("abcde")
    a, b = pd.DataFrame(reference, columns=names), pd.DataFrame(new, columns=names)
    metrics = Report([DataDriftPreset()]).run(b, a).dict()["metrics"]
    return metrics[0]["value"]["count"] > 0
def frouros_rate(reference, new):
    drift = False
    for i in range(reference.shape[1]):
        test = KSTest(); test.fit(X=reference[:, i]); drift |= test.compare(X=new[:, i])[0].p_value < 0.05
    return bool(drift)
for key, draws in np.load(sys.argv[1]).items():
    alarms = [any_drift(d[:1000], d[1000:]) for d in draws[: int(sys.argv[2])]]
    other = [frouros_rate(d[:1000], d[1000:]) for d in draws]
    out["rates"][key] = [float(np.mean(alarms)), float(np.mean(other)), len(alarms), len(other)]
print(json.dumps(out))
"""


def rate(draw, n_draws, seed):
    """Share of draws in which the detector declares drift."""
    alarms = 0
    for turn in range(n_draws):
        reference, new = draw(np.random.default_rng([seed, turn]))
        alarms += DriftDetector().fit(reference).check(new).drift_detected
    return alarms / n_draws


def plain_rates(phi, n_draws, seed):
    """Shares of undrifted draws in which PSI > 0.1, or KS p < 0.05, in any feature."""
    psi = ks = 0
    for turn in range(n_draws):
        reference, new = undrifted(np.random.default_rng([seed, turn]), phi)
        psi += DriftDetector().fit(reference).check(new).psi > 0.1
        ks += (
            min(
                ks_2samp(reference[:, i], new[:, i], method="asymp").pvalue
                for i in range(reference.shape[1])
            )
            < 0.05
        )
    return psi / n_draws, ks / n_draws


def peer_rates(python, n_draws, slow):
    """Ask evidently and frouros, in their own interpreter, about the same draws."""
    with tempfile.TemporaryDirectory() as folder:
        draws = {
            str(phi): np.stack(
                [
                    np.concatenate(undrifted(np.random.default_rng([1, s]), phi))
                    for s in range(n_draws)
                ]
            )
            for phi in PHIS
        }
        np.savez(Path(folder) / "draws.npz", **draws)
        command = [python, "-c", PEERS, str(Path(folder) / "draws.npz"), str(slow)]
        return json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[
                -1
            ]
        )


def main():
    parser = argparse.ArgumentParser(description="false alarms and power of the drift detector")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--peers-python", help="an interpreter with evidently and frouros")
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    n, n_power = (20, 5) if options.smoke else (options.draws, max(options.draws // 4, 20))
    claims = []
    for phi in PHIS:
        value = rate(lambda rng, phi=phi: undrifted(rng, phi), n, 1)
        claims.append(Claim(f"false alarms, phi {phi}", value, 0.08, note=f"{n} draws"))
    for name, draw in POWER.items():
        claims.append(
            Claim(f"power, {name}", rate(draw, n_power, 2), 0.9, ">=", note=f"{n_power} draws")
        )
    for phi in PHIS:
        psi, ks = plain_rates(phi, max(n // 4, 5), 1)
        claims += [
            Claim(f"plain PSI > 0.1, phi {phi}", psi),
            Claim(f"plain KS p < 0.05, phi {phi}", ks),
        ]
    if options.peers_python and not options.smoke:
        peers = peer_rates(os.path.expanduser(options.peers_python), 200, 40)
        for phi in PHIS:
            first, second, few, many = peers["rates"][str(phi)]
            claims.append(
                Claim(
                    f"evidently {peers['evidently']} default, phi {phi}",
                    first,
                    note=f"any column, {few} draws",
                )
            )
            claims.append(
                Claim(
                    f"frouros {peers['frouros']} KSTest, phi {phi}",
                    second,
                    note=f"any column, {many} draws",
                )
            )
    report("drift_level", claims, smoke=options.smoke)


if __name__ == "__main__":
    sys.exit(main())
