"""Files written in any way: read right or refused, never wrong."""

import warnings

from bar_layouts import differs, draw

from sktrain.datasets import read_bars
from sktrain.exceptions import InvalidBarsError

DRAWN = 30
READ = 0.85  # of the files; the others leave something open, such as 03/04/05 or 12,345


def test_files_in_any_layout_are_read_right_or_refused(tmp_path):
    right = 0
    for seed in range(DRAWN):
        name, content, frame, told = draw(seed)
        path = tmp_path / name
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                bars = read_bars(path)
        except InvalidBarsError:
            continue
        finally:
            path.unlink()
        assert not (wrong := differs(bars, frame)), f"seed {seed}: {wrong}; {told}"
        right += 1
    assert right >= READ * DRAWN
