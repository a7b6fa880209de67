"""Text and files of a configuration, and names of its fields."""

import difflib
from pathlib import Path

from ..exceptions import SktrainError


def write(text, path):
    """Return ``text``, written to ``path`` too when given."""
    if path is not None:
        from .._io import atomic_write

        atomic_write(path, text.encode())
    return text


def parse(source, loads, kind):
    """A table of fields from text or a file, read by ``loads``; ``kind`` is for messages."""
    is_file = isinstance(source, Path) or (
        isinstance(source, str) and "\n" not in source and source.strip()[:1] not in ("{", "[")
    )
    text = source
    if is_file:
        path = Path(source)
        if path.is_dir():
            raise SktrainError(f"config file {path} is a folder. Name a JSON or TOML file in it.")
        if not path.is_file():
            raise SktrainError(f"config file {path} does not exist.")
        text = path.read_bytes()
    try:
        values = loads(text if isinstance(text, str) else text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SktrainError(
            f"{'config file ' + str(source) if is_file else 'config'} is not valid {kind}: {error}"
        ) from error
    if not isinstance(values, dict):
        raise SktrainError(f"a config is a table of fields, got {type(values).__name__}.")
    return values


def unknown_field(name, known):
    """What to say of a field that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"EnhancedTrainingConfig has no field {name!r}.{hint}"
