"""Kinds of leaks beside their honest twins: one step apart, told apart; and files that are no code
are refused in time."""

import os

import pytest

from sktrain.exceptions import SktrainError
from sktrain.leakage import audit_source

_BARS = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
bars = pd.read_csv("bars.csv", parse_dates=["date"], index_col="date")
X, y = bars[["a", "b"]], bars["y"]
X_train, X_val, X_test = X[:1500], X[1500:2000], X[2000:]
y_train, y_val, y_test = y[:1500], y[1500:2000], y[2000:]
"""
_XGB = _BARS + "import xgboost as xgb\n"
_KERAS = _BARS + "from tensorflow import keras\nmodel = keras.Sequential([keras.layers.Dense(1)])\n"
_STOP = "callbacks=[keras.callbacks.EarlyStopping(patience=3)]"
_ROWS = """
from sklearn.model_selection import KFold, cross_val_score
from sklearn.linear_model import LogisticRegression
import pandas as pd
frame = pd.read_csv("study.csv"){then}
X, y = frame[["a", "b"]], frame["y"]
cross_val_score(LogisticRegression(), X, y, cv=KFold(5, shuffle=True, random_state=0))
"""
_CENTRED = """
import pandas as pd
import matplotlib.pyplot as plt
bars = pd.read_csv("bars.csv", parse_dates=["date"], index_col="date")
bars["trend"] = bars["close"].rolling(51, center=True).mean()
"""
_SERVED = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
async def rows(session):
    answer = await session.get("https://example.com/rows")
    return pd.DataFrame(await answer.json(), columns={columns})
async def main(session):
    frame = await rows(session)
    a, b, c, d = train_test_split(frame[["v"]], frame["y"])
    print(LogisticRegression().fit(a, c).score(b, d))
"""
_SERIES = """
import numpy as np
import pandas as pd
prices = pd.read_csv("bars.csv", index_col="date", parse_dates=True)["close"]
returns = prices.pct_change()
position = np.sign({})
trade = position * returns.shift(-1)
print(trade.mean() / trade.std())
"""
_POLARS = """
import polars as pl
from sklearn.linear_model import LogisticRegression
bars = pl.read_csv("bars.csv", try_parse_dates=True).sort("date")
bars = bars.with_columns(
    pl.col("open").{}.alias("gap"), up=pl.col("close").shift(-1) > pl.col("close")
).drop_nulls()
old, new = bars[:2000], bars[2000:]
m = LogisticRegression().fit(old.select("gap").to_numpy(), old["up"].to_numpy())
m.score(new.select("gap").to_numpy(), new["up"].to_numpy())
"""
_MACRO = _BARS + """
macro = pd.read_csv("gdp.csv", index_col=0, parse_dates=True)["gdp"]
bars["gdp"] = macro.reindex(bars.index, method="{}")
m = LogisticRegression().fit(bars[["gdp"]][:1500], y[:1500])
m.score(bars[["gdp"]][1500:], y[1500:])
"""
_WINDOWS = """
import numpy as np
import pandas as pd
from sklearn.preprocessing import MinMaxScaler
from tensorflow import keras
closes = pd.read_csv("bars.csv", parse_dates=["date"], index_col="date")[["close"]].to_numpy()
n = int(len(closes) * 0.8)
scaler = MinMaxScaler()
scaler.fit({})
scaled = scaler.transform(closes)
X_train = np.array([scaled[i - 60:i, 0] for i in range(60, n)])
X_test = []
for i in range(n, len(scaled)):
    X_test.append(scaled[i - 60:i, 0])
X_test = np.array(X_test)
model = keras.Sequential([keras.layers.LSTM(8), keras.layers.Dense(1)])
model.fit(X_train, scaled[60:n, 0])
print(model.evaluate(X_test, scaled[n:, 0]))
"""
_BY_HAND = """
import pandas as pd
import torch
from sklearn.preprocessing import StandardScaler
bars = pd.read_csv("bars.csv", parse_dates=["date"], index_col="date")
raw = bars[["a", "b"]].to_numpy()
X = torch.from_numpy(StandardScaler().fit({}).transform(raw)).float()
y = torch.tensor((bars["close"].shift(-1) > bars["close"]).to_numpy()).float()
X_train, X_test = X[:1500], X[1500:]
net = torch.nn.Linear(2, 1)
loss = torch.nn.functional.mse_loss(net(X_train).squeeze(), y[:1500])
loss.backward()
print(((net(X_test).squeeze() > 0) == y[1500:]).float().mean())
"""
_PANEL = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
parts = []
for name in ("A", "B"):
    bars = pd.read_csv(f"{{name}}.csv", parse_dates=["date"], index_col="date")
    bars["y"] = bars["close"].shift(-1) > bars["close"]
    bars["gap"] = bars["open"].shift({})
    parts.append(bars.dropna())
