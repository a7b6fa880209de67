"""One pooled vector per text from a transformer. Every text is encoded on its own.

Different texts are encoded once and remembered. They are tokenised by the thousand, sorted by their number of tokens and packed
into batches of a fixed number of tokens, so that little is padded; padding is masked everywhere, so a vector does not depend on
its neighbours.
"""

from dataclasses import dataclass
import hashlib
import warnings

import numpy as np

from .._devices import check_device, find_device
from .._io import progress_console
from .._optional import require
from ..exceptions import DataQualityWarning, SktrainWarning
from ._cache import DiskCache, MemoryCache, digest
from ._models import ModelFolder, load_model

__all__ = ["Recipe", "hidden_states", "padded", "pool", "resolve_device", "resolve_precision", "tuned_fingerprint"]

_TOKENISED_AT_ONCE = 4096  # texts; also what is lost of a long run when it is killed
_CPU_TOKENS = 1024  # tokens per batch beyond which a CPU's caches overflow


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the vector of a text, and how it is computed.

    Attributes
    ----------
    folder : ModelFolder
    tuned : dict of str to ndarray, or None
        Fine-tuned parameters that replace those of the folder.
    pooling : {"mean", "cls", "max"}
    max_length : int
        Tokens read of a text, special tokens included.
    precision : {"float32", "bfloat16"}
    batch_tokens : int
        Most tokens per batch, padding included.
    device : str
    cache_dir : str, path-like or None
    verbose : int
    """

    folder: ModelFolder
    tuned: dict | None
    pooling: str
    max_length: int
    precision: str
    batch_tokens: int
    device: str
    cache_dir: object = None
    verbose: int = 0

    @property
    def fingerprint(self):
        """SHA-256 of configuration, weights and tokenizer, the fine-tuned weights included."""
        return tuned_fingerprint(self.folder, self.tuned)

    def caches(self):
        """The stores to ask, nearest first; opening one checks that it can be used."""
        what = f"1|{self.fingerprint}|{self.pooling}|{self.max_length}|{self.precision}"
        space = hashlib.sha256(what.encode()).hexdigest()
        nearest = [MemoryCache(space, self.folder.width)]
        return nearest if self.cache_dir is None else [*nearest, DiskCache(self.cache_dir, space, self.folder.width)]

    def vectors(self, texts):
        """Vectors of the model's own width, float32 of shape (n, width); zero for texts without a visible character."""
        keys = {text: digest(text) for text in dict.fromkeys(texts) if text.strip()}
        caches = self.caches()
        known = _look_up(list(keys.values()), caches)
        todo = [text for text, key in keys.items() if key not in known]
        if todo:
            self._compute(todo, keys, known, caches)
        empty = sum(text not in keys for text in texts)
        if empty:
            warnings.warn(f"{empty} of {len(texts)} texts are missing or empty: they get the zero vector.", DataQualityWarning, stacklevel=4)
        out = np.zeros((len(texts), self.folder.width), dtype=np.float32)
        for row, text in enumerate(texts):
            if text in keys:
                out[row] = known[keys[text]]
        return out

    def _compute(self, todo, keys, known, caches):
        tokenizer, model = load_model(self.folder, device=self.device, tuned=self.tuned, tuned_key=self.fingerprint)
        full = 0
        for part in _with_progress(_parts(todo), len(todo), self.verbose):
            vectors, reached = self._encode(part, tokenizer, model)
            part_keys = [keys[text] for text in part]
            for cache in caches:
                cache.put(part_keys, vectors)
            known.update(zip(part_keys, vectors))
            full += reached
        if full:
            warnings.warn(
                f"{full} of {len(todo)} texts reach max_length={self.max_length} tokens; what follows is not read.", DataQualityWarning, stacklevel=5
            )

    def _encode(self, texts, tokenizer, model):
        tokens = tokenizer(texts, truncation=True, max_length=self.max_length, padding=False, return_attention_mask=False)["input_ids"]
        vectors = np.zeros((len(texts), self.folder.width), dtype=np.float32)
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        order = order[: sum(map(bool, tokens))]  # a text without a token keeps the zero vector
        room = min(self.batch_tokens, _CPU_TOKENS) if model.device.type == "cpu" else self.batch_tokens
        for batch in _batches(order, tokens, room):
            ids, mask = padded([tokens[i] for i in batch], tokenizer.pad_token_id)
            vectors[batch] = _forward(model, ids, mask, self.pooling, self.precision)
        return vectors, sum(len(ids) >= self.max_length for ids in tokens)


