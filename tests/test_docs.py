"""Every Python block of the README and the guides runs as written, page by page; the README's figures are current."""

from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python(?P<flags>[^\n]*)\n(?P<code>.*?)^```", re.M | re.S)
SLOW = {"README.md", "scale.md"}


def blocks(page):
    return [match["code"] for match in BLOCK.finditer(page.read_text()) if "notest" not in match["flags"]]


WITH_CODE = [page for page in PAGES if blocks(page)]


def test_the_guides_hold_code():
    assert len(WITH_CODE) >= 10


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.name, marks=[pytest.mark.slow] if p.name in SLOW else []) for p in WITH_CODE]
)
def test_code_of_a_page_runs(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks(page)))
    done = subprocess.run([sys.executable, "-W", "ignore", str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]


def test_readme_figures_are_generated():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from render_readme import everything, rendered, results

    text = (ROOT / "README.md").read_text()
    assert rendered(text) == text, "run python benchmarks/render_readme.py"
    page = (ROOT / "docs" / "figures.md").read_text()
    assert everything() == page, "run python benchmarks/render_readme.py"
    assert text.count("| `") - page.count("**not met**") == text.partition("<!-- figures")[0].count("| `")  # no miss is left out
    assert sum(len(claims) for _, claims in results()) > 200


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_reference_pages_are_built_from_docstrings(tmp_path):
    pytest.importorskip("mkdocs")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "api" / "splits" / "index.html").read_text()
    assert "EnhancedWalkForwardCV" in page


def test_every_room_has_a_reference_page():
    import sktrain

    pages = {page.stem for page in (ROOT / "docs" / "api").glob("*.md")}
    assert pages >= {room for room in sktrain._ROOMS if not room.startswith("_")}
