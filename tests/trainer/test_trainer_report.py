"""The run report in a real browser: no console errors, every picture drawn, readable on a phone."""

import re
import shutil
import subprocess

import pytest

from sktrain import EnhancedTrainer, EnhancedTrainingConfig
from sktrain.datasets import make_market
from sktrain.exceptions import PersistenceError
from sktrain.trainer.report import write_report

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
PROBE = """<script>
window.onload = () => {
  const pictures = [...document.images];
  const drawn = pictures.filter(one => one.naturalWidth > 100).length;
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  document.title = `pictures ${pictures.length} drawn ${drawn} overflow ${wide}`;
};
</script>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    config = EnhancedTrainingConfig(
        models=["mlp"],
        lookback=5,
        label_scaling="sigma",
        base_label_threshold=0.5,
        wf_folds=2,
        wf_min_samples_per_fold=50,
        early_stopping_min_epochs=1,
        prune_after_training=False,
        leakage_audit=False,
    )
    EnhancedTrainer(config, folder, make_market(900, random_state=0).bars).train(epochs=2)
    return folder


def browse(page, folder, width):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--no-first-run",
    ]
    command += [
        "--disable-component-update", "--disable-sync", "--disable-quic", "--enable-logging=stderr",
        f"--window-size={width},900",
    ]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; on Debian: apt-get install chromium"
)
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_every_picture_without_errors(run, tmp_path, width):
    page = tmp_path / "page.html"
    page.write_text((run / "report.html").read_text().replace("</body>", PROBE + "</body>"))
    done = browse(page, tmp_path, width)
    found = re.search(r"<title>pictures (\d+) drawn (\d+) overflow (-?\d+)</title>", done.stdout)
    assert found, done.stderr[-2000:]
    pictures, drawn, overflow = map(int, found.groups())
    assert pictures == drawn >= 4
    assert overflow <= 1  # wide tables scroll inside their own box
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_report_tells_what_was_measured(run):
    text = (run / "report.html").read_text()
    import json

    result = json.loads((run / "result.json").read_text())
    assert result["verdict"].replace("'", "&#x27;") in text
    for row in result["walk_forward_results"]:
        assert f"<td>{row['model_balanced_accuracy']:.1%}</td>" in text


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(PersistenceError, match="not the folder of a finished run"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(PersistenceError, match="damaged"):
        write_report(tmp_path)
