"""Files of every format that was ever written open, and predict what they predicted then."""

from pathlib import Path

import numpy as np
from persistence.make_golden import answers, models
import pytest

from sktrain import load
from sktrain.exceptions import CorruptFileError
from sktrain.persistence import read_manifest

KINDS = {"compressed", "int4", "pruned", "quantized", "scikit_learn", "vote"}  # of format 1
PLAIN = {"forest", "scikit_learn", "search", "vectors"}  # of every later format, nets beside them
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.sktrain"))


def test_there_are_golden_files_of_the_present_format():
    from sktrain.persistence._file import FORMAT

    names = {path.stem for path in GOLDEN}
    assert names >= {f"format1_{name}" for name in KINDS} | {f"format{FORMAT}_{name}" for name in PLAIN}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.ColdStartWarning", "ignore::sktrain.exceptions.VersionDriftWarning")
def test_a_golden_file_opens_and_predicts_as_it_did(path):
    model, expected = load(path), np.load(path.with_suffix(".npy"))
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(answers(model), expected, atol=1e-5)
    else:
        np.testing.assert_array_equal(answers(model), expected)
    assert model.classes_.tolist() == ["buy", "hold", "sell"]
    manifest = read_manifest(path)
    assert manifest["format"] == int(path.stem[6])
    assert manifest["scores"]["accuracy"] > 0.3
    assert manifest["probe"] == {"rows": 8, "of": "model"}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_flipped_byte_in_a_golden_file_is_noticed(path, tmp_path):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 50):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "m.sktrain").write_bytes(broken)
        with pytest.raises(CorruptFileError):
            load(tmp_path / "m.sktrain")


@pytest.mark.slow
def test_the_recipe_of_the_golden_files_still_runs():
    assert set(models()) == KINDS | PLAIN
