"""Which column is which: the names that files of bars use, in many languages and from many sources.

Every list begins with the surest name; a file that has several takes the first, unless the contents
speak against it.
"""

from .._reading import RoleTable

__all__ = ["BARS", "OPENING_STAMPS", "PRICES"]

PRICES = ("open", "high", "low", "close")

_TIME = (
    "time", "datetime", "date time", "timestamp", "date", "trade date", "trade time",
    "trading date", "trade day", "day", "日期", "时间", "交易日期", "交易时间", "日期时间", "时间戳", "交易日", "交易日时间",
    "日线日期", "datum", "datum zeit", "datum uhrzeit", "zeit", "zeitpunkt", "zeitstempel",
    "handelstag", "fecha", "fecha hora", "data", "data hora", "date heure", "jour", "日付", "日付け",
    "日時", "날짜", "일자", "일시", "дата", "дата время", "время", "tarih", "data i czas", "päivämäärä",
    "dato", "dag", "trade dt", "trddt", "trdmnt", "trad dt", "bizdt", "dtyyyymmdd", "yyyymmdd",
    "gmt time", "local time", "utc time", "time utc", "date utc", "datetime utc", "timestamp utc",
    "datetime gmt", "time gmt", "date gmt", "time eet", "time est", "bar time", "start time",
    "begin", "begins at", "period", "session date", "date and time", "trade datetime", "quote date",
    "price date", "business date", "as of date", "dt", "eob", "bob", "tradedate", "tradingday",
    "tradetime", "t", "unix", "unix time", "unix timestamp", "epoch", "ts", "open time", "opentime",
    "open timestamp", "open datetime", "window start", "kline open time", "candle time", "datadate",
    "tanggal", "ngày", "dátum", "ημερομηνία", "วันที่", "התאריך", "תאריך", "التاريخ", "čas", "tid",
    "index date", "วันเดือนปี", "दिनांक", "तिथि", "तारीख", "日 期", "年月日", "年月", "дата торгов",
    "data sesji", "data pregão", "data do pregão", "observation date", "fecha y hora",
    "data e hora", "data e ora", "datum en tijd", "datum a čas", "as of", "mts", "month", "week",
    "quarter", "monat", "mois", "mes", "mês", "mese", "miesiąc", "月份", "candle date time",
    "start date", "start datetime", "started at", "begin time", "begin date", "period start",
    "bar start", "candle start", "open date", "start", "start at", "ctime", "candle begin time",
    "candle date time utc", "candle date time kst", "ts event", "timestamp ms", "k date",
    "time key", "dia", "czas", "time period start", "time period end", "from", "from time", "from timestamp", "index", "level 0", "",
)  # fmt: skip
_CLOCK = (
    "time", "clock", "minute", "hhmm", "bar time", "timestamp", "时间", "zeit", "uhrzeit", "hora",
    "heure", "время", "time of day", "hour", "godzina", "ora", "時刻", "tijd", "klokkeslett", "tid",
    "saat", "čas", "idő", "시간", "시각", "waktu", "kellonaika", "時間", "час", "giờ", "เวลา",
    "timeofday", "per time", "hh mm", "stunde", "ώρα", "hodina", "bartime", "czas", "orario",
    "horário", "horario", "klockslag", "klokke", "vrijeme", "vreme", "sat", "satnica", "ure", "ура",
    "уақыт", "vaqt", "laikas", "laiks", "aeg", "समय", "الوقت", "وقت", "שעה", "masa",
)  # fmt: skip
_DAY = (
    "date", "day", "日期", "交易日期", "datum", "fecha", "data", "дата", "dtyyyymmdd", "trade date",
    "trading date", "日付", "日付け", "jour", "tarih", "dato", "dag", "päivämäärä", "dátum", "tanggal",
    "ngày", "날짜", "일자", "วันที่", "ημερομηνία", "交易日", "session date", "yyyymmdd", "tradedate",
)  # fmt: skip
_SYMBOL = (
    "symbol", "ticker", "ts code", "tscode", "code", "代码", "股票代码", "证券代码", "合约代码", "基金代码", "指数代码",
    "品种代码", "wind code", "windcode", "s info windcode", "order book id", "instrument",
    "instrument id", "asset", "secid", "security id", "stkcd", "stock code", "security code",
    "sec code", "ric", "act symbol", "tckr symb", "pair", "currency pair", "市场代码", "symbol id",
    "stock symbol", "ticker symbol", "trading symbol", "tradingsymbol", "permno", "kürzel",
    "symbole", "símbolo", "テーコード", "銘柄コード", "コード", "종목코드", "тикер", "contract", "product id",
    "isin", "stk code", "thscode", "sec id", "epic", "stock id", "asset id", "securities code",
    "instrument code", "figi", "cusip", "sedol", "fund code", "scrip", "scrip code", "scrip name",
    "coin id", "market id", "asset symbol", "product code", "product symbol", "issue code", "銘柄",
    "종목", "股票代号", "证券代号", "股票代碼", "证券代碼", "代碼", "base symbol", "company code", "security symbol",
    "code isin", "codigo", "código", "kod", "kode", "tic", "gvkey", "sembol", "hisse", "hisse kodu",
    "s", "cod neg",
)  # fmt: skip
_LOOSE_SYMBOL = (
    "name", "名称", "股票名称", "证券名称", "简称", "证券简称", "stock", "stock name", "company", "company name",
    "security", "instrument name", "銘柄名", "종목명", "unternehmen", "asset name", "coin", "crypto",
    "currency", "index name", "market",
)  # fmt: skip
_OPEN = (
    "open", "o", "op", "<open>", "open price", "openprice", "opening", "opening price", "first",
    "开盘", "开盘价", "今开", "今开盘", "开", "開盤", "開盤價", "开市价", "eröffnung", "eroeffnung", "eröffn",
    "eröffnungskurs", "erster", "erster kurs", "anfangskurs", "ouv", "ouverture", "premier",
    "apertura", "aper", "abertura", "始値", "寄付", "寄り付き", "시가", "откр", "открытие", "цена открытия",
    "açılış", "otwarcie", "opening kurs", "öppningskurs", "öppning", "s dq open", "opnprc",
    "opn pric", "openpx", "open bid", "bidopen", "bid open", "kurs otwarcia", "openprc",
    "open last", "px open", "open usd", "vstup", "aç", "opening price level", "mở cửa", "pembukaan",
    "öppen", "오픈", "otevření", "otevírací", "avaus", "avauskurssi", "åpning", "åpningskurs",
    "åbning", "åbningskurs", "nyitó", "nyitóár", "deschidere", "άνοιγμα", "otvorenie", "відкриття",
    "відкр", "prcod", "เปิด", "פתיחה", "افتتاح", "الافتتاح", "premier cours", "prezzo di apertura",
    "giá mở cửa", "openingskoers", "openen", "openingsprijs", "mở", "開市", "開市價", "开市", "खुला",
    "ओपन", "مفتوح", "سعر الافتتاح", "preço de abertura", "eröffnungspreis", "cours d ouverture",
    "opening px", "pre abe", "ค่าเปิด", "ราคาเปิด", "precio apertura", "precio de apertura",
)
_HIGH = (
    "high", "h", "hi", "<high>", "high price", "highprice", "highest", "day high", "max", "maximum",
    "最高", "最高价", "高", "高值", "最高價", "hoch", "tageshoch", "höchstkurs", "hoechst", "höchst",
    "höchster", "höchstwert", "plus haut", "haut", "le plus haut", "máximo", "máx", "maximo",
    "máxima", "massimo", "alto", "高値", "고가", "макс", "максимум", "yüksek", "najwyzszy", "najwyższy",
    "s dq high", "hiprc", "hgh pric", "highpx", "bidhigh", "bid high", "askhi", "high bid",
    "kurs maksymalny", "px high", "högsta", "högsta kurs", "cao nhất", "tertinggi", "en yüksek",
    "maks", "max kurs", "hoogste", "hoog", "högst", "ylin", "korkein", "høy", "høyeste", "høj",
    "højeste", "maximum kurz", "nejvyšší", "najvyššie", "legmagasabb", "υψηλό", "υψηλότερο",
    "prchd", "maxim", "สูงสุด", "גבוה", "أعلى", "الأعلى", "najwyższy kurs", "giá cao nhất",
    "макс цена", "найвища", "högstkurs", "cao", "สูง", "ราคาสูงสุด", "उच्च", "उच्चतम", "हाई",
    "مرتفع", "أعلى سعر", "максимальная", "максимальна", "preço máximo", "precio máximo",
    "prezzo massimo", "cours plus haut", "hoogste koers", "最高値", "dagshögsta", "høyest",
    "máx del día", "pre max",
)
_LOW = (
    "low", "l", "lo", "<low>", "low price", "lowprice", "lowest", "day low", "min", "minimum", "最低",
    "最低价", "低", "低值", "最低價", "tief", "tagestief", "tiefstkurs", "tiefst", "tiefster", "tiefstwert",
    "niedrig", "plus bas", "bas", "le plus bas", "mínimo", "mín", "minimo", "mínima", "basso",
    "bajo", "安値", "저가", "мин", "минимум", "düşük", "najnizszy", "najniższy", "s dq low", "loprc",
    "lw pric", "lowpx", "bidlow", "bid low", "bidlo", "low bid", "kurs minimalny", "px low",
    "lägsta", "lägsta kurs", "thấp nhất", "terendah", "en düşük", "min kurs", "laagste", "laag",
    "lägst", "alin", "matalin", "lav", "laveste", "nejnižší", "najnižšie", "legalacsonyabb",
    "χαμηλό", "χαμηλότερο", "prcld", "minim", "ต่ำสุด", "נמוך", "أدنى", "الأدنى", "giá thấp nhất",
    "найнижча", "lägstkurs", "мінімум", "мін", "thấp", "ต่ำ", "ราคาต่ำสุด", "निम्न", "न्यूनतम",
    "लो", "منخفض", "أدنى سعر", "минимальная", "мінімальна", "preço mínimo", "precio mínimo",
    "prezzo minimo", "cours plus bas", "laagste koers", "最低値", "dagslägsta", "lavest",
    "mín del día", "pre min",
)  # fmt: skip
_CLOSE = (
    "close", "c", "cl", "<close>", "close price", "closeprice", "closing", "closing price",
    "close last", "last close", "收盘", "收盘价", "收", "收盤", "收盤價", "schluss", "schlusskurs",
    "schlußkurs", "schlusskurs in eur", "zuletzt", "letzter", "dernier", "clôture", "cloture",
    "clot", "prc", "último", "ultimo", "cierre", "fechamento", "chiusura", "終値", "종가", "закр",
    "закрытие", "цена закрытия", "цена", "kapanış", "şimdi", "zamkniecie", "zamknięcie",
    "s dq close", "clsprc", "cls pric", "closepx", "bidclose", "bid close", "close bid",
    "kurs zamknięcia", "px last", "senaste", "stängning", "slutkurs", "closing kurs", "last",
    "last price", "latest", "price", "现价", "最新价", "settle", "settle price", "现在値", "現在値", "kurs",
    "laatste", "slot", "slotkoers", "close usd", "ltp", "lần cuối", "terakhir", "đóng cửa",
    "ostatnio", "sluttkurs", "last sale", "kapanis", "senast", "päätös", "päätöskurssi", "viimeksi",
    "viimeisin", "siste", "luk", "lukkekurs", "seneste", "závěr", "zavírací", "poslední", "kurz",
    "záró", "záróár", "utolsó", "închidere", "ultimul", "κλείσιμο", "τελευταία", "záver",
    "закриття", "остання", "prccd", "penutupan", "ล่าสุด", "ปิด", "סגירה", "אחרון", "الأخير",
    "الإغلاق", "giá đóng cửa", "오늘", "현재가", "cierre último", "prix de clôture",
    "prezzo di chiusura", "son", "ostatni", "stängningskurs", "trade price", "收市", "收市價", "ราคาปิด",
    "बंद", "मूल्य", "क्लोज़", "آخر", "إغلاق", "سعر الإغلاق", "שער", "последняя", "ціна", "preço",
    "preço de fechamento", "precio", "precio cierre", "precio de cierre", "prezzo", "cours",
    "cours de clôture", "slotkurs", "slutkurs sek", "lukning", "pris", "hinta", "fiyat", "harga",
    "giá", "price close", "closing value", "último preço", "zavírací kurz", "záverečný kurz",
    "koers", "pre ult",
)
_ADJUSTED = (
    "adj close", "adjusted close", "adjclose", "adj close price", "adjusted closing price",
    "close adj", "close adjusted", "adjustedclose", "adj closing price", "adj last",
    "adjusted price", "adjusted", "复权收盘价", "后复权收盘价", "调整收盘价", "bereinigter schluss",
    "schluss bereinigt", "cierre ajustado", "调整后收盘价", "調整後終値", "s dq adjclose",
)  # fmt: skip
_VOLUME = (
    "volume", "v", "<volume>", "成交量", "总手", "交易量", "成交股数", "成交手数", "成交量股", "成交量手", "总量", "stück",
    "stuecke", "stücke", "gehandelte stück", "vol", "<vol>", "volumen", "shares traded",
    "no of shares", "number of shares", "qty", "quantity", "total traded quantity", "tottrdqty",
    "ttl trd qnty", "ttl tradg vol", "traded volume", "trading volume", "trade volume",
    "share volume", "contracts", "total volume", "total quantity", "volume base", "base volume",
    "volume base asset", "volumefrom", "volume from", "出来高", "売買高", "거래량", "объём", "объем",
    "объем торгов", "hac", "hacim", "wolumen", "obrot", "s dq volume", "dnshrtrd", "volumepx",
    "volym", "volumes", "volume shares", "volume traded", "px volume", "tick volume", "tickvol",
    "<tickvol>", "tickqty", "ticks", "tickcount", "real volume", "up volume", "totalvolume",
    "candle acc trade volume", "volumen titulos", "kl", "volume btc", "volume eth", "vol btc",
    "size", "umsatz stück", "volumen stück", "volume coin", "khối lượng", "omzet", "成交股數", "objem",
    "objem obchodů", "vaihto", "volyymi", "määrä", "volum", "omsætning antal", "forgalom",
    "forgalom db", "mennyiség", "volumul", "όγκος", "об'єм", "обсяг", "cshtrd", "wol",
    "wolumen obrotu", "hacim lot", "işlem hacmi", "toplam işlem hacmi", "işlem miktarı", "ปริมาณ",
    "נפח", "الحجم", "حجم", "khối lượng giao dịch", "kl khớp", "volumen negociado",
    "volume de titres", "titres échangés", "pezzi", "aantal", "antal", "antall", "성交量", "총거래량",
    "total volym", "totalvolym", "volym st", "omsatt antal", "handlade aktier", "मात्रा", "वॉल्यूम",
    "حجم التداول", "volume négocié", "volume échangé", "volumen total", "volume total",
    "volume totale", "volume scambiato", "取引量", "кількість", "количество", "hacim adet", "cantidad",
    "quantidade", "quantità", "trade vol", "vol shares", "qua tot", "capacity",
)  # fmt: skip

