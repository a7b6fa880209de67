"""Optional libraries: imported when needed, and the extra that brings a missing one is named."""

from importlib import import_module

from .exceptions import MissingDependencyError

__all__ = ["require"]


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