def tuned_fingerprint(folder, tuned):
    """The fingerprint of a folder whose parameters were partly replaced."""
    if not tuned:
        return folder.fingerprint()
    whole = hashlib.sha256(folder.fingerprint().encode())
    for name in sorted(tuned):
        whole.update(name.encode() + np.ascontiguousarray(tuned[name]).tobytes())
    return whole.hexdigest()


def resolve_device(device):
    """Where the texts are encoded, as a name of torch; CUDA is the CPU where there is none, with a
    warning."""
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    found = find_device(device)
    if found.type == "cuda" and not torch.cuda.is_available():
        warnings.warn(
            f"device={device!r}: there is no CUDA here; the texts are encoded on the CPU, with the "
            "same result.",
            SktrainWarning,
            stacklevel=4,
        )
        return "cpu"
    check_device(device)
    return str(found)


def resolve_precision(precision, device):
    """``"auto"`` as bfloat16 where the processor multiplies it in hardware, else float32."""
    if precision != "auto":
        return precision
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    if device.startswith("cuda"):
        fast = torch.cuda.is_bf16_supported()
    else:
        checks = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
        fast = device == "cpu" and any(check is not None and check() for check in checks)
    return "bfloat16" if fast else "float32"


def _look_up(keys, caches):
    known = {}
    for place, cache in enumerate(caches):
        found = cache.get([key for key in keys if key not in known])
        if place and found:
            caches[0].put(list(found), list(found.values()))
        known.update(found)
    return known


def _parts(texts):
    return [texts[start : start + _TOKENISED_AT_ONCE] for start in range(0, len(texts), _TOKENISED_AT_ONCE)]


def _with_progress(parts, total, verbose):
    if not verbose:
        yield from parts
        return
    from rich.progress import Progress

    with Progress(console=progress_console(), transient=True) as progress:
        task = progress.add_task("Encoding texts", total=total)
        for part in parts:
            yield part
            progress.advance(task, len(part))


def pool(hidden, mask, pooling):
    """One vector per text from the vectors of its tokens.

    Parameters
    ----------
    hidden : Tensor, shape (n, length, width)
    mask : Tensor of bool, shape (n, length)
        True for tokens, False for padding.
    pooling : {"mean", "cls", "max"}

    Returns
    -------
    Tensor, shape (n, width)
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(dim=1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def _batches(order, tokens, room):
    """Neighbours in ``order`` (longest first), as many as ``room`` tokens hold and at least one."""
    place = 0
    while place < len(order):
        size = max(1, room // max(1, len(tokens[order[place]])))
        yield order[place : place + size]
        place += size


def padded(rows, pad):
    """Token ids and mask as tensors of shape (n, longest)."""
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, 0 if pad is None else pad, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def _forward(model, ids, mask, pooling, precision):
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    device = model.device
    ids, mask = ids.to(device), mask.to(device)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        hidden = hidden_states(model, ids, mask)
    return pool(hidden.float(), mask, pooling).cpu().numpy()


def hidden_states(model, ids, mask):
    """The last layer's vectors of all tokens; the mask is left out where nothing is padded, which is faster and the same."""
    extra = {} if bool(mask.all()) else {"attention_mask": mask.long()}
    return model(input_ids=ids, **extra).last_hidden_state