panel = pd.concat(parts).sort_index()
old, new = panel[panel.index < "2018"], panel[panel.index >= "2018"]
print(LogisticRegression().fit(old[["gap"]], old["y"]).score(new[["gap"]], new["y"]))
"""
PAIRS = {
    "instruments below each other": (_PANEL.format(-1), "shift_ahead", _PANEL.format(1)),
    "windows of scaled rows": (
        _WINDOWS.format("closes"),
        "fitted_before_split",
        _WINDOWS.format("closes[:n]"),
    ),
    "a net trained by hand": (
        _BY_HAND.format("raw"),
        "fitted_before_split",
        _BY_HAND.format("raw[:1500]"),
    ),
    "a position of series": (
        _SERIES.format("returns.rolling(5, center=True).mean()"),
        "centred_window",
        _SERIES.format("returns.rolling(5).mean()"),
    ),
    "a position of the next return": (
        _SERIES.format("prices.shift(-1) - prices"),
        "shift_ahead",
        _SERIES.format("(prices.shift(-1) - prices).shift(1)"),
    ),
    "columns of polars": (
        _POLARS.format("shift(-1)"),
        "shift_ahead",
        _POLARS.format("shift(1)"),
    ),
    "gaps filled by reindex": (_MACRO.format("bfill"), "backfill", _MACRO.format("ffill")),
    "early stopping by a callback": (
        _XGB
        + "import lightgbm as lgb\nm = lgb.LGBMClassifier()\n"
        + "m.fit(X_train, y_train, eval_set=[(X_test, y_test)], callbacks=[lgb.early_stopping(9)])\n"
        + "m.score(X_test, y_test)\n",
        "tuned_on_scored_rows",
        _XGB
        + "import lightgbm as lgb\nm = lgb.LGBMClassifier()\n"
        + "m.fit(X_train, y_train, eval_set=[(X_test, y_test)], callbacks=[lgb.log_evaluation(9)])\n"
        + "m.score(X_test, y_test)\n",
    ),
    "early stopping of trees on the test": (
        _XGB
        + "m = xgb.XGBClassifier(early_stopping_rounds=9)\n"
        + "m.fit(X_train, y_train, eval_set=[(X_val, y_val), (X_test, y_test)])\nm.score(X_test, y_test)\n",
        "tuned_on_scored_rows",
        _XGB
        + "m = xgb.XGBClassifier(early_stopping_rounds=9)\n"
        + "m.fit(X_train, y_train, eval_set=[(X_train, y_train), (X_val, y_val)])\nm.score(X_test, y_test)\n",
    ),
    "watching the test without a choice": (
        _XGB
        + "m = xgb.XGBClassifier()\n"
        + "m.fit(X_train, y_train, eval_set=[(X_test, y_test)], early_stopping_rounds=5)\nm.score(X_test, y_test)\n",
        "tuned_on_scored_rows",
        _XGB
        + "m = xgb.XGBClassifier()\nm.fit(X_train, y_train, eval_set=[(X_test, y_test)])\nm.score(X_test, y_test)\n",
    ),
    "early stopping of a net on the test": (
        _KERAS
        + f"model.fit(X_train, y_train, validation_data=(X_test, y_test), {_STOP})\nmodel.evaluate(X_test, y_test)\n",
        "tuned_on_scored_rows",
        _KERAS
        + f"model.fit(X_train, y_train, validation_data=(X_val, y_val), {_STOP})\n"
        + "model.evaluate(X_val, y_val)\nmodel.evaluate(X_test, y_test)\n",
    ),
    "the train function of a library": (
        _XGB
        + "train, test = xgb.DMatrix(X_train, label=y_train), xgb.DMatrix(X_test, label=y_test)\n"
        + 'm = xgb.train({}, train, 99, evals=[(test, "test")], early_stopping_rounds=9)\n'
        + "from sklearn.metrics import log_loss\nlog_loss(y_test, m.predict(test))\n",
        "tuned_on_scored_rows",
        _XGB
        + "train, val = xgb.DMatrix(X_train, label=y_train), xgb.DMatrix(X_val, label=y_val)\n"
        + 'm = xgb.train({}, train, 99, evals=[(val, "val")], early_stopping_rounds=9)\n'
        + "from sklearn.metrics import log_loss\nlog_loss(y_test, m.predict(xgb.DMatrix(X_test)))\n",
    ),
    "rows by slice objects": (
        _BARS
        + "first = slice(0, 1500)\nm = LogisticRegression().fit(X.iloc[first], y.iloc[first])\n"
        + "m.score(X.iloc[first], y.iloc[first])\n",
        "scored_on_training_rows",
        _BARS
        + "first, last = slice(0, 1500), slice(1500, None)\nm = LogisticRegression().fit(X.iloc[first], y.iloc[first])\n"
        + "m.score(X.iloc[last], y.iloc[last])\n",
    ),
    "rows by ranges": (
        _BARS
        + "old = range(1500)\nm = LogisticRegression().fit(X.iloc[old], y.iloc[old])\nm.score(X.iloc[old], y.iloc[old])\n",
        "scored_on_training_rows",
        _BARS
        + "old, new = range(1500), range(1500, 2500)\nm = LogisticRegression().fit(X.iloc[old], y.iloc[old])\n"
        + "m.score(X.iloc[new], y.iloc[new])\n",
    ),
    "rows sorted by their date": (
        _ROWS.format(then='.sort_values("date")'),
        "random_split",
        _ROWS.format(then='.sort_values("age")'),
    ),
    "rows sorted by stock and date": (
        _ROWS.format(then='.sort_values(by=["ticker", "date"])'),
        "random_split",
        _ROWS.format(then='.sort_values(by=["clinic", "age"])'),
    ),
    "rows from an answer": (
        _SERVED.format(columns='["time", "open", "close", "v", "y"]'),
        "random_split",
        _SERVED.format(columns='["age", "v", "y"]'),
    ),
    "a centred window that is traded": (
        _CENTRED
        + 'bars["signal"] = bars["close"] > bars["trend"]\nbars["pnl"] = bars["signal"] * bars["close"].pct_change().shift(-1)\n',
        "centred_window",
        _CENTRED + 'bars[["close", "trend"]].plot()\nplt.show()\n',
    ),
    "a centred window that is saved": (
        _CENTRED + 'plt.plot(bars.index, bars["trend"])\nbars.to_parquet("features.parquet")\n',
        "centred_window",
        _CENTRED + 'plt.plot(bars.index, bars.trend)\nprint(bars["trend"].describe())\n',
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_twins_are_told_apart(tmp_path, name):
    leaking, code, honest = PAIRS[name]
    script = tmp_path / "study.py"
    script.write_text(leaking)
    assert code in {one.code for one in audit_source(script).findings}
    script.write_text(honest)
    report = audit_source(script)
    assert report.status == "PASS", report.summary()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", ""),
        ("a.py", "# a comment\n"),
        ("a.ipynb", '{"cells": []}'),
        ("a.ipynb", '{"cells": [{"cell_type": "markdown", "source": "words"}]}'),
        ("a.ipynb", '{"cells": [{"cell_type": "code"}]}'),
        ("a.ipynb", '{"cells": [{"cell_type": "code", "source": "%matplotlib inline"}]}'),
    ],
)
def test_a_file_without_code_is_no_clean_file(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(SktrainError, match="holds no Python code"):
        audit_source(tmp_path / name)


def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "study.py")
    for path in (tmp_path / "study.py", tmp_path):
        with pytest.raises(SktrainError, match="no regular file"):
            audit_source(path)


_GROWS = {
    "lists": "x = [1]\n" + "x = x + x\n" * 60 + "x += x\n" * 60,
    "stars": "x = ['a']\n" + "x = [*x, *x]\n" * 60 + "for one in x:\n    x.extend(x)\n" * 3,
    "texts": "x = 'ab'\n"
    + "x = f'{x}{x}'\n" * 60
    + "x = 'a'\n"
    + "x = x.replace('a', 'aa')\n" * 60,
    "widths": "x = '{:>99999999999}'.format(1)\n",
    "pairs": "x = (1,)\n" + "x = (x, x)\n" * 60 + "x = f'{x}'\n",
    "frames": "import pandas as pd\nx = pd.read_csv('x')\n"
    + "x = [x, x]\n" * 60
    + "pd.concat(x)\n",
    "numbers": "x = 12\n" + "x = x * x\n" * 60 + f"range({10**30})\nrange(1, 2, 0)\n",
    "calls": "def f0(x):\n    return x\n"
    + "".join(f"def f{k}(x):\n    return f{k - 1}(x) + f{k - 1}(x)\n" for k in range(1, 40))
    + "f39(1)\n",
}


@pytest.mark.parametrize("name", _GROWS)
def test_what_doubles_and_doubles_stays_small(tmp_path, name):
    """2**60 items, or a number of 2**60 digits, would never end."""
    script = tmp_path / "study.py"
    script.write_text(_GROWS[name])
    assert audit_source(script).status == "PASS"


@pytest.mark.parametrize(
    "line",
    [
        'df[["a", ["b"]]] = df["c"]',
        "df.drop(0, axis=1)",
        'df.drop(columns=[["a"], 1])',
        "del df[[1]]",
        "df.pop([])",
        'df.insert(0, ["a"], df["b"])',
        "df.columns.drop(3)",
        "df.rename(columns={'a': ['b']})",
        "df.sort_values([['a']])",
        "df.loc[:, [['a']]] = 1",
        "dict(a=1)[[1]] = 2",
        "f.map(f)\nf.map(f)(df)",
        "pd.DataFrame(df, columns=[['a']])",
        "df[{'a': [1]}]",
        "df.shift([1, -1])",
        "df.rolling('5D', center=True)",
        "df.head(*[[1]])",
        "x = [c for c in df.columns if c in [['a']]]",
    ],
)
def test_odd_names_are_followed_without_an_error(tmp_path, line):
    script = tmp_path / "study.py"
    script.write_text(
        f"import pandas as pd\ndef f(x): return x\ndf = pd.read_csv('x')\ndf['a'] = 1\n{line}\n"
    )
    assert audit_source(script).status == "PASS"


def test_the_line_is_where_the_scaler_learns_and_nothing_else_is_said(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(_WINDOWS.format("closes"))
    found = [(one.code, one.where["line"]) for one in audit_source(script).findings]
    assert found == [("fitted_before_split", 9)]
