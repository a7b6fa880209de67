"""Roles of the columns of a file of news, from their names or their contents."""

from collections.abc import Mapping
import re

from .._reading import (
    MissingRolesError,
    RoleTable,
    Table,
    UnreadableError,
    clipped,
    given_columns,
    option,
    parts_of_days,
    plain_name,
    tells_of_rows,
    time_shape,
)

__all__ = ["NEWS", "PUBLISHED", "assigned", "column_name"]

PUBLISHED = "published_at"
_TIMES = (
    "published at", "published", "published utc", "publication date", "date published", "pub date",
    "publish date", "publish time", "published date", "published time", "time published",
    "published on", "publish on", "created at", "created", "created utc", "datetime", "date time",
    "timestamp", "versioncreated", "provider publish time", "web publication date", "seen date",
    "date", "time", "posted at", "post date", "tweet date", "release date", "display time",
    "pub time", "show time", "ctime", "day", "dt", "filed at", "filing date", "news dt", "发布时间",
    "发布日期", "发表时间", "发表日期", "公告日期", "公告时间", "新闻发布时间", "日期时间", "时间", "日期", "时刻", "發布時間", "發布日期",
    "刊登日期", "發言日期", "發言時間", "日期時間", "時間", "公開日時", "配信日時", "公開日", "発表日時", "発表日", "開示日時", "日時", "日付",
    "時刻", "作成日", "작성일", "작성일시", "게시일", "발행일", "등록일", "일시", "날짜", "일자", "시간", "입력일", "datum",
    "veröffentlicht", "veröffentlicht am", "veröffentlichungsdatum", "zeitpunkt", "zeitstempel",
    "uhrzeit", "zeit", "date de publication", "publié le", "date heure", "heure",
    "fecha de publicación", "fecha publicación", "fecha", "publicado", "hora", "data de publicação",
    "data publicação", "publicado em", "data", "data di pubblicazione", "data pubblicazione",
    "pubblicato il", "ora", "publicatiedatum", "gepubliceerd", "gepubliceerd op", "tijd",
    "publicerad", "publiceringsdatum", "publicerat", "tid", "publisert", "udgivet", "dato",
    "julkaistu", "päivämäärä", "data publikacji", "opublikowano", "godzina", "datum publikace",
    "publikováno", "datum vydání", "čas", "megjelenés", "dátum", "data publicării", "tarih",
    "yayın tarihi", "yayınlanma tarihi", "saat", "дата публикации", "дата", "дата и время",
    "опубликовано", "время", "дата публікації", "ημερομηνία", "tanggal", "waktu", "ngày",
    "ngày đăng",
)
# A name of these words only, with one of the first, is that of a time, a title and so on
_WORDS = {
    "title": (
        {"title", "headline", "headlines", "heading", "subject", "head"},
        {
            "news", "article", "story", "post", "item", "content", "data", "attributes", "fields",
            "main", "full", "text", "web", "original", "press", "release", "rendered", "event",
            "clean", "cleaned", "the", "of", "en", "english", "node", "message", "value", "company",
            "stock",
        },
    ),
    "available_at": (
        {
            "crawled", "scraped", "fetched", "collected", "ingested", "received", "retrieved",
            "downloaded", "crawl", "scrape", "fetch", "ingest", "retrieval", "available",
        },
        {
            "at", "on", "date", "time", "datetime", "timestamp", "utc", "news", "article", "first",
            "from", "ts", "dt",
        },
    ),
    "published_at": (
        {
            "date", "time", "datetime", "timestamp", "published", "publish", "pubdate", "posted",
            "created", "released", "dt", "filed", "tweeted",
        },
        {
            "news", "article", "story", "post", "item", "tweet", "message", "content", "data",
            "attributes", "fields", "node", "web", "pub", "publication", "posting", "creation",
            "release", "issue", "issued", "filing", "accepted", "utc", "gmt", "et", "est", "local",
            "at", "on", "and", "of", "the", "day", "first", "show", "display", "unix", "epoch",
            "ms", "iso", "string", "str", "feed", "rss", "original", "announcement", "announced",
            "press", "report", "submission", "submitted", "in", "ts", "public",
        },
    ),
    "body": (
        {"body", "content", "text", "summary", "description", "abstract", "snippet", "article"},
        {
            "news", "story", "full", "main", "data", "attributes", "fields", "rendered", "clean",
            "post", "short", "html", "node", "plain", "raw", "article", "of", "the",
        },
    ),
    "symbols": (
        {"ticker", "tickers", "symbol", "symbols", "cashtag", "cashtags"},
        {
            "stock", "stocks", "company", "related", "news", "article", "code", "list", "data",
            "content", "finance", "mentioned", "primary", "main", "attributes", "asset", "the",
            "of",
        },
    ),
}
NEWS = RoleTable(
    {
        "title": (
            "title", "headline", "article title", "news title", "headlines", "subject", "newssub",
            "新闻标题", "标题", "公告标题", "题目", "標題", "新聞標題", "主旨", "タイトル", "見出し", "題名", "표제", "제목", "기사제목",
            "titel", "überschrift", "schlagzeile", "titre", "titre de l article", "título",
            "titular", "titulo", "manchete", "titolo", "kop", "rubrik", "tittel", "overskrift",
            "otsikko", "tytuł", "nagłówek", "titulek", "nadpis", "název", "cím", "titlu", "başlık",
            "заголовок", "название", "тема", "назва", "τίτλος", "judul", "tiêu đề", "headline text",
            "tweet", "tweet text", "text", "news", "content title", "storyheadline", "full text",
            "message", "sentence", "内容", "web title", "headline main",
        ),
        "available_at": (
            "available at", "received at", "retrieved at", "crawled at", "fetched at",
            "ingested at", "time received", "collected at", "crawl date", "crawl time",
            "scraped at", "采集时间", "抓取时间", "爬取时间", "入库时间", "収集日時", "수집일시",
        ),
        "published_at": _TIMES,
        "body": (
            "body", "summary", "description", "article", "article body", "text", "full text",
            "content", "selftext", "teaser", "新闻内容", "内容", "正文", "摘要", "內文", "內容", "內文摘要", "本文",
            "要約", "본문", "내용", "요약", "news content", "lsa summary", "textrank summary", "story",
            "lead", "snippet", "abstract", "inhalt", "zusammenfassung", "résumé", "texte",
            "contenu", "resumen", "texto", "contenido", "cuerpo", "conteúdo", "resumo", "corpo",
            "testo", "contenuto", "riassunto", "tekst", "inhoud", "samenvatting", "brödtext",
            "innehåll", "ingress", "treść", "streszczenie", "obsah", "perex", "szöveg", "içerik",
            "özet", "metin", "текст", "содержание", "описание", "isi", "nội dung",
        ),
        "symbols": (
            "symbols", "symbol", "tickers", "ticker", "stock symbol", "stock code", "stock",
            "ts code", "股票代码", "证券代码", "代码", "股票代號", "證券代號", "代號", "公司代號", "銘柄コード", "証券コード", "종목코드",
            "종목", "тикер", "关键词", "scrip cd", "stock name", "related", "related symbols",
            "related tickers", "secid", "instrument", "code", "assets", "currencies", "stocks",
            "company", "insights tickers", "ticker sentiment", "entities", "stock list",
            "stocklist", "symbole", "kürzel", "símbolo", "sembol", "wkn", "isin", "asset", "coin", "coins",
            "crypto", "security", "instruments",
        ),
        "language": ("language", "lang", "语言", "sprache"),
    },
    words=_WORDS,
)
_TEXTS = ("text", "message", "content", "body", "summary", "description")  # a title where none is
_TICKER = re.compile(r"\$?[A-Z0-9][A-Z0-9.:\-]{0,9}")
_WORDY = 3  # words of a title in the middle of a column, at least: a judgment


