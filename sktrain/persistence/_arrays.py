"""Arrays as bytes and back: dense ones as ``.npy``, pruned ones as a bitmap and what it leaves.

What may be inflated has a budget, so that a small file never becomes a large object.
"""

from functools import lru_cache
from io import BytesIO
import math
import zlib

import numpy as np

from ..exceptions import CorruptFileError

__all__ = [
    "DTYPES",
    "SPARSE",
    "Budget",
    "bitmap",
    "check_whole",
    "dtype_of",
    "from_npy",
    "inflate",
    "restored",
    "shape_of",
    "to_npy",
]

DTYPES = "biufcUSmM"
SPARSE = "fiu"  # of pruned weights
# share of zeros above which a bitmap is smaller than the zeros, compression aside: a judgment
_SPARSE = 0.3


class Budget:
    """Bytes that may still be inflated.

    Parameters
    ----------
    limit : float
    """

    def __init__(self, limit):
        self.limit, self.spent = limit, 0

    def spend(self, n_bytes):
        """Take ``n_bytes``.

        Raises
        ------
        CorruptFileError
            When they are not left.
        """
        self.spent += n_bytes
        if self.spent > self.limit:
            raise CorruptFileError(
                f"the file asks for more than {int(self.limit):,} bytes of memory. If you made it "
                f"yourself, open it with load(path, max_bytes=...)."
            )

    def spend_text(self, data):
        """Take what JSON becomes when it is parsed.

        The weights are half of what CPython 3.11 takes at most for a text of such parts: an empty
        list or dict with its place in another (88 bytes), an entry of a dict (48), an item with its
        place (48), and the text, which is held as bytes and as characters of up to four bytes.
        Half, as the limit is half of the memory that opening a file may take.

        Parameters
        ----------
        data : bytes
        """
        signs = {b"[": 44, b"{": 44, b":": 24, b",": 24}
        self.spend(3 * len(data) + sum(data.count(one) * cost for one, cost in signs.items()))


def bitmap(flat):
    """(mask, values) compressed, of an array with many zeros; None where that would not help."""
    # a judgment: below 256 numbers the second member of the archive costs what a bitmap saves
    if flat.dtype.kind not in SPARSE or flat.size <= 256 or (flat == 0).mean() <= _SPARSE:
        return None
    if np.signbit(flat[flat == 0]).any():  # a negative zero would come back positive
        return None
    held = flat != 0
    return zlib.compress(np.packbits(held).tobytes(), 9), zlib.compress(flat[held].tobytes(), 9)


def to_npy(flat):
    """The bytes of a flat array."""
    buffer = BytesIO()
    np.lib.format.write_array(buffer, flat, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def from_npy(data, dtype, size):
    """The flat array of its bytes, which should be ``size`` values of ``dtype``."""
    header = _header(dtype, size)
    known = data.startswith(header) and len(data) == len(header) + size * dtype.itemsize
    if known and dtype.itemsize:
        return np.frombuffer(data, dtype, offset=len(header)).copy()
    return _parsed_npy(data)


@lru_cache(maxsize=1024)
def _header(dtype, size):
    """What stands before the values in a member: to compare is quicker than to parse."""
    buffer = BytesIO()
    told = {"descr": dtype.str, "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(buffer, told)
    return buffer.getvalue()


def _parsed_npy(data):
    """The flat array of bytes that another NumPy, or an untrusted program, wrote."""
    shape, dtype, rest = check_whole(data)
    if dtype.names or dtype.subdtype or len(shape) != 1:
        raise CorruptFileError("an array's header does not fit its data.")
    return np.frombuffer(rest, dtype=dtype).copy()


def check_whole(data):
    """(shape, dtype, values as bytes) of an array's bytes, which hold as many values as they
    say."""
    shape, dtype, start = _told(bytes(data[: 10 + int.from_bytes(data[8:10], "little")]))
    counted = min(shape, default=0) >= 0 and dtype.itemsize > 0 and not dtype.hasobject
    if not counted or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise CorruptFileError("an array's header does not fit its data.")
    return shape, dtype, memoryview(data)[start:]


@lru_cache(maxsize=1024)
def _told(header):
    """(shape, dtype, where the values begin) of what stands before them."""
    buffer = BytesIO(header)
    version = np.lib.format.read_magic(buffer)
    if version != (1, 0):
        raise CorruptFileError(f"an array of format {version} is not one this library wrote.")
    shape, _, dtype = np.lib.format.read_array_header_1_0(buffer)
    return shape, dtype, buffer.tell()


def shape_of(tree):
    """The shape that a tree tells, checked."""
    shape = tuple(tree["shape"])
    # NumPy 1 had at most 32 axes; no estimator has more
    if len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape):
        raise CorruptFileError(f"an array has the shape {tree['shape']!r}.")
    return shape


def dtype_of(tree):
    """The type that a tree tells, checked."""
    dtype = np.dtype(str(tree["dtype"]))
    if dtype.kind not in DTYPES or dtype.names or dtype.subdtype:
        raise CorruptFileError(f"an array has the dtype {tree['dtype']!r}.")
    return dtype


def restored(flat, tree):
    """The array in the shape that a tree tells."""
    shape = shape_of(tree)
    if flat.dtype != dtype_of(tree) or flat.size != math.prod(shape):
        raise CorruptFileError(
            f"an array holds {flat.size} values of {flat.dtype}, its header says "
            f"{tree['shape']} of {tree['dtype']}."
        )
    array = flat.reshape(shape)
    return array[()] if tree["scalar"] else array


def inflate(data, expected):
    """``expected`` bytes out of compressed ``data``; no more are ever made."""
    engine = zlib.decompressobj()
    out = engine.decompress(data, expected + 1)
    if len(out) != expected or not engine.eof:
        raise CorruptFileError("a compressed array does not have the length its header says.")
    return out
