"""Bytes of a file, unpacked, of a known kind and encoding.

What decides is what the file begins with, not how it is named. Nothing is run or unpickled.
"""

import bz2
import codecs
from collections.abc import Callable, Iterator
import gzip
import io
import lzma
from pathlib import Path
import re
import stat
from typing import IO, Any, BinaryIO
import zipfile
import zlib

from ._protocol import UnreadableError, clipped, option

__all__ = ["Source", "open_source_bytes", "refused_page", "settle_encoding"]

_HEAD = 1 << 18  # bytes looked at to find out what a file is, a judgment: hundreds of lines
_STEP = 1 << 17  # bytes read at once, a judgment
# unpacked bytes, a judgment: more is an archive bomb, or no file to read in one piece
_LARGEST = 1 << 32
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What stands in for UTF-8 when a file is not: simplified Chinese, Western, then those whose header
# names we know
_ENCODINGS = ("gb18030", "cp1252", "big5", "cp932", "euc_kr", "cp1251", "cp1250")
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "feather"),
    (b"FEA1", "feather"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
)
_PICKLE = "a pickle of Python, which may run code and is not opened: save the table as Parquet"
_TAR = slice(257, 262)  # where an archive of tar says so (POSIX.1-1988, ustar)
_NOT_DATA = (
    (
        b"version https://git-lfs.github.com/",
        "is a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'",
    ),
    (b"\x00\x05\x16\x07", "is a macOS resource fork (a '._' file), not data: delete it"),
    (b"SQLite format 3", "is an SQLite database: export the table as CSV"),
    (b"%PDF", "is a PDF document: export the table as CSV"),
    (b"\x89PNG", "is a picture"),
    (b"\x93NUMPY", "is an array of NumPy, which has no names: save the table as CSV or Parquet"),
    (b"\x80\x04\x95", f"is {_PICKLE}"),
    (b"\x80\x05\x95", f"is {_PICKLE}"),
)
# Members of archives that tell about the data: HistData's report beside its CSV, World Bank's
# metadata
_ABOUT = re.compile(
    r"(?i)^(?:read[ _-]?me|licen[cs]e|notice|disclaimer|copying|terms|changelog|metadata)\b"
    r"|^metadata_"
    r"|\.(?:md|pdf|html?|rst|url|rtf|docx?|nfo|sha\d+|md5|checksum)$"
)
_TABLES = re.compile(r"(?i)\.(?:csv|tsv|parquet|feather|json|jsonl|xlsx)$")
_LATEX = re.compile(rb"\\(?:begin\{|documentclass|hline)")
_STATA = re.compile(rb"[qrsu][\x01\x02]\x01\x00|<stata_dta>")
_PAGE = re.compile(
    rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body|table|div)\b", re.IGNORECASE | re.DOTALL
)


class Source:
    """Bytes on disk or in memory, of a known kind.

    Attributes
    ----------
    kind : {"text", "json", "parquet", "feather", "hdf5", "xlsx", "xml", "page"}
    name : str
        The name of what was unpacked, or of the file.
    size : int
        Bytes, unpacked.
    notes : list of str
        What was chosen so far.
    """

    def __init__(self, path: Path | None, data: bytes | None, name: str) -> None:
        self.path, self.data, self.name = path, data, name
        self.size = len(data) if data is not None else 0 if path is None else path.stat().st_size
        self.kind = "text"
        self.notes: list[str] = []

    def open(self) -> BinaryIO:
        """A binary stream on the whole."""
        if self.data is not None or self.path is None:
            return io.BytesIO(self.data or b"")
        return open(self.path, "rb")

    def read(self, start: int = 0, size: int = -1) -> bytes:
        """Bytes from ``start``."""
        with self.open() as stream:
            stream.seek(start)
            return stream.read(size)

    def part(self, start: int, stop: int) -> io.BufferedReader:
        """A binary stream on ``[start, stop)``."""
        return io.BufferedReader(_Part(self.open(), start, stop), _STEP)

    def chunks(self) -> Iterator[bytes]:
        """The whole, piece by piece."""
        with self.open() as stream:
            while piece := stream.read(_STEP):
                yield piece


