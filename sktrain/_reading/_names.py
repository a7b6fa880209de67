"""Column names: as files write them they enter, in one spelling they leave; a table of synonyms gives their role."""

from collections.abc import Iterable, Mapping, Sequence
import re
import unicodedata

__all__ = ["RoleTable", "plain_name"]

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMBERED = re.compile(r"^\d{1,2}[a-z]?[.)]\s+")
_BRACKETS = re.compile(r"\s*[(\[（【][^)\]）】]*[)\]）】]\s*$")
_MARKS = re.compile(r"[\s_\-./\\:*#%<>\"'`]+")


def plain_name(name: object, *, units: bool = False) -> str:
    """One spelling for a column name: lower case, words apart, no marks, and without ``units`` no trailing brackets.

    Examples
    --------
    >>> from sktrain._reading._names import plain_name
    >>> [plain_name(n) for n in ("<TICKVOL>", "adjClose", "5. adjusted close", "开盘价(元)", "Gmt time", "Vol.")]
    ['tickvol', 'adj close', 'adjusted close', '开盘价', 'gmt time', 'vol']
    """
    text = unicodedata.normalize("NFKC", str(name)).strip()
    text = _NUMBERED.sub("", text)
    if not units:
        text = _BRACKETS.sub("", text) or text
    text = _CAMEL.sub(" ", text)
    text = _MARKS.sub(" ", text.replace("(", " ").replace(")", " ")).strip().lower()
    return "" if text.startswith("unnamed ") or text == "unnamed" else text


class RoleTable:
    """Synonyms of each role, the surest first.

    Parameters
    ----------
    synonyms : mapping of str to sequence of str
        Names as :func:`plain_name` writes them.
    """

    def __init__(self, synonyms: Mapping[str, Sequence[str]]) -> None:
        self._rank: dict[str, dict[str, int]] = {
            role: {plain_name(name): place for place, name in reversed(list(enumerate(names)))}
            for role, names in synonyms.items()
        }
        self._joined: dict[str, dict[str, int]] = {
            role: {name.replace(" ", ""): place for name, place in reversed(ranks.items())}
            for role, ranks in self._rank.items()
        }
        self._all = {name for ranks in self._rank.values() for name in ranks} - {""}

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self._rank)

    def knows(self, name: str) -> bool:
        """Whether a cell is the name of a role."""
        return bool(name) and (
            plain_name(name) in self._all or plain_name(name, units=True) in self._all
        )

    def count(self, text: str) -> int:
        """How many cells in the first lines of a text are names of roles."""
        lines = text.split("\n", 20)[:20]
        return max((sum(map(self.knows, re.split(r"[,;\t|]", line))) for line in lines), default=0)

    def candidates(self, role: str, names: Iterable[str]) -> list[int]:
        """Positions of the columns that may play a role, the surest first."""
        ranks, joined = self._rank[role], self._joined[role]
        found = []
        for place, name in enumerate(names):
            rank = min(
                ranks.get(plain_name(name), 10**6), ranks.get(plain_name(name, units=True), 10**6)
            )
            if rank == 10**6:  # publishedAt, published_at and publishedat are one name
                rank = joined.get(plain_name(name).replace(" ", ""), 10**6)
            if rank < 10**6:
                found.append((rank, place))
        return [place for _, place in sorted(found)]
