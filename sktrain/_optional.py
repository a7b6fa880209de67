"""Large libraries, imported without wasted work; optional ones when they are needed, and the extra
that brings a missing one is named."""

from collections.abc import Iterator
from contextlib import contextmanager
import gc
from importlib import import_module

from .exceptions import MissingDependencyError

__all__ = ["collector_paused", "require"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Import large libraries without looking for garbage meanwhile.

    Modules that load only add objects, so each search of Python's cyclic garbage collector goes
    through more of them and finds next to nothing. Of the 1.3 s of CPU that torch and skorch take
    behind scikit-learn, .3 s were such searches, in every process that trains. What is there in the
    end is put among the old objects at once: else the first search behind the import goes through
    all of it, and so does the second, .1 s each.

    Examples
    --------
    >>> import gc
    >>> from sktrain._optional import collector_paused
    >>> with collector_paused():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            _grow_old()
            gc.enable()


def _grow_old():
    """Move every object to the oldest generation, which a full collection searches as before.

    Freezing puts them out of the collector's sight, and thawing back among the oldest. Objects that
    somebody else froze would be thawed with them, so then all stays as it is.
    """
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


def require(module, *, extra, caller):
    """Import ``module`` now, where it is used.

    Parameters
    ----------
    module : str
        Dotted name of what to import.
    extra : str
        The extra of sktrain that installs it.
    caller : str
        The public name that needs it, for the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingDependencyError
        When the library is not installed.

    Examples
    --------
    >>> from sktrain._optional import require
    >>> require("json", extra="deploy", caller="ModelQuantizer").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise MissingDependencyError(
            f"{caller} needs the package {root!r}, which is not installed. "
            f"Install it with: pip install 'sktrain[{extra}]'"
        ) from error
