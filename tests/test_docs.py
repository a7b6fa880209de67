"""Every Python block of the README and the guides runs as written, page by page; the README's
figures are current."""

import ast
from html.parser import HTMLParser
from importlib import import_module
import inspect
import os
from pathlib import Path
import re
import subprocess
import sys
from urllib.parse import unquote, urlsplit
import zlib

import pytest

import sktrain

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python(?P<flags>[^\n]*)\n(?P<code>.*?)^```", re.M | re.S)
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
SLOW = {"README.md", "scale.md"}


def blocks(page):
    return [
        match["code"]
        for match in BLOCK.finditer(page.read_text())
        if "notest" not in match["flags"]
    ]


WITH_CODE = [page for page in PAGES if blocks(page)]


def test_the_guides_hold_code():
    assert len(WITH_CODE) >= 10


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, id=p.name, marks=[pytest.mark.slow] if p.name in SLOW else [])
        for p in WITH_CODE
    ],
)
def test_code_of_a_page_runs(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks(page)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        cwd=tmp_path, capture_output=True, text=True, timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_readme_figures_are_generated():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from render_readme import everything, recipe_tables, rendered, results, summary

    text = (ROOT / "README.md").read_text()
    assert rendered(text, summary()) == text, "run python benchmarks/render_readme.py"
    guide = (ROOT / "docs" / "ensemble.md").read_text()
    assert rendered(guide, "\n".join(recipe_tables())) == guide
    page = (ROOT / "docs" / "figures.md").read_text()
    assert everything() == page, "run python benchmarks/render_readme.py"
    missed = [claim for _, claims in results() for claim in claims if not claim["holds"]]
    assert page.count("**not met**") == len(missed)
    table = text.partition("<!-- figures")[2]
    for claim in missed:  # none is left out
        where, _, what = claim["name"].rpartition(": ")
        shown = [line for line in table.splitlines() if where in line and what in line]
        assert any(f"{claim['value']:.4g}" in line for line in shown), claim["name"]
    assert sum(len(claims) for _, claims in results()) > 200


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_page_of_the_gallery(path):
    text = path.read_text()
    _, title, underline, *_ = text.splitlines()
    assert text.startswith('"""\n')
    assert title
    assert underline == "=" * len(title)
    cells = text.split("\n# %%\n")[1:]
    assert len(cells) >= 3
    for cell in cells:  # a heading or a sentence, then code
        assert cell.startswith("# ")
    assert re.search(r"[a-z]Display(\.from_\w+)?\(", text)
    assert ".plot()" in text
    assert max(map(len, text.splitlines())) <= 100
    features = ast.walk(ast.parse(text))  # made inside of the folds, as a step of a pipeline
    assert not [
        node.lineno
        for node in features
        if isinstance(node, ast.Attribute)
        and node.attr in {"transform", "fit_transform"}
        and re.match(r"(Bar|News)Features\(", ast.unparse(node.value))
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built pages, examples not executed; warnings are errors."""
    pytest.importorskip("sphinx")
    out = tmp_path_factory.mktemp("site")
    build = [
        sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs",
        str(out),
    ]
    quick = {**os.environ, "DOCS_WITHOUT_EXAMPLES": "1"}
    done = subprocess.run(build, cwd=ROOT, env=quick, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def inventory(site):
    """Every anchor of the built reference."""
    lines = (site / "objects.inv").read_bytes().split(b"\n", 4)
    return {
        line.split(" ")[0]
        for line in zlib.decompress(lines[4]).decode().splitlines()
        if " py:" in line
    }


class Page(HTMLParser):
    """Anchors of a page, and what it links to or shows."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.targets = set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        self.targets += [attrs[name] for name in ("href", "src") if attrs.get(name)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_links_of_the_built_pages_lead_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.parent.name != "_static"}
    lost = []
    for path, page in pages.items():
        for link in map(urlsplit, page.targets):
            if link.scheme or link.netloc:
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            known = pages[target].anchors if target in pages else {link.fragment}
            if not target.exists() or (link.fragment and unquote(link.fragment) not in known):
                lost.append(f"{path.relative_to(site)} -> {link.geturl()}")
    assert not lost
    assert len(pages) > 40
    nets = pages[site / "nets.html"].targets  # names in the prose lead to the reference
    assert "api/nets.html#sktrain.GRUClassifier" in nets
    drawn = re.search(r"```text\n(.*?)```", (ROOT / "docs" / "which.md").read_text(), re.S)[1]
    named = [name for name in re.findall(r"\w+", drawn) if name in sktrain.__all__]
    which = "".join(target + "\n" for target in pages[site / "which.html"].targets)
    assert len(named) > 20
    assert not [name for name in named if not re.search(rf"#sktrain\.{name}(\.\w+)?$", which, re.M)]


def test_no_guide_is_overwritten_by_a_page_that_sphinx_writes():
    names = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert not names & {"search", "genindex", "py-modindex"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_public_name_and_method_has_an_anchor(inventory):
    called = (
        "fit partial_fit predict predict_proba transform fit_transform fit_resample split score "
        "get_params set_params"
    )
    missing = []
    for module in [sktrain, *(import_module(f"sktrain.{module}") for module in sktrain._MODULES)]:
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            known = f"sktrain.{name}" in inventory or f"{module.__name__}.{name}" in inventory
            if not known and name != "__version__":
                missing.append(f"{module.__name__}.{name}")
            if inspect.isclass(value):
                home = "sktrain" if f"sktrain.{name}" in inventory else module.__name__
                own = [
                    m
                    for m, v in vars(value).items()
                    if inspect.isfunction(v) and not m.startswith(("_", "on_"))
                ]
                own = [m for m in own if m not in ("forward", "extra_repr")]
                methods = {*own, *(m for m in called.split() if hasattr(value, m))}
                missing += [
                    f"{name}.{m}" for m in sorted(methods) if f"{home}.{name}.{m}" not in inventory
                ]
    assert not missing
    assert len(inventory) > 500
