"""Label spans and the purging kernel on a million rows: seconds, and the ratio to a loop over rows
(extrapolated from a part)."""

from _harness import Claim, arguments, report, seconds
import numpy as np
import pandas as pd

from sktrain._spans import Spans, cut_blocks
from sktrain._validation import label_spans

HORIZON, EMBARGO = 20, 10


def purge_row_by_row(start, end, low, high, axis, embargo):
    """The kernel's sentences for one tested block of positions [low, high], one row at a time."""
    latest = max(end[low : high + 1])
    train = []
    for row in range(len(start)):
        if row < low:
            train.append(end[row] < axis[low] and end[row] < axis[low - embargo])
        elif row > high:
            train.append(start[row] > latest + embargo)
        else:
            train.append(False)
    return train


def spans_row_by_row(index, horizon):
    """End time of every label, one row at a time: the bar ``horizon`` ahead, past the end the next
    nanoseconds."""
    n, ends = len(index), []
    for row in range(n):
        ahead = row + horizon
        ends.append(index[ahead] if ahead < n else index[n - 1] + pd.Timedelta(ahead - n + 1, "ns"))
    return ends


def main():
    smoke = arguments(__doc__).smoke
    n, part = (50_000, 10_000) if smoke else (1_000_000, 50_000)
    rows = pd.DataFrame({"x": np.zeros(n)}, index=pd.date_range("2000", periods=n, freq="min"))
    spans, _ = label_spans(rows, horizon=HORIZON)
    everyone = np.ones(n, dtype=bool)

    def kernel(spans, n):
        return cut_blocks(spans, [(n // 2, n // 2 + n // 10)], everyone[:n], embargo=EMBARGO)

    times = np.arange(part)
    small = Spans.from_times(times, times + HORIZON)
    tested = part // 2, part // 2 + part // 10
    arrays = small.start, small.end, *tested, small.axis, EMBARGO
    lists = small.start.tolist(), small.end.tolist(), *tested, small.axis.tolist(), EMBARGO
    np.testing.assert_array_equal(kernel(small, part).train, purge_row_by_row(*arrays))
    head = rows.index[:part].as_unit("ns")
    ends = [stamp.value for stamp in spans_row_by_row(head, HORIZON)]
    np.testing.assert_array_equal(label_spans(rows.iloc[:part], horizon=HORIZON)[0].end, ends)

    cut = seconds(lambda: kernel(spans, n), repeat=11)
    make = seconds(lambda: label_spans(rows, horizon=HORIZON), repeat=11)
    cut_loop, lists_loop, make_loop = (
        seconds(function, repeat=3, warmup=0) * n / part
        for function in (
            lambda: purge_row_by_row(*arrays),
            lambda: purge_row_by_row(*lists),
            lambda: spans_row_by_row(head, HORIZON),
        )
    )
    note = f"{{:.3f}} s, extrapolated from {part:,} rows"
    claims = [
        Claim(f"label_spans, {n:,} rows", make, 1.0, "<=", "s", smoke=True),
        Claim(f"cut_blocks, {n:,} rows", cut, 1.0, "<=", "s", smoke=True),
        Claim(
            "label_spans, faster than the loop over rows",
            make_loop / make,
            100.0,
            ">=",
            "x",
            note.format(make_loop),
        ),
        Claim(
            "cut_blocks, faster than the loop over rows of arrays",
            cut_loop / cut,
            100.0,
            ">=",
            "x",
            note.format(cut_loop),
        ),
        Claim(
            "cut_blocks, faster than the loop over rows of plain lists",
            lists_loop / cut,
            None,
            ">=",
            "x",
            note.format(lists_loop),
        ),
    ]
    report("spans", claims, smoke=smoke)


if __name__ == "__main__":
    main()