# Words that stand beside "open", "high" and so on without a meaning of their own
_BESIDE = frozenset(
    [
        "price", "prices", "value", "values", "index", "rate", "level", "quote", "px",
        "the", "of", "day", "days", "daily", "today", "market", "stock", "share", "trade",
        "traded", "session", "usd", "eur", "gbp", "inr", "rs", "kurs", "kurz", "fiyatı",
        "fiyat", "precio", "de", "del", "prezzo", "di", "preço", "prix", "cours", "cena",
        "цена", "harga", "giá",
    ]
)
_WORDS = {
    "open": ({"open", "opening", "apertura", "abertura", "açılış", "otwarcia"}, _BESIDE),
    "high": ({"high", "highest", "max", "maximum", "máximo", "massimo", "yüksek", "maks"}, _BESIDE),
    "low": ({"low", "lowest", "min", "minimum", "mínimo", "minimo", "düşük"}, _BESIDE),
    "close": (
        {
            "close", "closing", "last", "cierre", "fechamento", "chiusura", "clôture", "kapanış",
            "settlement",
        },
        _BESIDE,
    ),
    "symbol": (
        {"symbol", "ticker", "code"},
        {
            "stock", "asset", "security", "securities", "instrument", "company", "index", "fund",
            "coin", "share", "name", "the", "of", "trading", "crypto", "currency", "equity", "etf",
            "market",
        },
    ),
    "volume": (
        {"volume", "vol", "quantity", "qty", "hacmi", "hacim", "volumen"},
        _BESIDE
        | {"total", "shares", "number", "units", "lots", "contracts", "no", "toplam", "işlem"},
    ),
}

BARS = RoleTable(
    {
        "time": _TIME,
        "date": _DAY,
        "clock": _CLOCK,
        "symbol": _SYMBOL,
        "loose symbol": _LOOSE_SYMBOL,
        "open": _OPEN,
        "high": _HIGH,
        "low": _LOW,
        "close": _CLOSE,
        "adjusted": _ADJUSTED,
        "volume": _VOLUME,
    },
    words=_WORDS,
)

# Names of times at which a bar begins: its values are known one bar later
OPENING_STAMPS = (
    "open time", "opentime", "open timestamp", "window start", "kline open time", "start", "begin",
    "candle begin time", "start time", "start date", "start datetime", "started at", "start at",
    "begin time", "begin date", "begins at", "period start", "bar start", "candle start",
    "open date", "open datetime", "from", "from time", "from timestamp", "time period start",
)  # fmt: skip
