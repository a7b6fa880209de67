"""Pretrained models on this machine: a checked folder, its fingerprint and its weights.

Nothing is ever fetched and no code of a model folder is ever run: what needs either is refused by
name. Loaded models are kept per process, outside the estimators, so that estimators stay small,
picklable and unchanged by ``transform``.
"""

from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import threading

from .._optional import require
from ..exceptions import CorruptFileError, SktrainError

__all__ = ["ALIASES", "LAST_TRAINED", "ModelFolder", "find_model", "load_model"]

ALIASES = {
    "bert-base-chinese": "google-bert/bert-base-chinese",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "finbert": "ProsusAI/finbert",
}
# The month after a model appeared: no text it was trained on is younger.
LAST_TRAINED = {
    "google-bert/bert-base-chinese": "2018-12-01",
    "google-bert/bert-base-uncased": "2018-12-01",
    "ProsusAI/finbert": "2021-01-01",
}
_TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model",
    "tokenizer.model",
)
_TOKENIZER_EXTRAS = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt",
)
_KEPT = 2  # loaded models per process, a judgment: each takes hundreds of megabytes

_fingerprints: dict[tuple, str] = {}  # ((path, size, mtime), ...) -> hex digest
_loaded: OrderedDict[tuple, tuple] = OrderedDict()  # key -> (tokenizer, model)
_lock = threading.RLock()


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that passed the checks.

    Attributes
    ----------
    name : str
        As the user gave it.
    path : Path
        The folder.
    revision : str or None
        Commit of the hub's snapshot; None for a local folder.
    config : dict
        Its ``config.json``.
    weights, tokenizer : tuple of Path
        The files that decide a vector.
    """

    name: str
    path: Path
    revision: str | None
    config: dict
    weights: tuple
    tokenizer: tuple

    @property
    def width(self):
        """Numbers per token."""
        return self.config["hidden_size"]

    def fingerprint(self):
        """SHA-256 over the contents of configuration, weights and tokenizer; remembered while the
        files stay untouched."""
        files = (self.path / "config.json", *self.weights, *self.tokenizer)
        stats = [(str(path), path.stat()) for path in files]
        key = tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)
        if key not in _fingerprints:
            whole = hashlib.sha256()
            for path in files:
                with path.open("rb") as stream:
                    whole.update(
                        path.name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest()
                    )
            _fingerprints[key] = whole.hexdigest()
        return _fingerprints[key]


def find_model(name, revision=None):
    """Find and check the folder of a model by hub name, alias or path.

    Parameters
    ----------
    name : str or path-like
        A folder, an alias (``bert-base-chinese``, ``bert-base-uncased``, ``finbert``) or a hub name
        ``owner/model`` whose files are in the local cache of the hub.
    revision : str, optional
        Branch, tag or commit of a hub name; default ``main``.

    Returns
    -------
    ModelFolder
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _check_folder(str(name), folder, None)
    if folder.is_file():
        raise SktrainError(
            f"model_name={str(name)!r} is a file; give the folder that holds config.json, the "
            "weights and the tokenizer."
        )
    found, revision = _find_in_hub_cache(str(name), revision)
    return _check_folder(str(name), found, revision)


def _find_in_hub_cache(name, revision):
    hub = require("huggingface_hub", extra="news", caller="PretrainedNewsEncoder")
    names = list(dict.fromkeys([ALIASES.get(name, name), name]))
    for candidate in names:
        try:
            path = hub.try_to_load_from_cache(candidate, "config.json", revision=revision)
        except (hub.errors.HFValidationError, ValueError):
            path = None
        if isinstance(path, str):
            return Path(path).parent, Path(path).parent.name
    wanted = names[0] + (f" --revision {revision}" if revision else "")
    raise SktrainError(
        f"The model {name!r} is not on this machine: {str(Path(name).expanduser())!r} is no "
        "folder, and the hub's cache "
        f"{str(hub.constants.HF_HUB_CACHE)!r} does not hold {' or '.join(map(repr, names))}"
        f"{f' at revision {revision!r}' if revision else ''}. Nothing is fetched for you. Where "
        f"there is a network, run: hf download {wanted}"
    )


