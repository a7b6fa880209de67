"""The command ``sktrain``.

0 means fine, 1 that a check failed (leakage, drift), 2 bad input (or an audit that could not
decide), 130 that it was interrupted. Bad input is one line on stderr, never a traceback; so is a
warning.
"""

from functools import partial
import signal
import sys
import warnings

__all__ = ["main"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default, and then Ctrl-C before
        the work begins, and after it, ends the process at once and without a word.

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
    if argv is not None:
        return _run(argv)
    before = signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # an interrupted import would end in a traceback
    return _run(
        None,
        lambda: signal.signal(signal.SIGINT, before),
        lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _run(argv, begin=lambda: None, end=lambda: None):
    from ._parser import build_parser

    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, a version or an error
        return stop.code if isinstance(stop.code, int) else 2
    try:
        from . import _commands

        if argv is None:
            warnings.showwarning = partial(_show_warning, args, set())
        begin()
        try:
            return getattr(_commands, args.command)(args)
        finally:
            end()
    except KeyboardInterrupt:
        _say(args, "interrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = None
        return 0
    except Exception as error:
        if args.traceback:
            raise
        _say(args, _one_line(error))
        return 2


def _show_warning(args, said, message, category, *where):
    """A warning as one line for a reader who did not write the program, and once."""
    text = " ".join(str(message).split())
    if text not in said:
        said.add(text)
        _say(args, f"warning: {text}")


def _say(args, text):
    from .._progress import ProgressStream
    from ._text import shown

    print(f"sktrain {args.command}: {shown(text)}", file=ProgressStream("stderr"))


def _one_line(error):
    """What went wrong, for a reader who did not write the program."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and text:
        return text
    return f"{type(error).__name__}{f': {text}' if text else ''} (with --traceback: where)"
