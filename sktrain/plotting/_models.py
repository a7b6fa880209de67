"""Displays of models: learning curves, drift, search, compression. Each holds numbers; ``.plot``
draws them."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd

from .._models import last_step, voters
from .._typing import Estimator
from ._canvas import PALETTE, axes, grid_of_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CompressionDisplay", "DriftDisplay", "LearningCurveDisplay", "SearchDisplay"]


class LearningCurveDisplay:
    """Training and validation loss per epoch.

    Parameters
    ----------
    curves : dict of str to DataFrame
        By net: columns ``train_loss`` and, where there was validation, ``valid_loss``, indexed by
        epoch from 1.
    best_epochs : dict of str to int, optional
        The epoch whose weights were kept.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import LearningCurveDisplay
    >>> LearningCurveDisplay(
    ...     {"gru": pd.DataFrame({"train_loss": [1.0, 0.8]}, index=[1, 2])}
    ... ).curves["gru"].shape
    (2, 1)
    """

    def __init__(self, curves: dict, best_epochs: dict | None = None) -> None:
        self.curves, self.best_epochs = curves, best_epochs or {}

    @classmethod
    def from_estimator(cls, estimator: Estimator, name: str = "net") -> Self:
        """Read the history of a fitted net, or of every net of an ensemble.

        Parameters
        ----------
        estimator : estimator
            A fitted net, a pipeline that ends in one, a voting ensemble of nets, or a search or
            guard (anything with ``best_estimator_`` or ``estimator_``) around one of these.
        name : str, default="net"
            Label of a single net.

        Returns
        -------
        LearningCurveDisplay
            Not drawn yet.
        """
        curves, best = {}, {}
        for key, one in voters(estimator, name).items():
            if not getattr(one, "history_", None):
                continue
            curves[key] = history_frame(one.history_)
            valid = curves[key].get("valid_loss", curves[key]["train_loss"])
            best[key] = int(valid.idxmin())
        if not curves:
            raise ValueError(
                f"{type(last_step(estimator)).__name__} keeps no training history; pass a "
                "fitted sktrain net, pipeline or ensemble."
            )
        return cls(curves, best)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw training and validation loss by epoch.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        ax = axes(ax, "LearningCurveDisplay")
        for number, (name, curve) in enumerate(self.curves.items()):
            colour = f"C{number}"
            ax.plot(
                curve.index,
                curve["train_loss"],
                color=colour,
                linestyle="--",
                label=f"{name}, training",
            )
            if "valid_loss" in curve:
                ax.plot(curve.index, curve["valid_loss"], color=colour, label=f"{name}, validation")
            if name in self.best_epochs:
                ax.axvline(
                    self.best_epochs[name], color=colour, linewidth=0.6, label=f"{name}, kept"
                )
        ax.set(xlabel="epoch", ylabel="loss")
        locator: Any = ax.xaxis.get_major_locator()  # matplotlib's own, which takes integers
        locator.set_params(integer=True)
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def history_frame(history):
    """Losses per epoch of a skorch history, as a DataFrame indexed by epoch."""
    rows = [
        {key: row[key] for key in ("train_loss", "valid_loss", "valid_acc") if key in row}
        for row in history
    ]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="epoch"))


class DriftDisplay:
    """Drift of every feature, at one check or over time.

    Parameters
    ----------
    psi : DataFrame, shape (n_checks, n_features)
        Population stability index by check and feature.
    threshold : float
        The value from which an effect counts.
    report : DriftReport, optional
        The last check; its histograms are drawn when there is only one.

    Examples
    --------
    >>> from sktrain import BarFeatures, DriftDetector, DriftDisplay
    >>> from sktrain.datasets import load_sp500
    >>> features = BarFeatures().fit_transform(load_sp500()).dropna()
    >>> report = DriftDetector().fit(features.iloc[:2000]).check(features.iloc[2000:2500])
    >>> DriftDisplay.from_reports(report).psi.shape[0]
    1
    """

    def __init__(self, psi: pd.DataFrame, threshold: float, report: Any = None) -> None:
        self.psi, self.threshold, self.report = psi, threshold, report

    @classmethod
    def from_reports(
        cls, reports: Any, *, threshold: float = 0.1, index: ArrayLike | None = None
    ) -> Self:
        """Collect one report, or a sequence of them over time.

        Parameters
        ----------
        reports : DriftReport or iterable of DriftReport
            One check, or several over time.
        threshold : float, default=0.1
            Population stability index that counts as drift.
        index : array-like, optional
            Time of each check; default their numbers.

        Returns
        -------
        DriftDisplay
            Not drawn yet.
        """
        reports = [reports] if hasattr(reports, "per_feature") else list(reports)
        if not reports:
            raise ValueError("reports is empty: nothing to draw.")
        psi = pd.DataFrame([one["per_feature"]["psi"] for one in reports])
        psi.index = pd.RangeIndex(len(reports), name="check") if index is None else index
        return cls(psi, threshold, reports[-1])

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw bars for one check, a heat map for several.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        many = len(self.psi) > 1
        ax = axes(ax, "DriftDisplay", figsize=(9, 0.22 * self.psi.shape[1] + 1.5))
        if many:
            image = ax.imshow(
                self.psi.T.to_numpy(dtype=float),
                aspect="auto",
                cmap="magma_r",
                vmin=0,
                vmax=5 * self.threshold,
                interpolation="nearest",
            )
            ax.figure.colorbar(image, ax=ax, label="PSI", extend="max")
            ax.set(
                yticks=range(self.psi.shape[1]),
                yticklabels=self.psi.columns,
                xlabel=str(self.psi.index.name or "check"),
            )
        else:
            values = self.psi.iloc[0].sort_values()
            drifted = (
                self.report["per_feature"]["drifted"].reindex(values.index).to_numpy(dtype=bool)
                if self.report is not None
                else values.to_numpy(dtype=float) > self.threshold
            )
            for kind, color, drawn in (
                ("drifted", PALETTE["other"], drifted),
                ("not shown to drift", PALETTE["line"], ~drifted),
            ):
                if drawn.any():
                    at = np.flatnonzero(drawn)
                    ax.barh(at, values.to_numpy(dtype=float)[at], color=color, label=kind)
            ax.set_yticks(range(len(values)), values.index.astype(str))
            ax.margins(y=0.01)
            ax.axvline(
                self.threshold,
                color=PALETTE["price"],
                linewidth=0.8,
                linestyle="--",
                label=f"threshold {self.threshold:g}",
            )
            ax.set(xlabel="population stability index")
            ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


class SearchDisplay:
    """Scores of the trials of a search in the order they were made, and the best so far.

    Parameters
    ----------
    scores : ndarray, shape (n_trials,)
        Mean score; NaN for pruned and failed trials.
    states : ndarray of str, shape (n_trials,)
        State of each trial.
    luck : float, optional
        The best score expected from luck alone.

    Examples
    --------
    >>> from sktrain import SearchDisplay
    >>> SearchDisplay([0.5, 0.6], ["complete", "complete"]).best.tolist()
    [0.5, 0.6]
    """

    def __init__(self, scores: np.ndarray, states: np.ndarray, luck: float | None = None) -> None:
        self.scores, self.states, self.luck = (
            np.asarray(scores, dtype=float),
            np.asarray(states),
            luck,
        )

    @property
    def best(self) -> np.ndarray:
        """Best score up to each trial."""
        return np.fmax.accumulate(self.scores)

    @classmethod
    def from_estimator(cls, search: Any) -> Self:
        """Read the trials of a fitted search.

        Parameters
        ----------
        search : OptunaSearchCV or other fitted search
            With ``cv_results_``.

        Returns
        -------
        SearchDisplay
            Not drawn yet.
        """
        results = search.cv_results_
        scores = results.get("mean_test_score")
        if scores is None:
            scores = results[
                f"mean_test_{search.refit}"
                if isinstance(search.refit, str)
                else next(k for k in results if k.startswith("mean_test_"))
            ]
        states = results.get("state", np.full(len(scores), "complete"))
        return cls(
            scores, states, getattr(getattr(search, "overfit_report_", None), "expected_luck", None)
        )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the score of every trial and the best so far.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        ax = axes(ax, "SearchDisplay")
        number = np.arange(1, len(self.scores) + 1)
        ax.scatter(number, self.scores, s=14, color=PALETTE["line"], label="trial")
        ax.step(number, self.best, where="post", color=PALETTE["price"], label="best so far")
        lost = np.isnan(self.scores)
        if lost.any():
            floor = np.nanmin(self.scores) if not lost.all() else 0.0
            ax.scatter(
                number[lost],
                np.full(lost.sum(), floor),
                marker="x",
                color=PALETTE["purged"],
                label="pruned or failed",
            )
        if self.luck is not None and np.isfinite(self.luck):
            ax.axhline(
                self.luck, color=PALETTE["other"], linestyle="--", label="best expected from luck"
            )
        ax.set(xlabel="trial", ylabel="score")
        ax.legend(fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _unit_of(name):
    """Title, unit and its size, of a figure whose name may end with its unit."""
    for ending, unit, scale in (("_bytes", " KiB", 1024), ("_ms", " ms", 1)):
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " "), unit, scale
    return name.replace("_", " "), "", 1


def _number(value):
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


class CompressionDisplay:
    """Size, latency and score before and after compression.

    Parameters
    ----------
    table : DataFrame
        Columns ``before`` and ``after``; rows such as ``size_bytes``, ``latency_ms`` and ``score``.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain import CompressionDisplay
    >>> display = CompressionDisplay(
    ...     pd.DataFrame({"before": [100.0], "after": [25.0]}, index=["size_bytes"])
    ... )
    >>> float(display.ratios["size_bytes"])
    0.25
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    @property
    def ratios(self) -> pd.Series:
        """After divided by before, by row."""
        return self.table["after"] / self.table["before"]

    @classmethod
    def from_report(cls, report: Any) -> Self:
        """Read a comparison of a model before and after compression.

        Parameters
        ----------
        report : CompressionReport or mapping
            With ``before`` and ``after`` mappings, or ``<figure>_before`` and ``<figure>_after``
            entries.

        Returns
        -------
        CompressionDisplay
            Not drawn yet.
        """
        report = report if isinstance(report, dict) else dict(report)
        if "before" in report and "after" in report:
            return cls(
                pd.DataFrame({"before": report["before"], "after": report["after"]}).dropna()
            )
        names = [
            key[: -len("_before")]
            for key in report
            if key.endswith("_before") and f"{key[: -len('_before')]}_after" in report
        ]
        rows = {
            name: {"before": report[f"{name}_before"], "after": report[f"{name}_after"]}
            for name in names
        }
        return cls(
            pd.DataFrame.from_dict(rows, orient="index")
            .apply(pd.to_numeric, errors="coerce")
            .dropna()
        )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw one pair of bars per figure.

        Parameters
        ----------
        ax : sequence of matplotlib axes, optional
            One per figure; default a new figure.

        Returns
        -------
        self
            The display, with ``ax_`` and ``figure_``.
        """
        grid = grid_of_axes(
            ax,
            len(self.table),
            "CompressionDisplay",
            sharex=False,
            figsize=(9, 1.2 * len(self.table) + 0.6),
        )
        for one, (name, row) in zip(grid, self.table.iterrows()):
            title, unit, scale = _unit_of(name)
            before, after = row["before"] / scale, row["after"] / scale
            colors = [PALETTE["other"], PALETTE["line"]]
            one.barh(["after", "before"], [after, before], color=colors)
            said = f"{title}: {_number(before)} → {_number(after)}{unit}"
            one.set_title(said, fontsize="small", loc="left")
        self.ax_, self.figure_ = grid, grid[0].figure
        return self
