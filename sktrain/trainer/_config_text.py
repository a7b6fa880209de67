"""Texts and files of configs, JSON or TOML, and names of their fields."""

import json
from pathlib import Path

from .._nearest import did_you_mean
from ..exceptions import SktrainError

__all__ = ["from_toml_value", "parse", "to_toml_value", "unknown_field", "write_text"]


def to_toml_value(value) -> str:
    """A value as TOML writes it; None, which TOML lacks, as ``"none"``."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {to_toml_value(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps("none" if value is None else value)


def from_toml_value(value):
    """What :func:`to_toml_value` wrote."""
    if isinstance(value, dict):
        return {key: from_toml_value(one) for key, one in value.items()}
    return None if value == "none" else value


def write_text(text, path):
    """The text, also written to ``path`` when given."""
    if path is not None:
        from .._io import atomic_write

        atomic_write(path, text.encode())
    return text


def parse(source, loads, kind):
    """The table of fields in a text or file of a config."""
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


def unknown_field(name, known) -> str:
    """What to say of a field that does not exist, with the nearest that does."""
    return f"EnhancedTrainingConfig has no field {name!r}.{did_you_mean(name, known)}"
