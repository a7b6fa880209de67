"""read_bars of HDF5: times that pandas stored are what they were, as from a CSV of the same
frame."""

import pickle
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from sktrain.datasets import read_bars
from sktrain.exceptions import InvalidBarsError

pytest.importorskip("h5py")
pytest.importorskip("tables")
STAMPS = pd.date_range("2024-01-02 09:30", periods=20, freq="5min")
DAYS = pd.bdate_range("2024-01-02", periods=20)
ZONES = {"": None, "zone": ZoneInfo("America/New_York"), "UTC": "UTC", "offset": "+05:30"}


@pytest.mark.parametrize("form", ["fixed", "table"])
@pytest.mark.parametrize("zone", ZONES)
def test_times_are_those_that_were_stored(form, zone, tmp_path):
    cases = [(STAMPS, True, "ns"), (STAMPS, False, "s")] + ([] if zone else [(DAYS, True, "us")])
    for times, index, unit in cases:
        stored = times.tz_localize(ZONES[zone]).as_unit(unit).rename("time")
        price = np.arange(20) + 100.0
        frame = pd.DataFrame(
            {"open": price, "high": price + 1, "low": price - 1, "close": price, "volume": 5},
            stored,
        )
        frame = frame if index else frame.reset_index()
        frame.to_hdf(tmp_path / "bars.h5", key="bars", mode="w", format=form)
        bars = read_bars(tmp_path / "bars.h5")
        frame.to_csv(tmp_path / "bars.csv", index=index)
        assert bars.index.equals(read_bars(tmp_path / "bars.csv").index), (bars.index[0], times[0])
        expected = stored if zone and times is STAMPS else times
        assert list(bars.index) == list(expected)


def test_nothing_in_a_file_is_run(tmp_path):
    h5py = pytest.importorskip("h5py")
    price = np.arange(20) + 100.0
    frame = pd.DataFrame(
        {"open": price, "high": price, "low": price, "close": price, "volume": 5}, STAMPS
    )
    path = tmp_path / "bars.h5"
    frame.to_hdf(path, key="bars", mode="w", format="table")
    mark = tmp_path / "mark"

    class Wicked:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    with h5py.File(path, "r+") as file:
        del file["bars"].attrs["info"]
        file["bars"].attrs["info"] = np.bytes_(
            pickle.dumps({"index": {"tz": Wicked()}}, protocol=0)
        )
    with pytest.raises(
        InvalidBarsError, match="bars.h5.*names a zone of its times that does not exist"
    ):
        read_bars(path)
    assert not mark.exists()
