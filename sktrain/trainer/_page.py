"""The parts of a report's page: text, tables and pictures as HTML. Everything that comes from a run
is escaped."""

import base64
from html import escape
import io
import re

from .._optional import require
from ..plotting import PALETTE

__all__ = [
    "EquityPicture",
    "VerdictPicture",
    "bullets",
    "page",
    "paragraph",
    "picture",
    "section",
    "table",
]

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:0 auto;padding:1rem}
body{color:#222;background:#fff;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:.2rem 0}
h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}
.verdict{font-size:1.1rem;background:#f3f6f9;border-left:4px solid #4878a8}
.verdict{padding:.7rem 1rem;margin:1rem 0}
.warning{background:#fdf6e7;border-left:4px solid #d9a441;padding:.5rem 1rem;margin:.6rem 0}
.flag{white-space:nowrap}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #eee}
th,td{white-space:nowrap;overflow-wrap:normal}
.facts td+td{white-space:normal;overflow-wrap:anywhere;text-align:left}
th{white-space:normal;vertical-align:bottom}th:first-child,td:first-child{text-align:left}
img{width:100%;max-width:44rem;height:auto}
figure{margin:1rem 0}figcaption{color:#555;font-size:.85rem}
pre{white-space:pre-wrap;background:#f7f7f7;padding:.6rem;font-size:.8rem}
code{background:#f3f3f3;padding:0 .2rem}
.status{font-weight:600}.PASS{color:#2a7d3f}.FAIL{color:#b03a2e}
.INCONCLUSIVE,.NOT_CHECKED{color:#a06a00}
footer{margin-top:3rem;color:#777;font-size:.8rem}
"""
#: inches of a picture: shown 360 pixels wide on a phone, its letters are still as high as 11 pixels
_WIDTH = 6.4


def page(title, verdict, body):
    """The whole document."""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<link rel='icon' href='data:,'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p class='verdict'>{escape(verdict)}</p>{body}"
        "<footer>Every number on this page was measured in this run.</footer></body></html>"
    )


def section(title, *parts):
    """A heading and what stands under it."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text, kind=None):
    """A paragraph of plain text."""
    return f"<p{'' if kind is None else f' class={chr(39)}{kind}{chr(39)}'}>{escape(text)}</p>"


def bullets(lines):
    """A list of plain texts; a flag such as ``--data`` is not broken at its hyphens."""
    flag = re.compile(r"--[a-z][a-z-]*")
    items = (flag.sub(r"<span class='flag'>\g<0></span>", escape(one)) for one in lines)
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def table(head, rows):
    """A table of texts that scrolls in its own box where it is wider than the screen."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f"<div class='wide'><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def picture(display, words):
    """A Display as an inline picture with words under it, which are also read aloud."""
    from matplotlib import pyplot, rc_context

    with rc_context({"font.size": 11, "legend.fontsize": 10}):
        display.plot()
        figure = display.figure_
        width, height = figure.get_size_inches()
        figure.set_size_inches(_WIDTH, max(3.2, height * _WIDTH / width * 1.25))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
    pyplot.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f"<figure><img alt='{escape(words)}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _pyplot():
    return require("matplotlib.pyplot", extra="plot", caller="the run report")


class VerdictPicture:
    """Confusion matrix and calibration of the test block."""

    def __init__(self, test):
        self.test = test

    def plot(self):
        """Draw both under each other, each wide enough for a phone."""
        import numpy as np

        figure, (upper, lower) = _pyplot().subplots(
            2, 1, figsize=(_WIDTH, 7.5), layout="constrained"
        )
        counts, names = np.array(self.test["confusion"]), self.test["classes"]
        upper.imshow(counts, cmap="Blues", aspect="auto")
        for row, column in np.ndindex(*counts.shape):
            dark = counts[row, column] > counts.max() / 2
            upper.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                color="white" if dark else "black",
            )
        places = range(len(names))
        upper.set(
            xticks=places,
            xticklabels=names,
            yticks=places,
            yticklabels=names,
            xlabel="said",
            ylabel="was",
        )
        lower.plot([0, 1], [0, 1], color=PALETTE["price"], linewidth=0.7, linestyle=":")
        for number, (name, curve) in enumerate(self.test["calibration"].items()):
            lower.plot(
                curve["confidence"],
                curve["accuracy"],
                marker="o",
                markersize=3,
                color=f"C{number}",
                label=name,
            )
        lower.set(
            xlabel="confidence of the answer",
            ylabel="how often it was right",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        lower.legend()
        self.figure_ = figure
        return self


class EquityPicture:
    """Wealth of following the model and of holding the market."""

    def __init__(self, earned):
        self.earned = earned

    def plot(self):
        """Draw both curves."""
        import numpy as np
        import pandas as pd

        times = pd.to_datetime(np.array(self.earned["times"], dtype="int64"), unit="ns")
        figure, ax = _pyplot().subplots(figsize=(_WIDTH, 3.6), layout="constrained")
        for name, colour in (("model", PALETTE["line"]), ("buy and hold", PALETTE["other"])):
            ax.plot(times, self.earned[name]["equity"], color=colour, linewidth=1.2, label=name)
        ax.axhline(1.0, color=PALETTE["price"], linewidth=0.6, linestyle=":")
        ax.set(ylabel="wealth, from 1")
        ax.tick_params(axis="x", rotation=30)
        ax.legend()
        self.figure_ = figure
        return self
