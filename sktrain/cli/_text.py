"""Text from files and arguments, made safe for a terminal and for a spreadsheet."""

__all__ = ["for_spreadsheet", "shown"]

_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
)  # what spreadsheets take for the beginning of a formula (OWASP, "CSV Injection")


def shown(text):
    r"""The text with control characters written out, so that it cannot move the cursor or change
    colours.

    Examples
    --------
    >>> shown("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in str(text)
    )


def for_spreadsheet(frame):
    """A frame whose texts a spreadsheet shows instead of running them.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    DataFrame
        A copy; a text that begins like a formula gets an apostrophe in front.
    """
    out = frame.copy()
    for name in out.columns:
        if not (out[name].dtype.kind in "biufcmM" or hasattr(out[name].dtype, "tz")):
            out[name] = [_harmless(value) for value in out[name]]
    out.columns = [_harmless(name) for name in out.columns]
    return out


def _harmless(value):
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
