"""One pooled vector per text from a transformer. Every text is encoded on its own.

Different texts are encoded once and remembered. They are tokenised by the thousand, sorted by their
number of tokens and packed into batches of a fixed number of tokens, so that little is padded;
padding is masked everywhere, so a vector does not depend on its neighbours. While one thousand is
encoded, the next is tokenised in a thread.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
import hashlib
from itertools import chain
from threading import Lock
import warnings

import numpy as np

from .._devices import check_device, find_device
from .._io import sha256
from .._optional import require
from .._progress import follow
from ..exceptions import DataQualityWarning, SktrainWarning
from ._cache import DiskCache, MemoryCache, digest
from ._models import ModelFolder, load_model

__all__ = [
    "Recipe",
    "Tokens",
    "hidden_states",
    "pool",
    "resolve_device",
    "resolve_precision",
    "tuned_fingerprint",
]

_TOKENISED_AT_ONCE = 4096  # texts, a judgment; also what is lost of a long run when it is killed
_CPU_TOKENS = 1024  # tokens per batch beyond which a CPU's caches overflow
_CARD_BATCHES = 16
"""How many times larger the token budget of a batch is on a card: 32,768 tokens at the defaults. On
one H100 a forward pass of a six-layer model then computes for about as long as it takes to start
its kernels."""
_tokenising = Lock()


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
        space = sha256(what.encode())
        nearest = [MemoryCache(space, self.folder.width)]
        return (
            nearest
            if self.cache_dir is None
            else [*nearest, DiskCache(self.cache_dir, space, self.folder.width)]
        )

    def vectors(self, texts):
        """Vectors of the model's own width, float32 of shape (n, width); zero for texts without a
        visible character."""
        keys = {text: digest(text) for text in dict.fromkeys(texts) if text.strip()}
        caches = self.caches()
        known = _look_up(list(keys.values()), caches)
        todo = [text for text, key in keys.items() if key not in known]
        if todo:
            self._compute(todo, keys, known, caches)
        empty = sum(text not in keys for text in texts)
        if empty:
            warnings.warn(
                f"{empty} of {len(texts)} texts are missing or empty: they get the zero vector.",
                DataQualityWarning,
                stacklevel=4,
            )
        out = np.zeros((len(texts), self.folder.width), dtype=np.float32)
        for row, text in enumerate(texts):
            if text in keys:
                out[row] = known[keys[text]]
        return out

    def _compute(self, todo, keys, known, caches):
        tokenizer, model = load_model(
            self.folder, device=self.device, tuned=self.tuned, tuned_key=self.fingerprint
        )

        def tokenise(part):
            return Tokens.of(tokenizer, part, self.max_length)

        def keep(part, vectors):
            part_keys, vectors = [keys[text] for text in part], vectors()
            for cache in caches:
                cache.put(part_keys, vectors)
            known.update(zip(part_keys, vectors))

        full, started = 0, []
        parts = follow(
            _parts(todo), "Encoding texts", len(todo), shown=bool(self.verbose), size=len
        )
        for part, tokens in _one_ahead(tokenise, parts):
            started.append((part, self._encode(tokens, model)))
            if model.device.type == "cpu" or len(started) > 1:  # a card is at the next part by now
                keep(*started.pop(0))
            full += int((tokens.lengths >= self.max_length).sum())
        for rest in started:
            keep(*rest)
        if full:
            warnings.warn(
                f"{full} of {len(todo)} texts reach max_length={self.max_length} tokens; "
                "what follows is not read.",
                DataQualityWarning,
                stacklevel=5,
            )

    def _encode(self, tokens, model):
        """Start on one part; what is returned waits for its vectors, which are pooled where the
        model is and copied back at once."""
        vectors = np.zeros((len(tokens.lengths), self.folder.width), dtype=np.float32)
        order = np.argsort(-tokens.lengths, kind="stable")
        order = order[: np.count_nonzero(tokens.lengths)]  # without a token: the zero vector
        if not len(order):
            return lambda: vectors
        torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
        batches = _batches(order, tokens.lengths, self._token_budget(model.device.type))
        found = _on_its_way(torch.cat([self._forward(model, tokens, batch) for batch in batches]))

        def wait():
            vectors[order] = found()
            return vectors

        return wait

    def _token_budget(self, kind):
        if kind == "cpu":
            return min(self.batch_tokens, _CPU_TOKENS)
        return self.batch_tokens * _CARD_BATCHES

    def _forward(self, model, tokens, rows):
        """Pooled vectors of some texts; where a card has no memory for them, of one half after the
        other."""
        torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
        device = model.device
        ids, mask = map(torch.from_numpy, tokens.padded(rows))
        whole = bool(mask.all())  # asked here, where no card has to be waited for
        reduced = torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"
        )
        try:
            with torch.inference_mode(), reduced:
                ids, mask = ids.to(device), mask.to(device)
                hidden = hidden_states(model, ids, None if whole else mask)
                return pool(hidden.float(), mask, self.pooling)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        half = len(rows) // 2
        return torch.cat(
            [self._forward(model, tokens, some) for some in (rows[:half], rows[half:])]
        )


@dataclass(frozen=True)
class Tokens:
    """The tokens of many texts, one after another.

    Attributes
    ----------
    flat : ndarray of int64
        Their numbers, text after text.
    lengths : ndarray of int64, shape (n,)
        How many each text has.
    pad : int
        What stands for no token.
    """

    flat: np.ndarray
    lengths: np.ndarray
    pad: int

    @classmethod
    def of(cls, tokenizer, texts, max_length):
        """Tokens of ``texts``, special ones included, cut at ``max_length``.

        A fast tokenizer is asked itself: transformers makes seven lists of every text, which takes
        longer than to find its tokens.
        """
        with _tokenising:  # the tokenizer is shared, and its settings are its own
            backend = getattr(tokenizer, "backend_tokenizer", None)
            if backend is None:
                options = {"truncation": True, "max_length": max_length, "padding": False}
                rows = tokenizer(texts, return_attention_mask=False, **options)["input_ids"]
            else:
                backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
                backend.no_padding()
                encode = getattr(backend, "encode_batch_fast", backend.encode_batch)
                rows = [one.ids for one in encode(texts)]
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=lengths.sum())
        pad = tokenizer.pad_token_id
        return cls(flat, lengths, 0 if pad is None else pad)

    @cached_property
    def starts(self):
        """Where each text begins in ``flat``."""
        return np.cumsum(self.lengths) - self.lengths

    def padded(self, rows):
        """Token numbers and mask of some texts, arrays of shape (n, longest)."""
        lengths = self.lengths[rows]
        places = np.arange(lengths.max())
        mask = places < lengths[:, None]
        where = np.minimum(self.starts[rows][:, None] + places, len(self.flat) - 1)
        return np.where(mask, self.flat[where], self.pad), mask


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
        checks = (
            getattr(torch.cpu, f"_is_{name}_supported", None)
            for name in ("avx512_bf16", "amx_tile")
        )
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
    return [
        texts[start : start + _TOKENISED_AT_ONCE]
        for start in range(0, len(texts), _TOKENISED_AT_ONCE)
    ]


def _one_ahead(work, parts):
    """``(part, work(part))`` in order; while one is used, the next is worked out in a thread."""
    with ThreadPoolExecutor(1) as thread:
        before = None
        for part in parts:
            coming = part, thread.submit(work, part)
            if before is not None:
                yield before[0], before[1].result()
            before = coming
        if before is not None:
            yield before[0], before[1].result()


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


def _on_its_way(tensor):
    """Start to copy a tensor to the CPU; what is returned waits for it as an array."""
    if tensor.device.type != "cuda":
        return lambda: tensor.cpu().numpy()
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(tensor.device))

    def wait():
        done.synchronize()
        return host.numpy()

    return wait


def _batches(order, lengths, budget):
    """Neighbours in ``order`` (longest first), up to ``budget`` tokens, at least one."""
    place = 0
    while place < len(order):
        size = max(1, budget // int(lengths[order[place]]))
        yield order[place : place + size]
        place += size


def hidden_states(model, ids, mask):
    """The last layer's vectors of all tokens; None for a mask says that nothing is padded, which is
    faster and the same."""
    extra = {} if mask is None else {"attention_mask": mask.long()}
    return model(input_ids=ids, **extra).last_hidden_state
