"""Optional libraries: imported when needed, and the extra that brings a missing one is named."""

from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
import sys
from threading import Lock
from types import ModuleType

from .exceptions import MissingDependencyError

__all__ = ["postponed", "require"]

_standing = Lock()  # held while a stand-in comes or goes, never while something is imported


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


@contextmanager
def postponed(module):
    """Let imports of ``module`` cost nothing inside the block, until something of it is used.

    Meanwhile a stand-in takes its place and imports the real module when it is asked for anything, from whatever thread. Afterwards
    the stand-in is gone; names that were bound to it inside the block hand every question on to the real module.

    Parameters
    ----------
    module : str
        Dotted name of an installed module; nothing happens when it is imported already. Its parent must import it on demand, as
        scipy does.

    Examples
    --------
    >>> from sktrain._optional import postponed
    >>> with postponed("scipy.cluster"):
    ...     from scipy import cluster
    >>> cluster.vq.__name__
    'scipy.cluster.vq'
    """
    stand_in = _StandIn(module)
    vars(stand_in)["__spec__"] = _spec(module)  # a thread about to import it may meet this one
    with _standing:
        placed = sys.modules.setdefault(module, stand_in) is stand_in
    try:
        yield
    finally:
        if placed:
            _withdraw(stand_in)


@lru_cache(maxsize=16)
def _spec(module):
    """Where a module is found: asked once, as it reads folders."""
    return find_spec(module)


class _StandIn(ModuleType):
    """In the place of a module: every question is for the real one, which is imported at the first."""

    def __getattr__(self, name):
        return getattr(_real(self), name)

    def __setattr__(self, name, value):
        setattr(_real(self), name, value)

    def __delattr__(self, name):
        delattr(_real(self), name)

    def __dir__(self):
        return dir(_real(self))

    def __reduce__(self):
        return import_module, (self.__name__,)


def _real(stand_in):
    _withdraw(stand_in)
    return import_module(stand_in.__name__)


def _withdraw(stand_in):
    """Take a stand-in from where it still stands: the table of modules, and its parent."""
    name = stand_in.__name__
    parent, _, child = name.rpartition(".")
    with _standing:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        above = vars(sys.modules[parent]) if parent in sys.modules else {}
        if above.get(child) is stand_in:
            del above[child]
