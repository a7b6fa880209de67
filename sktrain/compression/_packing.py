"""Whole numbers of eight bits enter, fewer bytes leave, and back exactly: a bitmap for the zeros of a pruned weight, then zlib."""

import zlib

import numpy as np

from ..exceptions import CorruptFileError

__all__ = ["pack", "unpack"]

_SPARSE = 0.15  # share of zeros above which a bitmap is worth its bit per weight
_LIMIT = 2**31


def pack(codes):
    """``codes`` (int8, any shape) as a dict of plain values."""
    flat = np.ascontiguousarray(codes, dtype=np.int8).reshape(-1)
    held = flat != 0
    sparse = bool(flat.size) and 1 - held.mean() > _SPARSE
    mask = _squeeze(np.packbits(held).tobytes()) if sparse else b""
    return {"shape": list(codes.shape), "mask": mask, "values": _squeeze((flat[held] if sparse else flat).tobytes())}


def unpack(packed):
    """The int8 array that :func:`pack` was given."""
    shape = tuple(packed["shape"])
    size = int(np.prod(shape, dtype=np.float64))
    if any(type(length) is not int or length < 0 for length in shape) or size > _LIMIT:
        raise CorruptFileError(f"a packed weight has the shape {packed['shape']!r}.")
    if not packed["mask"]:
        return np.frombuffer(_inflate(packed["values"], size), dtype=np.int8).reshape(shape)
    held = np.unpackbits(np.frombuffer(_inflate(packed["mask"], (size + 7) // 8), dtype=np.uint8), count=size).astype(bool)
    flat = np.zeros(size, dtype=np.int8)
    flat[held] = np.frombuffer(_inflate(packed["values"], int(held.sum())), dtype=np.int8)
    return flat.reshape(shape)


def _squeeze(data):
    engine = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)  # weights repeat no words, only frequent values
    return engine.compress(data) + engine.flush()


def _inflate(data, expected):
    engine = zlib.decompressobj()
    out = engine.decompress(data, expected + 1)
    if len(out) != expected or not engine.eof:
        raise CorruptFileError(f"a packed weight does not hold the {expected} bytes its shape asks for.")
    return out