def _check_folder(name, path, revision):
    config = _read_config(name, path, "config.json")
    for source, settings in (
        ("config.json", config),
        ("tokenizer_config.json", _read_config(name, path, "tokenizer_config.json", needed=False)),
    ):
        if settings.get("auto_map"):
            raise SktrainError(
                f"The model {name!r} needs code from its own folder ({source} has auto_map: "
                f"{sorted(settings['auto_map'])}). "
                "Code that comes with a model is never run; choose a model that the transformers "
                "library knows."
            )
    if config.get("is_encoder_decoder"):
        raise SktrainError(
            f"The model {name!r} ({config.get('model_type')}) is an encoder with a decoder; "
            "choose an encoder such as BERT."
        )
    weights = _weight_files(name, path)
    tokenizer = tuple(
        path / file for file in _TOKENIZERS + _TOKENIZER_EXTRAS if (path / file).is_file()
    )
    if not any(file.name in _TOKENIZERS for file in tokenizer):
        raise SktrainError(
            f"The model folder {str(path)!r} has no tokenizer: none of {', '.join(_TOKENIZERS)} "
            "is there. Save the tokenizer beside the model."
        )
    return ModelFolder(name, path, revision, _with_width(name, config), weights, tokenizer)


def _with_width(name, config):
    """``config`` with ``hidden_size`` under that name (DistilBERT, XLNet and others call it
    something else)."""
    width = next(
        (config[key] for key in ("hidden_size", "dim", "d_model", "n_embd") if key in config), None
    )
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise SktrainError(
            f"config.json of the model {name!r} does not say how wide it is (hidden_size), got "
            f"{width!r}."
        )
    return {**config, "hidden_size": width}


def _read_config(name, path, file, *, needed=True):
    try:
        settings = json.loads((path / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not needed:
            return {}
        raise SktrainError(f"The folder {str(path)!r} is no model: it has no {file}.") from None
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{file} of the model {name!r} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise CorruptFileError(
            f"{file} of the model {name!r} must hold a JSON object, got {type(settings).__name__}."
        )
    return settings


def _weight_files(name, path):
    for pattern in (
        "model.safetensors", "model-*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin",
    ):
        files = tuple(sorted(path.glob(pattern)))
        if files:
            return files
    raise SktrainError(
        f"The model {name!r} has no weights: neither model.safetensors nor pytorch_model.bin is "
        f"in {str(path)!r}."
    )


def load_model(folder, *, device, tuned=None, tuned_key=""):
    """Load tokenizer and weights onto ``device``, or take them from those loaded before.

    Parameters
    ----------
    folder : ModelFolder
    device : str
    tuned : dict of str to ndarray, optional
        Fine-tuned parameters that replace those of the folder.
    tuned_key : str
        Fingerprint of ``tuned``.

    Returns
    -------
    tokenizer, model
        The model in eval mode, float32, without gradients. Shared: never change it.
    """
    key = (folder.fingerprint(), str(device), tuned_key)
    with _lock:
        if key not in _loaded:
            tokenizer, model = fresh_model(folder)
            if tuned:
                torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
                model.load_state_dict(
                    {name: torch.from_numpy(value) for name, value in tuned.items()}, strict=False
                )
            _loaded[key] = (tokenizer, model.to(device))
            while len(_loaded) > _KEPT:
                _loaded.popitem(last=False)
        _loaded.move_to_end(key)
        return _loaded[key]


def fresh_model(folder):
    """A tokenizer and a model of one's own, on the CPU, in eval mode and without gradients."""
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    transformers = require("transformers", extra="news", caller="PretrainedNewsEncoder")
    local = {"local_files_only": True, "trust_remote_code": False}
    with _quiet(transformers), _refusals(folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder.path), **local)
        safe = folder.weights[0].suffix == ".safetensors"
        model, found = transformers.AutoModel.from_pretrained(
            str(folder.path),
            dtype=torch.float32, use_safetensors=safe, output_loading_info=True, **local,
        )
    missing = sorted(name for name in found["missing_keys"] if not _is_pooler(name))
    if missing:
        raise CorruptFileError(
            f"The weights of the model {folder.name!r} lack {len(missing)} of the parameters its "
            f"config.json describes, first {missing[0]!r}. "
            "They would have been random; get the whole model."
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # a head for another task; its output is never read
    return tokenizer, model.eval().requires_grad_(False)


def _is_pooler(name):
    return name.startswith("pooler.")


@contextmanager
def _refusals(folder):
    """Say which model could not be loaded, and why."""
    safetensors = require("safetensors", extra="news", caller="PretrainedNewsEncoder")
    try:
        yield
    except (
        OSError, ValueError, RuntimeError, KeyError, ImportError, safetensors.SafetensorError,
    ) as error:
        if isinstance(error, SktrainError):
            raise
        raise CorruptFileError(
            f"The model {folder.name!r} in {str(folder.path)!r} cannot be loaded: {error}"
        ) from error


@contextmanager
def _quiet(transformers):
    """Without the loader's own progress bar."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
