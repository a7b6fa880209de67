"""Month names in the languages of exchanges and newspapers, as English abbreviations."""

import re
import unicodedata

import pandas as pd

__all__ = ["MONTHS", "english_months"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMES = (
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "jänner feber mrz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "enero febrero marzo abril mayo junio julio agosto setiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "januari februari mrt april maj juni juli augusti september oktober november december",
    "januar februar mars april maj juni juli august september oktober november desember",
    "januar februar marts april maj juni juli august september oktober november december",
    "januari februari maret april mei juni juli agustus september oktober november desember",
    (
        "tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu heinäkuu elokuu syyskuu lokakuu "
        "marraskuu joulukuu"
    ),
    (
        "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta "
        "syyskuuta lokakuuta marraskuuta joulukuuta"
    ),
    (
        "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad "
        "grudzień"
    ),
    (
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
        "listopada grudnia"
    ),
    "leden únor březen duben květen červen červenec srpen září říjen listopad prosinec",
    "ledna února března dubna května června července srpna září října listopadu prosince",
    "január február marec apríl máj jún júl august september október november december",
    "januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra",
    (
        "január február március április május június július augusztus szeptember október november "
        "december"
    ),
    (
        "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie "
        "decembrie"
    ),
    "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
    "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    (
        "січень лютий березень квітень травень червень липень серпень вересень жовтень листопад "
        "грудень"
    ),
    "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
    (
        "ιανουάριος φεβρουάριος μάρτιος απρίλιος μάιος ιούνιος ιούλιος αύγουστος σεπτέμβριος "
        "οκτώβριος νοέμβριος δεκέμβριος"
    ),
    (
        "ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου αυγούστου σεπτεμβρίου "
        "οκτωβρίου νοεμβρίου δεκεμβρίου"
    ),
)
_WORD = re.compile(r"(?<![^\W\d])([^\W\d]{3,12})\.?(?![^\W\d])")
_SHORTEST = 3  # letters: below, languages contradict one another


def _plain(word: str) -> str:
    """Lower case, without accents."""
    parts = unicodedata.normalize("NFKD", word.lower())
    return "".join(one for one in parts if not unicodedata.combining(one))


def _beginnings() -> dict[str, str]:
    """English abbreviations by name, and by every beginning of names of one month only."""
    whole: dict[str, str] = {}
    begun: dict[str, set[str]] = {}
    for names in (" ".join(MONTHS), *_NAMES):
        for name, english in zip(map(_plain, names.split()), MONTHS, strict=True):
            whole.setdefault(name, english)  # červen is June, though červenec begins with it
            for end in range(_SHORTEST, len(name)):
                begun.setdefault(name[:end], set()).add(english)
    sure = {start: found.pop() for start, found in begun.items() if len(found) == 1}
    return sure | whole


_MONTHS = _beginnings()


def english_months(text: pd.Series) -> pd.Series:
    """Month names, whole or abbreviated, as three English letters; other words stay.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktrain._reading._months import english_months
    >>> english_months(pd.Series(["15. Mai 2023", "3 févr. 2023", "26 lutego 2024"])).tolist()
    ['15. May 2023', '3 Feb 2023', '26 Feb 2024']
    """
    found = text.str.findall(_WORD)
    words = {word for row in found.array if isinstance(row, list) for word in row}
    months = {word: _MONTHS[_plain(word)] for word in words if _plain(word) in _MONTHS}

    def english(hit: re.Match[str]) -> str:
        return months.get(hit[1], hit[0])

    return text.str.replace(_WORD, english, regex=True) if months else text
