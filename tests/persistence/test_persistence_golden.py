"""Files of every format that was ever written open, and predict what they predicted then."""

from pathlib import Path

import numpy as np
from persistence.make_golden import answers, models, table
import pytest

from sktrain import load
from sktrain.exceptions import CorruptFileError
from sktrain.persistence import read_manifest

KINDS = {"compressed", "int4", "pruned", "quantized", "scikit_learn", "vote"}  # of format 1
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.sktrain"))


def test_there_are_golden_files_of_the_present_format():
    from sktrain.persistence._file import FORMAT

    names = {path.stem for path in GOLDEN}
    assert names >= {f"format1_{name}" for name in KINDS} | {
        f"format{FORMAT}_{name}" for name in models()
    }
    assert max(path.stat().st_size for path in GOLDEN) < 2**16


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.filterwarnings(
    "ignore::sktrain.exceptions.ColdStartWarning", "ignore::sktrain.exceptions.VersionDriftWarning"
)
def test_a_golden_file_opens_and_predicts_as_it_did(path):
    model, expected = load(path), np.load(path.with_suffix(".npy"))
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(answers(model), expected, atol=1e-5)
    else:
        np.testing.assert_array_equal(answers(model), expected)
    assert model.classes_.tolist() == ["buy", "hold", "sell"]
    manifest = read_manifest(path)
    assert manifest["format"] == int(path.stem[6])
    assert 0 < manifest["scores"]["accuracy"] <= 1
    assert manifest["probe"] == {"rows": 8, "of": "model"}


def test_a_detector_and_a_guard_are_among_them():
    """What is not only asked again, but goes on: a check, an update."""
    found = {path.stem: path for path in GOLDEN}
    X, y = table(200)
    detector = load(found["format2_detector"])[0]
    assert detector.check(X[120:] + 5)["drift_detected"]
    guard = load(found["format2_guard"])
    before = len(guard.log_)
    guard.partial_fit(X.loc[:, ["a", "b"]][90:130], y[90:130])
    assert len(guard.log_) > before > 0


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
    for name, make in models().items():
        model = make()
        assert answers(model).shape[0] == 50, name