def assigned(table: Table, columns: Mapping[str, object] | None) -> dict[str, int]:
    """Position of the column of every role.

    Raises
    ------
    UnreadableError
        When there is no title or no time, or two columns claim to be the title.
    """
    names = table.headers[-1] if table.headers else []
    roles, barred = given_columns(columns, NEWS.roles, names, table)
    if not table.headers:
        _by_content(roles, barred, table)
    for role in NEWS.roles:
        if role in roles or role in barred:
            continue
        free = [p for p in NEWS.candidates(role, names) if p not in roles.values()]
        if role in ("title", "published_at", "available_at"):
            free = [place for place in free if any(_cells(table, place))]
        if role in ("published_at", "available_at"):
            timed = [p for p in free if time_shape(_cells(table, p)) not in ("", "digits")]
            free = timed or (free if role == "published_at" else [])  # refused later, by its cells
        if free:
            roles[role] = free[0]
            if role == "title":
                _refuse_twins(free, names, table)
    if "title" not in roles and "title" not in barred and "body" in roles:
        texts = [p for p in NEWS.candidates("body", names) if any(_cells(table, p))]
        if texts and (plain_name(names[texts[0]]) in _TEXTS or len(texts) == 1):
            roles["title"] = texts[0]
            del roles["body"]
    parts = parts_of_days(names)
    if parts and "available_at" not in roles and "published_at" not in (columns or {}):
        roles["published_at"] = parts[0]
    if "published_at" not in barred:
        _only_times(roles, names, table)
    if "title" not in barred:
        _only_sentences(roles, names, table)
    _complain(roles, names, table)
    return roles


