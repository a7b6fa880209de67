"""The guide's code runs as it stands."""

from pathlib import Path
import re

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "news.md"


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.SktrainWarning")
def test_the_guide_runs(minilm):
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert names["table"].shape[0] == 300
    assert names["vectors"].shape == (2, 384)
    assert names["share"] == 1.0
    assert (names["joined"]["n_articles"] == 0).any()
