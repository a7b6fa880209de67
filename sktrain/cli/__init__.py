"""The command ``sktrain``: arguments enter, the rooms do the work, a table or JSON leaves with an exit status.

0 means fine, 1 that a check failed (leakage, drift), 2 bad input (or an audit that could not decide), 130 that it was
interrupted. Bad input is one line on stderr, never a traceback.
"""

import sys

from ._parser import build_parser

__all__ = ["main"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        The exit status.

    Examples
    --------
    >>> from sktrain.cli import main
    >>> main(["--version"])  # doctest: +ELLIPSIS
    sktrain ...
    0
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, a version or an error
        return stop.code if isinstance(stop.code, int) else 2
    from . import _commands

    try:
        return getattr(_commands, args.command)(args)
    except (ValueError, TypeError, OSError, ImportError) as error:
        if args.traceback:
            raise
        print(f"sktrain {args.command}: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"sktrain {args.command}: interrupted", file=sys.stderr)
        return 130


def _one_line(error):
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
