"""Says how a search goes: a bar or a line per trial, and the tasks scikit-learn's callbacks are
told of; silent unless asked."""

from contextlib import contextmanager

from rich.progress import TextColumn

from .._progress import progress_bar, progress_console

__all__ = ["FitTasks", "SearchProgress"]


class SearchProgress:
    """A bar with the best score so far (``bar``) and a line per trial (``verbose``).

    Parameters
    ----------
    total : int or None
        Trials to come, None when only time limits the search.
    bar : bool
    verbose : int
    """

    def __init__(self, total, *, bar, verbose):
        self.best, self.total, self.verbose = None, total, verbose
        self._bar = progress_bar(TextColumn("best {task.fields[best]}")) if bar else None
        self.console = progress_console() if self._bar is None else self._bar.console

    def __enter__(self):
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("search", total=self.total, best="-")
        return self

    def __exit__(self, *error):
        if self._bar:
            self._bar.stop()

    def add(self, record, *, resumed=False):
        """Count a finished trial."""
        if record.value is not None and (self.best is None or record.value > self.best):
            self.best = record.value
        shown = "-" if self.best is None else f"{self.best:.4f}"
        if self._bar:
            self._bar.update(self._task, advance=1, best=shown)
        if self.verbose and not resumed:
            score = "" if record.value is None else f" {record.value:.4f}"
            self.console.print(
                f"trial {record.slot}: {record.state}{score} in {record.duration:.1f} s, best "
                f"{shown}  {record.params}",
                highlight=False,
            )


class FitTasks:
    """The tasks of one search, as scikit-learn's callbacks see them: the fit, the search, every
    fold of every trial, the refit.

    Without callbacks on the search, around it or inside it, nothing is made and nothing is sent to
    workers; before scikit-learn
    1.9 there are none.

    Parameters
    ----------
    search : OptunaSearchCV
    X, y : the training data
    params : dict
        Metadata of ``fit``; callbacks are told of ``sample_weight``.
    """

    def __init__(self, search, X, y, params):
        self._search, self._root, self._trials, self._folds = search, None, None, {}
        parts = [search, search.estimator, *search.estimator.get_params(deep=True).values()]
        heard = any(getattr(part, "_skl_callbacks", None) for part in parts)
        if not heard or not hasattr(search, "_init_callback_context"):
            return
        weight = params.get("sample_weight")
        self._told = {
            "estimator": search,
            "X": X,
            "y": y,
            "metadata": None if weight is None else {"sample_weight": weight},
        }
        self._root = search._init_callback_context(
            max_subtasks=1 + (search.refit is not False)
        ).call_on_fit_task_begin(**self._told)

    @contextmanager
    def search(self, search):
        """The task of running all trials."""
        if self._root is None:
            yield
            return
        most = (
            None
            if search.n_trials is None or search.storage is not None
            else search.n_trials * search.n_splits_
        )
        self._trials = self._root.subcontext(
            task_name="search", max_subtasks=most, sequential_subtasks=False
        )
        self._trials.call_on_fit_task_begin(estimator=search)
        yield
        self._trials.call_on_fit_task_end(estimator=search)

    def of_fold(self, number):
        """What scikit-learn's fold function is told of a fold's task."""
        if self._trials is None:
            return {}
        if number not in self._folds:  # a fold may be run again after a worker died
            self._folds[number] = self._trials.subcontext(
                task_name="candidate-split-evaluation", task_id=number
            )
        return {"caller": self._search, "callback_ctx": self._folds[number]}

    @contextmanager
    def refit(self, estimator):
        """The task of the final fit."""
        if self._root is None:
            yield
            return
        task = self._root.subcontext(task_name="refit-with-best-params")
        with task.propagate_callback_context(estimator):
            task.call_on_fit_task_begin(**self._told)
            yield
        task.call_on_fit_task_end(**self._told)

    def end(self):
        """The whole fit is done."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._told)