class _Part(io.RawIOBase):
    """A window on a stream."""

    def __init__(self, stream: BinaryIO, start: int, stop: int) -> None:
        super().__init__()
        self._stream, self._left = stream, stop - start
        stream.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_source_bytes(path: Path) -> Source:
    """Find out what a file holds; pack formats are opened.

    Raises
    ------
    UnreadableError
        For what is no file, empty, damaged, or nothing that rows could be read from.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UnreadableError(f"cannot be opened ({error.strerror}).") from error
    if not stat.S_ISREG(mode):
        raise UnreadableError(
            "is no regular file (a device, a pipe or a socket). Copy its contents into a file "
            "first."
        )
    if mode and not path.stat().st_size:
        raise UnreadableError("is empty (0 bytes). Download or export it again.")
    source = Source(path, None, path.name)
    try:
        for _ in range(2):  # a packed file in a packed file, no more
            inside = _unpacked(source)
            if inside is None:
                break
            source = inside
        source.kind = _kind(source)
    except PermissionError as error:
        raise UnreadableError(f"cannot be opened ({error.strerror}).") from error
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        zipfile.BadZipFile,
        RuntimeError,
    ) as error:
        raise UnreadableError(
            f"is damaged: it cannot be unpacked ({error}). Download it again."
        ) from error
    return source


def _unpacked(source: Source) -> Source | None:
    head = source.read(0, 8)
    openers: dict[bytes, Any] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\x00": lzma.open,
    }
    opener = next((opener for magic, opener in openers.items() if head.startswith(magic)), None)
    name = re.sub(r"\.(gz|bz2|xz|zip)$", "", source.name, flags=re.IGNORECASE)
    if opener is not None:
        with source.open() as raw, opener(raw) as stream:
            return _filled(stream, name)
    if head.startswith(b"PK\x03\x04"):
        with source.open() as raw, zipfile.ZipFile(raw) as archive:
            return _member(archive)
    if head.startswith(b"PK\x05\x06"):
        raise UnreadableError("is an empty zip archive.")
    return None


def _filled(stream: IO[bytes], name: str) -> Source:
    pieces, size = [], 0
    while piece := stream.read(_STEP):
        size += len(piece)
        if size > _LARGEST:
            raise UnreadableError(f"unpacks to more than {_LARGEST >> 30} GiB. Split it first.")
        pieces.append(piece)
    if not size:
        raise UnreadableError("is empty once unpacked. Download or export it again.")
    return Source(None, b"".join(pieces), name)


def _member(archive: zipfile.ZipFile) -> Source | None:
    """The one file of a zip archive; None for a workbook, which is a zip archive too."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if "xl/workbook.xml" in names:
        return None
    names = [
        n
        for n in names
        if not n.startswith("__MACOSX/") and not n.rpartition("/")[2].startswith(".")
    ]
    names = _data_of(names) or names
    if len(names) != 1:
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise UnreadableError(
            f"is a zip archive of {len(names)} files ({shown}), not of one. Unpack it and pass the "
            f"folder."
        )
    with archive.open(names[0]) as stream:
        source = _filled(stream, names[0].rpartition("/")[2])
    if len(archive.infolist()) > 1:
        source.notes.append(f"{names[0]} of the archive")
    return source


def _data_of(names: list[str]) -> list[str]:
    """The members of an archive that may be data: not what is written about them."""
    left = [name for name in names if not _ABOUT.search(name.rpartition("/")[2])]
    tables = [name for name in left if _TABLES.search(name)]
    stems = {name.rpartition(".")[0] for name in tables}
    return [n for n in left if n in tables or n.rpartition(".")[0] not in stems]


def _kind(source: Source) -> str:
    head = source.read(0, _HEAD)
    for magic, fault in _NOT_DATA:
        if head.startswith(magic):
            raise UnreadableError(f"{fault}.")
    if head[_TAR] == b"ustar":
        raise UnreadableError("is a tar archive: unpack it and pass the file or the folder.")
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            if kind == "xls":
                raise UnreadableError("is an old Excel workbook (.xls): save it as .xlsx or CSV.")
            return kind
    if head.startswith(b"PK\x03\x04"):
        return "xlsx"
    if _PAGE.match(head.removeprefix(codecs.BOM_UTF8)):
        if not re.search(rb"<table\b", head, re.IGNORECASE):
            raise refused_page(head)
        return "page"
    if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"<?xml", b"<rss", b"<feed")):
        return "xml"
    if _LATEX.match(head.lstrip()):
        raise UnreadableError("is a table in LaTeX: save it as CSV.")
    if _STATA.match(head):
        raise UnreadableError("is a data set of Stata (.dta): save it as CSV or Parquet.")
    if head.startswith(b"$FL2@(#)"):
        raise UnreadableError("is a data set of SPSS (.sav): save it as CSV or Parquet.")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text and source.size <= _HEAD:
        raise UnreadableError("holds nothing but blanks.")
    return "json" if text[:1] in (b"{", b"[") else "text"


