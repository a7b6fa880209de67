"""read_bars on a CSV of a million one-minute bars, against pandas.read_csv on the same columns.

The plain alternative parses the same columns and dates, and checks nothing. Memory is the peak of a
process that reads the file above what it held before, in frames.
"""

from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory

from _harness import Claim, arguments, paired, report
import numpy as np
import pandas as pd

from sktrain.datasets import make_market, read_bars

_PEAK = """
import sys, threading
import psutil
from sktrain.datasets import read_bars
small, large = sys.argv[1:]
read_bars(small)  # every module is loaded, every first use is over
me, done = psutil.Process(), threading.Event()
before, peak = me.memory_info().rss, 0
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, me.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
bars = read_bars(large)
done.set()
watcher.join()
print((peak - before) / bars.memory_usage().sum())
"""


def main(smoke):
    n = 50_000 if smoke else 1_000_000
    bars = make_market(n, random_state=0).bars
    bars.index = pd.date_range("2020-01-01", periods=n, freq="min", name="time", unit="ns")
    with TemporaryDirectory() as folder:
        path, small = Path(folder, "bars.csv"), Path(folder, "small.csv")
        bars.to_csv(path)
        bars.iloc[:2000].to_csv(small)
        read = read_bars(path)
        plain = pd.read_csv(path, parse_dates=["time"], index_col="time")
        if not np.array_equal(read.to_numpy(), plain.to_numpy()) or not read.index.equals(
            plain.index
        ):
            raise SystemExit("bench_read: read_bars and pandas.read_csv disagree")
        del read, plain
        ours, theirs, ratio = paired(
            lambda: read_bars(path), lambda: pd.read_csv(path, parse_dates=["time"]), repeat=7
        )
        command = [sys.executable, "-W", "ignore", "-c", _PEAK, str(small), str(path)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    note = f"{n} bars: {ours:.2f} s, pandas {theirs:.2f} s"
    report(
        "read",
        [
            Claim("read_bars / pandas.read_csv", ratio, 1.5, unit="x", note=note),
            Claim("peak memory of read_bars / its frame", peak, 3.0, unit="x", note=f"{n} bars"),
        ],
        smoke=smoke,
    )


if __name__ == "__main__":
    main(arguments(__doc__).smoke)
