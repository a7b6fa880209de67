"""The documentation: guides in Markdown, a reference made from the docstrings, and the examples,
executed."""

from importlib import import_module
import inspect
import os
from pathlib import Path
import re

from docutils import nodes
from sphinx import addnodes

import sktrain

project = "sktrain"
author = "The sktrain developers"
release = version = sktrain.__version__

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["gallery/*.py.md5", "gallery/*.ipynb", "gallery/*.zip"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

numpydoc_show_class_members = False  # the reference names each method itself, see _write_reference
autodoc_typehints = "none"  # numpydoc's parameter lists say the types
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = True

html_theme = "pydata_sphinx_theme"
html_title = f"sktrain {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"install": [], "which": []}  # pages without others beside them
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    # an example shows code and figures, which want the width
    "secondary_sidebar_items": {"*": ["page-toc"], "api/*": ["page-toc"], "gallery/*": []},
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "plot_gallery": os.environ.get("DOCS_WITHOUT_EXAMPLES") is None,
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "capture_repr": ("_repr_html_",),  # a plot's return value is no output
    "default_thumb_file": None,
}

HERE = Path(__file__).parent
# what a user calls on an object, wherever it is defined; other inherited methods are documented
# where they come from
VERBS = {
    *("fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "decision_function"),
    *("score", "transform", "fit_transform", "fit_resample", "fit_predict", "inverse_transform"),
    *("split", "get_n_splits", "get_feature_names_out", "get_params", "set_params", "set_output"),
    *("get_metadata_routing", "set_callbacks"),
}
PARAMETERS = {
    "get_params": "Parameters by name, as of scikit-learn's estimators.",
    "set_params": "Set parameters by name and return the object, as of scikit-learn's estimators.",
}


def is_hook(name):
    """Whether a method is a hook of skorch or torch, which those libraries call and document."""
    return name.startswith("on_") or name in {"forward", "extra_repr"}


def is_request(name):
    """Whether a method is one of scikit-learn's ``set_fit_request`` and its like, the same on every
    object."""
    return name.startswith("set_") and name.endswith("_request")


def public_names():
    """The page of the reference and the qualified name of every public object."""
    for package, names in sktrain._PACKAGES.items():
        page = package.removeprefix("_")
        page = {"history": "datasets", "validation": "labels"}.get(page, page)
        for name in names:
            yield page, f"sktrain.{name}"
    for package in sktrain._MODULES:
        for name in getattr(import_module(f"sktrain.{package}"), "__all__", ()):
            if name not in sktrain.__all__:
                yield package, f"sktrain.{package}.{name}"


def methods_of(cls):
    """Names of the public methods and properties that a user calls."""
    own = [c for c in cls.__mro__ if c.__module__.startswith("sktrain")]
    names = {name for c in own for name in vars(c)} | (VERBS & set(dir(cls)))
    for name in sorted(names):
        value = inspect.getattr_static(cls, name, None)
        callable_ = callable(value) or isinstance(value, (property, classmethod, staticmethod))
        hidden = name.startswith("_") or is_hook(name) or is_request(name)
        if not hidden and (callable_ or name in VERBS):
            yield name


def _entry(qualified):
    module, _, name = qualified.rpartition(".")
    value = getattr(import_module(module), name)
    if inspect.isclass(value):
        yield f".. autoclass:: {qualified}"
        members = () if issubclass(value, BaseException) else tuple(methods_of(value))
        if members:
            yield "   :members: " + ", ".join(members)
            yield "   :undoc-members:"
    elif callable(value):
        yield f".. autofunction:: {qualified}"
    else:
        yield f".. autodata:: {qualified}"
    yield ""


def _write_reference():
    """One page of reference for each package, from the public names; a file is only written when it
    changes."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    pages = {}
    for page, qualified in public_names():
        pages.setdefault(page, []).append(qualified)
    for page, names in pages.items():
        title = f"sktrain.{page}"
        lines = [title, "=" * len(title), ""]
        summary = (inspect.getdoc(import_module(f"sktrain.{page}")) or "").partition("\n\n")[0]
        lines += [summary, ""]
        for qualified in sorted(names, key=str.lower):
            short = qualified.removeprefix(f"sktrain.{page}.").removeprefix("sktrain.")
            lines += [short, "-" * len(short), "", *_entry(qualified)]
        text = "\n".join(lines)
        path = folder / f"{page}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    index = ["Reference", "=========", "", ".. toctree::", "   :maxdepth: 1", ""]
    (folder / "index.rst").write_text(
        "\n".join([*index, *(f"   {page}" for page in sorted(pages)), ""])
    )


_write_reference()


def _unlink_what_is_elsewhere(app, what, name, value, options, lines):
    """Docstrings inherited from other libraries refer to labels of their own pages: keep the words
    alone."""
    if str(getattr(value, "__module__", "")).startswith("sktrain"):
        return
    own = name.rpartition(".")[2]
    if not any(lines) and own in PARAMETERS:  # skorch's callbacks have them without a word
        lines[:] = [PARAMETERS[own]]
    for number, line in enumerate(lines):
        line = re.sub(r":(?:ref|term|doc|class|func|meth|mod):`([^`<]*?)\s*<[^`>]*>`", r"\1", line)
        lines[number] = re.sub(
            r":(?:ref|term|doc|class|func|meth|mod):`~?([^`]*)`", r"``\1``", line
        )


def _link_names(app, doctree):
    """Names of public objects in the prose of guides and examples lead to their reference."""
    if app.env.docname.startswith("api/"):
        return
    public = {qualified.rpartition(".")[2]: qualified for _, qualified in public_names()}
    for literal in list(doctree.findall(nodes.literal)):
        path = literal.astext().partition("(")[0].split(".")
        while path[0] in ("sktrain", *sktrain._MODULES) and len(path) > 1:
            path = path[1:]
        if path[0] not in public or isinstance(literal.parent, nodes.reference):
            continue
        target = ".".join([public[path[0]], *path[1:]])
        link = _link(target)
        literal.replace_self(link)
        link += literal
    for drawn in list(doctree.findall(nodes.literal_block)):
        if drawn.get("language") == "text":
            drawn.replace_self(_with_links(drawn, public))


def _link(target):
    return addnodes.pending_xref(
        "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=False
    )


def _with_links(drawn, public):
    """A picture drawn with characters in which the names of public objects are links."""
    block = nodes.literal_block("", "")  # without its source, so nothing is highlighted
    for part in re.split(r"([\w.]+)", drawn.astext()):
        name, _, method = part.partition(".")
        text = nodes.inline("", part) if name in public else nodes.Text(part)
        if name in public:
            link = _link(".".join(filter(None, (public[name], method))))
            link += text
            text = link
        block += text
    return block


def setup(app):
    """Run before numpydoc, which listens at the usual priority of 500."""
    app.connect("autodoc-process-docstring", _unlink_what_is_elsewhere, priority=400)
    app.connect("doctree-read", _link_names)