def refused_page(head: bytes) -> UnreadableError:
    """The refusal of a web page without a table of rows."""
    return UnreadableError(
        f"is a web page, not data: {_said(head)}. The download failed; look at the address."
    )


def _said(page: bytes) -> str:
    """What a web page says, without its tags."""
    text = re.sub(r"<[^>]*>", " ", page.decode("utf-8", "replace"))
    return clipped(" ".join(text.split()))


def settle_encoding(
    source: Source, encoding: str | None, known: Callable[[str], int]
) -> tuple[Source, str, int]:
    """Find the encoding of a text and give it as UTF-8.

    Parameters
    ----------
    source : Source
    encoding : str or None
        As the user says it is; None to find out.
    known : callable
        How many cells of a text carry a name that the reader knows.

    Returns
    -------
    Source, str, int
        UTF-8 bytes, the encoding found, and where the text begins (behind a byte order mark).
    """
    head = source.read(0, _HEAD)
    mark, marked = next(((bom, name) for bom, name in _BOMS if head.startswith(bom)), (b"", None))
    plain = False
    if encoding is None:
        encoding = marked or _silent_utf16(head)
        plain = encoding is None and _decodes(source, "utf-8")
        encoding = "utf-8" if plain else encoding
    if encoding is None:
        encoding = _best_guess(source, head, known)
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise UnreadableError(
            f"{option('encoding', encoding)} is no encoding that Python knows."
        ) from error
    if plain or (name in ("utf-8", "utf-8-sig", "ascii") and _decodes(source, "utf-8")):
        return source, name, len(mark) if marked == "utf-8" else 0
    data = source.read()
    try:
        text = data[len(mark) :].decode(name) if name == marked else data.decode(name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"line {line}: byte {error.start} (0x{data[error.start]:02x}) is no {name} text. "
            f"Name the encoding with {option('encoding', 'gb18030')} (Chinese), "
            f"{option('encoding', 'cp1252')} (Western) or another."
        ) from error
    out = Source(None, text.removeprefix("\ufeff").encode("utf-8", "replace"), source.name)
    out.kind, out.notes = source.kind, source.notes
    return out, name, 0


def _silent_utf16(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of Western text is zero."""
    if b"\x00" not in head:
        return None
    sample = head[: len(head) // 2 * 2]
    for name, zero, other in (
        ("utf-16-le", sample[1::2], sample[::2]),
        ("utf-16-be", sample[::2], sample[1::2]),
    ):
        if zero.count(0) > 0.2 * len(zero) and zero.count(0) > 10 * other.count(0):
            return name
    raise UnreadableError(f"is binary, no text (zero bytes; it begins with {clipped(head[:16])}).")


def _decodes(source: Source, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        for piece in source.chunks():
            if not (piece.isascii() and decoder.getstate()[0] == b""):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _best_guess(source: Source, head: bytes, known: Callable[[str], int]) -> str:
    """The encoding in which most names of the header are known; without any, Chinese text comes in
    pairs of high bytes.
    """
    control = sum(head.count(bytes([c])) for c in (0, 1, 2, 3, 4, 5, 6, 14, 15, 16, 17, 18, 19))
    if control > len(head) / 100:
        raise UnreadableError(f"is binary, no text (it begins with {clipped(head[:16])}).")
    runs = re.findall(rb"[\x80-\xff]+", source.read())
    paired = sum(len(run) % 2 == 0 for run in runs) / len(runs)
    order = (
        _ENCODINGS
        if paired > 0.5
        else ("cp1252", *(name for name in _ENCODINGS if name != "cp1252"))
    )
    fits = [name for name in order if _decodes(source, name)]
    if not fits:
        raise UnreadableError(
            f"is in no encoding that could be found. Name it with {option('encoding', 'gb18030')} "
            f"or another."
        )
    plain = head[: head.rfind(b"\n") + 1] or head
    return max(fits, key=lambda name: known(plain.decode(name, "ignore")))  # of equals, the first