def _only_times(roles: dict[str, int], names: list[str], table: Table) -> None:
    """The one column that holds times, in a file with titles; an index without name, whatever else
    there is.
    """
    if {"published_at", "available_at"} & set(roles) or not names:
        return
    shapes = {p: time_shape(_cells(table, p)) for p in range(table.width)}
    timed = [p for p in shapes if shapes[p] in ("day", "moment") and p not in roles.values()]
    unnamed = [place for place in timed if not plain_name(names[place])]
    if "title" in roles:
        timed = [p for p in timed if table.kinds()[p] == "time" and not tells_of_rows(names[p])]
    if len(unnamed or timed) == 1 and (unnamed or "title" in roles):
        roles["published_at"] = (unnamed or timed)[0]
        table.notes.append(f"times = {names[roles['published_at']] or 'the column without name'}")


def _only_sentences(roles: dict[str, int], names: list[str], table: Table) -> None:
    """The one column that holds sentences, in a file with times."""
    if "title" in roles or not {"published_at", "available_at"} & set(roles) or not names:
        return
    left = [place for place in range(table.width) if place not in roles.values()]
    texts = [place for place in left if _usual_words(table, place) >= _WORDY]
    if len(texts) == 1:
        roles["title"] = texts[0]


def column_name(table: Table, place: int) -> str:
    """The name of a column, or its number."""
    return table.headers[-1][place] if table.headers else f"column {place + 1}"


def _cells(table: Table, place: int) -> list[str]:
    return [row[place] for row in table.sample if place < len(row)]


def _refuse_twins(found: list[int], names: list[str], table: Table) -> None:
    """Two columns of one name and different contents leave open which is meant."""
    twins = [p for p in found if names[p] == names[found[0]]]
    if len(twins) > 1 and _cells(table, twins[0]) != _cells(table, twins[1]):
        raise UnreadableError(
            f"column {clipped(names[found[0]])} stands more than once, with different texts. Say "
            f"which by its number, as in {option('columns', {'title': twins[0] + 1})}."
        )


def _by_content(roles: dict[str, int], barred: set[str], table: Table) -> None:
    """Roles of a file without names, where its contents leave no choice: one column of times, one
    of sentences.
    """
    left = [place for place in range(table.width) if place not in roles.values()]
    if not {"published_at", "available_at"} & set(roles):
        timed = [p for p in left if time_shape(_cells(table, p)) in ("day", "moment")]
        timed = [p for p in timed if table.kinds()[p] == "time"] or timed
        if len(timed) != 1:
            return
        roles["published_at"] = timed[0]
        left.remove(timed[0])
    words = {place: _usual_words(table, place) for place in left}
    if "title" not in roles:
        texts = sorted((p for p in left if words[p] >= _WORDY), key=lambda place: words[place])
        if not texts or (len(texts) > 1 and words[texts[1]] < 2 * words[texts[0]]):
            return
        roles["title"] = texts[0]
        if len(texts) == 2 and "body" not in barred:
            roles.setdefault("body", texts[1])
    codes = [place for place in left if place not in roles.values() and _are_tickers(table, place)]
    if len(codes) == 1 and "symbols" not in barred:
        roles.setdefault("symbols", codes[0])
    table.notes.append("no header: roles from the contents")


def _usual_words(table: Table, place: int) -> float:
    counts = sorted(len(cell.split()) for cell in _cells(table, place))
    return counts[len(counts) // 2] if counts else 0


def _are_tickers(table: Table, place: int) -> bool:
    cells = [cell for cell in _cells(table, place) if cell]
    lettered = all(any(char.isalpha() for char in cell) for cell in cells)
    return bool(cells) and lettered and all(map(_TICKER.fullmatch, cells))


def _complain(roles: dict[str, int], names: list[str], table: Table) -> None:
    missing = [role for role in ("title", "available_at") if role not in roles]
    if "published_at" in roles and "available_at" in missing:
        missing.remove("available_at")
    if missing:
        first = f"there is no header: its first row is {clipped(table.sample[0])}"
        shown = ", ".join(map(clipped, names)) or f"numbers 1 to {table.width} ({first})"
        call = option("columns", dict.fromkeys(missing, "NAME"))
        raise MissingRolesError(
            f"no column for {' and '.join(missing)}; the columns are {shown}. Name them with "
            f"{call}.",
            len(missing),
        )
