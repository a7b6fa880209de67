"""A market through joblib's Dask backend: rows partitioned by symbol, two workers of 4 GiB.

Every partition travels to one worker, once: joblib scatters an argument and remembers it as long as
the object lives, so two rounds of tasks on the same partitions send nothing again. A symbol's rows
need no other symbol's, so labels and features of a partition are those of the whole panel, to the
last bit; that is checked on the first and last partition. The plain alternative is one process.
``--symbols N`` runs a part of the market.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _harness import Claim, report
import joblib
import numpy as np

from sktrain import AdaptiveLabeler, BarFeatures
from sktrain.datasets import make_market

N_SYMBOLS, N_BARS, PARTS, LIMIT = 5_000, 2_520, 50, 4


def by_symbol(bars, n_parts):
    """Frames of whole symbols, in order; symbols stand together in a panel."""
    codes = bars.index.codes[0]
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    edges = [*starts[np.linspace(0, len(starts), n_parts, endpoint=False).astype(int)], len(bars)]
    parts = [bars.iloc[start:end] for start, end in zip(edges, edges[1:])]
    return [part.set_axis(part.index.remove_unused_levels()) for part in parts]


def prepared(part):
    """Features and labels of a partition."""
    labelled = AdaptiveLabeler(horizon=5, base_threshold=0.43, scaling="sigma").fit_resample(part)
    return BarFeatures(dtype="float32").fit_transform(labelled[0]), labelled[1]


def moments(part):
    """What a ridge regression on the labels needs of a partition: sums, not rows."""
    X, y = prepared(part)
    X = np.nan_to_num(X.to_numpy(np.float64))
    return X.T @ X, X.T @ np.asarray(y, dtype=np.float64), len(X)


def shares(part):
    """Counts of the labels of a partition."""
    return np.unique(np.asarray(prepared(part)[1]), return_counts=True)


def held(dask_worker):
    """Bytes of data that a worker holds, and the peak of its memory in GiB."""
    import resource

    from dask.sizeof import sizeof

    data = sum(sizeof(value) for value in dict(dask_worker.data).values())
    return data, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def on_a_cluster(parts):
    """Two rounds of tasks; what they found, and what the workers held."""
    from dask.distributed import Client, LocalCluster

    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        LocalCluster(memory_limit=f"{LIMIT}GiB", **settings) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        one = joblib.Parallel()(joblib.delayed(moments)(part) for part in parts)
        two = joblib.Parallel()(joblib.delayed(shares)(part) for part in parts)
        workers = list(client.run(held).values())
    return one, two, workers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a small market, no results written")
    parser.add_argument("--symbols", type=int, default=N_SYMBOLS, help="of the market")
    options = parser.parse_args()
    n_symbols, n_bars = (12, 300) if options.smoke else (options.symbols, N_BARS)
    bars = make_market(n_bars, n_symbols, random_state=0).bars
    bars.attrs = {}
    parts = by_symbol(bars, min(PARTS, n_symbols))
    start = time.perf_counter()
    one, two, workers = on_a_cluster(parts)
    took = time.perf_counter() - start
    size = sum(part.memory_usage().sum() for part in parts)
    copies = sum(data for data, _ in workers) / size
    most = max(peak for _, peak in workers)
    apart = 0.0
    for place in (0, -1):
        expected, rows = moments(parts[place]), one[place]
        apart = max(apart, *(float(np.abs(a - b).max()) for a, b in zip(expected, rows)))
    counted = sum(int(counts.sum()) for _, counts in two)
    note = f"{len(bars):,} rows, {len(parts)} partitions, {took:.0f} s with the cluster's start"
    report(
        "dask",
        [
            Claim("peak memory of a worker", most, LIMIT, unit="GiB", note=note, smoke=True),
            Claim("copies of the panel on the workers after two rounds", copies, 1.5, unit="x"),
            Claim("difference to one process", apart, 0.0, smoke=True),
            Claim("rows counted", counted / sum(n for *_, n in one), 1.0, ">=", smoke=True),
        ],
        smoke=options.smoke,
    )


if __name__ == "__main__":
    main()
