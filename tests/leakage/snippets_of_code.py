"""Code as people write it: 30 snippets that leak, with the code and line an auditor must name, and
30 honest ones.

A snippet is a script; a line with ``# leak: code`` is where the finding must stand.
"""

LEAKING = {
    "train_test_split": """
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.ensemble import RandomForestClassifier
df = pd.read_csv("aapl.csv", parse_dates=["Date"], index_col="Date")
df["ret"] = df["Close"].pct_change()
df["y"] = (df["ret"].shift(-1) > 0).astype(int)
df = df.dropna()
X, y = df[["ret", "Volume"]], df["y"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)  # leak: random_split
model = RandomForestClassifier().fit(X_train, y_train)
print(model.score(X_test, y_test))
""",
    "alias of train_test_split on arrays": """
import numpy as np
import sklearn.model_selection as ms
import yfinance as yf
px = yf.download("SPY")
feats = np.column_stack([px["Close"].pct_change(k) for k in (1, 5, 20)])[20:-1]
label = (px["Close"].shift(-1) > px["Close"]).values[20:-1]
a, b, c, d = ms.train_test_split(feats, label)  # leak: random_split
""",
    "shuffled KFold through a name": """
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold as Folds, cross_val_score
data = pd.read_parquet("bars.parquet")
data["mom"] = data.close.pct_change(10)
data["target"] = (data.close.shift(-5) > data.close).astype(int)
splitter = Folds(n_splits=5, shuffle=True, random_state=0)  # leak: random_split
print(cross_val_score(LogisticRegression(), data[["mom"]], data["target"], cv=splitter).mean())
""",
    "split in a loop over shuffled folds": """
from sklearn.model_selection import StratifiedKFold
from sktrain.datasets import load_sp500
bars = load_sp500()
X = bars[["close", "volume"]].pct_change().dropna()
y = (bars["close"].shift(-1) > bars["close"]).loc[X.index]
skf = StratifiedKFold(5, shuffle=True)  # leak: random_split
for tr, te in skf.split(X, y):
    clf.fit(X.iloc[tr], y.iloc[tr])
    print(clf.score(X.iloc[te], y.iloc[te]))
""",
    "plain integer folds": """
import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC
df = pd.read_csv("eurusd_hourly.csv")
df["y"] = (df["close"].shift(-4) > df["close"]) * 1
df["f"] = df["close"].rolling(24).std()
print(cross_val_score(SVC(), df[["f"]], df["y"], cv=5))  # leak: unordered_folds
""",
    "random mask": """
import numpy as np, pandas as pd
df = pd.read_csv("btc.csv")
df["timestamp"] = pd.to_datetime(df["timestamp"])
mask = np.random.rand(len(df)) < 0.8  # leak: random_split
train, test = df[mask], df[~mask]
model.fit(train[["open", "high"]], train["up"])
""",
    "frame.sample and drop": """
import pandas as pd
prices = pd.read_csv("daily_quotes.csv", index_col="date")
train = prices.sample(frac=0.7, random_state=1)  # leak: random_split
test = prices.drop(train.index)
model.fit(train.drop(columns="label"), train["label"])
print(model.score(test.drop(columns="label"), test["label"]))
""",
    "scaler before the split": """
import pandas as pd
from sklearn.preprocessing import StandardScaler
df = pd.read_csv("spy.csv", index_col=0, parse_dates=True)
X = df.drop(columns=["target"])
y = df["target"]
scaler = StandardScaler()
X_scaled = scaler.fit_transform(X)  # leak: fitted_before_split
n = int(len(X) * 0.8)
model.fit(X_scaled[:n], y[:n])
print(model.score(X_scaled[n:], y[n:]))
""",
    "scaler fitted on all, applied to parts": """
from sklearn.preprocessing import MinMaxScaler
from sktrain.datasets import load_sp500
bars = load_sp500()
X = bars[["open", "close"]]
y = (bars.close.shift(-1) > bars.close)
cut = int(0.7 * len(X))
mm = MinMaxScaler()
mm.fit(X)  # leak: fitted_before_split
X_train, X_test = X.iloc[:cut], X.iloc[cut:]
model.fit(mm.transform(X_train), y.iloc[:cut])
""",
    "scaled in a function": """
import pandas as pd
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.preprocessing import RobustScaler

def prepare(frame):
    cols = ["a", "b"]
    frame[cols] = RobustScaler().fit_transform(frame[cols])  # leak: fitted_before_split
    return frame

df = prepare(pd.read_csv("stock_features.csv"))
print(cross_val_score(model, df[["a", "b"]], df["y"], cv=TimeSeriesSplit(5)))
""",
    "z-score by hand": """
import pandas as pd
from sklearn.model_selection import TimeSeriesSplit
df = pd.read_csv("bars_1d.csv")
X = df[["rsi", "macd"]]
X = (X - X.mean()) / X.std()  # leak: fitted_before_split
y = df["direction"]
for train, test in TimeSeriesSplit(5).split(X):
    model.fit(X.iloc[train], y.iloc[train])
""",
    "PCA before the folds": """
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
import pandas as pd
X = pd.read_csv("equity_panel.csv").drop(columns="y")
y = pd.read_csv("equity_panel.csv")["y"]
Z = PCA(5).fit_transform(X)  # leak: fitted_before_split
GridSearchCV(svc, {"C": [1, 10]}, cv=TimeSeriesSplit(5)).fit(Z, y)
""",
    "selection with labels before the split": """
import pandas as pd
from sklearn.feature_selection import SelectKBest
df = pd.read_csv("market.csv")
X, y = df.filter(like="f_"), df["y"]
best = SelectKBest(k=10).fit_transform(X, y)  # leak: fitted_before_split
train, test = best[:800], best[800:]
model.fit(train, y[:800])
""",
    "shift(-1) among the features": """
import pandas as pd
df = pd.read_csv("ohlc.csv")
df["next_close"] = df["close"].shift(-1)  # leak: shift_ahead
df["target"] = (df["next_close"] > df["close"]).astype(int)
X = df.drop(columns=["target"])
model.fit(X[:500], df["target"][:500])
""",
    "shift by a named number in a loop": """
import pandas as pd
df = pd.read_csv("ticks.csv")
HORIZON = 3
features = []
for k in range(-HORIZON, 4):
    name = f"lag_{k}"
    df[name] = df["price"].shift(k)  # leak: shift_ahead
    features.append(name)
X, y = df[features].iloc[10:-10], df["y"].iloc[10:-10]
model.fit(X, y)
""",
    "pct_change(-5) through assign": """
import pandas as pd
df = (
    pd.read_csv("candles.csv")
    .assign(mom=lambda d: d["close"].pct_change(-5))  # leak: shift_ahead
    .dropna()
)
model.fit(df[["mom"]], df["label"])
""",
    "np.roll": """
import numpy as np
from sktrain.datasets import load_nasdaq
close = load_nasdaq()["close"].to_numpy()
nxt = np.roll(close, -1)  # leak: shift_ahead
X = np.column_stack([close, nxt])
y = nxt > close
model.fit(X[:-1], y[:-1])
""",
    "bfill": """
import pandas as pd
df = pd.read_csv("prices.csv", parse_dates=["date"]).set_index("date")
df["ma"] = df["px"].rolling(20).mean()
df = df.bfill()  # leak: backfill
X, y = df[["ma"]], (df["px"].shift(-1) > df["px"])
model.fit(X, y)
""",
    "fillna(method) in place": """
import pandas as pd
df = pd.read_csv("futures.csv")
df.fillna(method="bfill", inplace=True)  # leak: backfill
model.fit(df[["open", "volume"]], df["up"])
""",
    "interpolated": """
import pandas as pd
macro = pd.read_csv("macro.csv", index_col="date")
macro = macro.resample("D").last().interpolate()  # leak: backfill
model.fit(macro[["cpi", "gdp"]], y)
""",
    "centred rolling": """
import pandas as pd
bars = pd.read_csv("intraday.csv")
bars["smooth"] = bars["close"].rolling(window=9, center=True).mean()  # leak: centred_window
bars["gap"] = bars["close"] / bars["smooth"] - 1
model.fit(bars[["gap"]], bars["y"])
""",
    "Savitzky-Golay": """
from scipy.signal import savgol_filter
import pandas as pd
df = pd.read_csv("crypto.csv")
df["trend"] = savgol_filter(df["close"], 21, 3)  # leak: centred_window
X = df[["trend", "volume"]]
model.fit(X, df["y"])
""",
    "merge_asof forward": """
import pandas as pd
trades = pd.read_csv("trades.csv", parse_dates=["time"])
news = pd.read_csv("news.csv", parse_dates=["time"])
both = pd.merge_asof(trades, news, on="time", direction="forward")  # leak: forward_join
model.fit(both[["size", "sentiment"]], both["y"])
""",
    "merge_asof nearest in a function": """
import pandas as pd

def join(left, right):
    return pd.merge_asof(left.sort_values("ts"), right, on="ts", direction="nearest")  # leak: forward_join

frame = join(pd.read_parquet("bars.parquet"), pd.read_parquet("sentiment.parquet"))
clf.fit(frame[["score"]], frame["label"])
""",
    "SMOTE before the split": """
from imblearn.over_sampling import SMOTE
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
import pandas as pd
df = pd.read_csv("stocks.csv")
X, y = df[["a", "b"]], df["y"]
X_res, y_res = SMOTE(random_state=0).fit_resample(X, y)  # leak: resampled_before_split
print(cross_val_score(model, X_res, y_res, cv=TimeSeriesSplit(5)))
""",
    "upsampled by hand": """
import pandas as pd
from sklearn.utils import resample
from sklearn.model_selection import train_test_split
df = pd.read_csv("churn.csv")
minority = df[df.y == 1]
more = resample(minority, replace=True, n_samples=1000)  # leak: resampled_before_split
both = pd.concat([df[df.y == 0], more])
X_train, X_test, y_train, y_test = train_test_split(both.drop("y", axis=1), both["y"])
""",
    "best estimator scored again": """
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sktrain.datasets import load_sp500
bars = load_sp500()
X, y = bars[["open"]].pct_change(), bars["close"].shift(-1) > bars["close"]
search = GridSearchCV(model, {"C": [0.1, 1]}, cv=TimeSeriesSplit(5))
search.fit(X, y)
print(cross_val_score(search.best_estimator_, X, y, cv=TimeSeriesSplit(5)))  # leak: tuned_on_scored_rows
""",
    "chosen on the test rows": """
import pandas as pd
from sklearn.linear_model import LogisticRegression
df = pd.read_csv("hourly.csv")
n = int(len(df) * 0.7)
X_train, X_test = df[["a"]][:n], df[["a"]][n:]
y_train, y_test = df["y"][:n], df["y"][n:]
best = 0
for C in [0.01, 0.1, 1, 10]:
    m = LogisticRegression(C=C).fit(X_train, y_train)
    score = m.score(X_test, y_test)  # leak: tuned_on_scored_rows
    if score > best:
        best = score
print("accuracy", best)
""",
    "target kept in X": """
import pandas as pd
df = pd.read_csv("daily.csv")
df["target"] = (df["close"].shift(-1) > df["close"]).astype(int)
df = df.dropna()
X = df.drop(columns=["close"])
y = df["target"]
n = 1000
model.fit(X.iloc[:n], y.iloc[:n])  # leak: target_in_features shift_ahead
""",
    "today decides the target": """
import numpy as np, pandas as pd
df = pd.read_csv("spx.csv")
df["ret"] = df["close"].pct_change()
df["vol"] = df["ret"].rolling(20).std()
y = np.where(df["ret"] > 0, 1, 0)
X = df[["ret", "vol"]]
model.fit(X[20:1000], y[20:1000])  # leak: target_in_features
""",
    "class with a scaler": """
import pandas as pd
from sklearn.preprocessing import StandardScaler

class Study:
    def __init__(self, path):
        self.df = pd.read_csv(path, parse_dates=["date"])
        self.scaler = StandardScaler()

    def run(self):
        X = self.df[["a", "b"]].values
        X = self.scaler.fit_transform(X)  # leak: fitted_before_split
        cut = int(len(X) * 0.8)
        self.model.fit(X[:cut], self.df["y"].values[:cut])
        return self.model.score(X[cut:], self.df["y"].values[cut:])
""",
    "objective scored on the test rows": """
import optuna
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
df = pd.read_csv("nasdaq.csv")
X, y = df[["f1", "f2"]], df["y"]
X_train, X_test, y_train, y_test = X[:900], X[900:], y[:900], y[900:]

def objective(trial):
    depth = trial.suggest_int("depth", 2, 10)
    forest = RandomForestClassifier(max_depth=depth).fit(X_train, y_train)
    return forest.score(X_test, y_test)  # leak: tuned_on_scored_rows

study = optuna.create_study(direction="maximize")
study.optimize(objective, n_trials=50)
print(study.best_value)
""",
}

HONEST = {
    "ordered split": """
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
df = pd.read_csv("aapl.csv", parse_dates=["Date"], index_col="Date")
df["ret"] = df["Close"].pct_change()
df["y"] = (df["ret"].shift(-1) > 0).astype(int)
df = df.dropna()
n = int(len(df) * 0.8)
train, test = df.iloc[:n], df.iloc[n + 1 :]
model = RandomForestClassifier().fit(train[["ret", "Volume"]], train["y"])
print(model.score(test[["ret", "Volume"]], test["y"]))
""",
    "train_test_split without shuffling": """
import pandas as pd
from sklearn.model_selection import train_test_split
df = pd.read_csv("spy.csv", parse_dates=["date"])
X, y = df[["a", "b"]], df["y"]
X_train, X_test, y_train, y_test = train_test_split(X, y, shuffle=False)
""",
    "random split of flowers": """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score, train_test_split
X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
print(LogisticRegression().fit(X_train, y_train).score(X_test, y_test))
print(cross_val_score(LogisticRegression(), X, y, cv=KFold(5, shuffle=True)))
""",
    "random split of houses": """
import pandas as pd
from sklearn.model_selection import train_test_split
houses = pd.read_csv("house_prices.csv")
X, y = houses.drop(columns=["price"]), houses["price"]
a, b, c, d = train_test_split(X, y, test_size=0.2)
""",
    "scaler in a pipeline": """
import pandas as pd
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
df = pd.read_csv("bars.csv")
pipe = make_pipeline(StandardScaler(), SVC())
print(cross_val_score(pipe, df[["a", "b"]], df["y"], cv=TimeSeriesSplit(5, gap=5)))
""",
    "scaler fitted on the training rows": """
from sklearn.preprocessing import StandardScaler
from sktrain.datasets import load_sp500
bars = load_sp500()
X = bars[["open", "close"]].pct_change().dropna()
y = (bars.close.shift(-1) > bars.close).loc[X.index]
cut = int(0.7 * len(X))
scaler = StandardScaler().fit(X.iloc[:cut])
model.fit(scaler.transform(X.iloc[:cut]), y.iloc[:cut])
print(model.score(scaler.transform(X.iloc[cut:]), y.iloc[cut:]))
""",
    "z-score with training figures": """
import pandas as pd
df = pd.read_csv("daily.csv")
train, test = df[df["date"] < "2020"], df[df["date"] >= "2020"]
mu, sigma = train[["a"]].mean(), train[["a"]].std()
model.fit((train[["a"]] - mu) / sigma, train["y"])
print(model.score((test[["a"]] - mu) / sigma, test["y"]))
""",
    "rolling z-score": """
import pandas as pd
df = pd.read_csv("crypto.csv")
roll = df["close"].rolling(50)
df["z"] = (df["close"] - roll.mean()) / roll.std()
n = int(len(df) * 0.8)
model.fit(df[["z"]][:n], df["y"][:n])
""",
    "labels look ahead, features do not": """
import pandas as pd
df = pd.read_csv("ohlc.csv")
df["future"] = df["close"].shift(-5) / df["close"] - 1
df["target"] = (df["future"] > 0).astype(int)
features = [c for c in df.columns if c not in ("future", "target", "date")]
model.fit(df[features][:800], df["target"][:800])
""",
    "labels dropped by name": """
import pandas as pd
df = pd.read_csv("minutes.csv")
df["fwd"] = df.close.pct_change(-3)
df["label"] = df.fwd > 0
X = df.drop(["fwd", "label"], axis=1)
y = df["label"]
model.fit(X.iloc[:900], y.iloc[:900])
""",
    "profit and loss": """
import pandas as pd
df = pd.read_csv("stock.csv")
df["signal"] = (df["close"] > df["close"].rolling(50).mean()).astype(int)
df["pnl"] = df["signal"] * df["close"].pct_change().shift(-1)
print(df["pnl"].cumsum().iloc[-1], df["pnl"].mean() / df["pnl"].std() * 252**0.5)
""",
    "lags in a loop": """
import pandas as pd
df = pd.read_csv("ticks.csv")
features = []
for k in range(1, 6):
    df[f"lag_{k}"] = df["price"].shift(k)
    features.append(f"lag_{k}")
y = (df["price"].shift(-1) > df["price"]).astype(int)
model.fit(df[features][10:500], y[10:500])
""",
    "centred and shifted back": """
import pandas as pd
df = pd.read_csv("futures.csv")
df["ma"] = df["close"].rolling(5, center=True).mean().shift(2)
model.fit(df[["ma"]][:400], df["y"][:400])
""",
    "centred for a picture only": """
import matplotlib.pyplot as plt
import pandas as pd
df = pd.read_csv("spx.csv", index_col="date")
plt.plot(df["close"].rolling(21, center=True).mean())
df["mom"] = df["close"].pct_change(20)
model.fit(df[["mom"]].iloc[20:500], df["y"].iloc[20:500])
""",
    "forward fill": """
import pandas as pd
df = pd.read_csv("prices.csv", parse_dates=["date"]).set_index("date")
df = df.ffill().dropna()
model.fit(df[["a"]][:700], df["y"][:700])
""",
    "merge_asof backward": """
import pandas as pd
trades = pd.read_csv("trades.csv", parse_dates=["time"])
news = pd.read_csv("news.csv", parse_dates=["time"])
both = pd.merge_asof(trades, news, on="time", direction="backward")
model.fit(both[["size", "sentiment"]][:300], both["y"][:300])
""",
    "merge_asof forward for outcomes": """
import pandas as pd
trades = pd.read_csv("trades.csv", parse_dates=["time"])
quotes = pd.read_csv("quotes.csv", parse_dates=["time"])
outcome = pd.merge_asof(trades, quotes, on="time", direction="forward")
y = (outcome["bid"] > trades["entry"]).astype(int)
model.fit(trades[["size", "spread"]][:300], y[:300])
""",
    "SMOTE in the pipeline": """
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
import pandas as pd
df = pd.read_csv("stocks.csv")
print(cross_val_score(make_pipeline(SMOTE(), model), df[["a"]], df["y"], cv=TimeSeriesSplit(5)))
""",
    "SMOTE on the training rows": """
from imblearn.over_sampling import SMOTE
import pandas as pd
df = pd.read_csv("stocks.csv")
X_train, y_train = df[["a", "b"]][:800], df["y"][:800]
X_test, y_test = df[["a", "b"]][810:], df["y"][810:]
X_bal, y_bal = SMOTE().fit_resample(X_train, y_train)
model.fit(X_bal, y_bal)
print(model.score(X_test, y_test))
""",
    "search scored on later rows": """
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
import pandas as pd
df = pd.read_csv("hourly.csv")
X_train, X_test = df[["a"]][:700], df[["a"]][710:]
y_train, y_test = df["y"][:700], df["y"][710:]
search = GridSearchCV(model, {"C": [1, 10]}, cv=TimeSeriesSplit(5)).fit(X_train, y_train)
print(search.best_params_, search.best_score_, search.score(X_test, y_test))
""",
    "nested search": """
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
import pandas as pd
df = pd.read_csv("hourly.csv")
inner = TimeSeriesSplit(3, gap=5)
search = GridSearchCV(model, {"C": [1, 10]}, cv=inner)
print(cross_val_score(search, df[["a"]], df["y"], cv=TimeSeriesSplit(5, gap=5)))
""",
    "chosen on validation, scored on test": """
import pandas as pd
from sklearn.linear_model import LogisticRegression
df = pd.read_csv("hourly.csv")
X_train, X_val, X_test = df[["a"]][:600], df[["a"]][600:800], df[["a"]][800:]
y_train, y_val, y_test = df["y"][:600], df["y"][600:800], df["y"][800:]
scores = {}
for C in [0.01, 0.1, 1, 10]:
    scores[C] = LogisticRegression(C=C).fit(X_train, y_train).score(X_val, y_val)
best = max(scores, key=scores.get)
final = LogisticRegression(C=best).fit(X_train, y_train)
print(final.score(X_test, y_test))
""",
    "models side by side": """
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
df = pd.read_csv("daily.csv")
n = int(len(df) * 0.8)
for name, m in {"lr": LogisticRegression(), "tree": DecisionTreeClassifier()}.items():
    m.fit(df[["a", "b"]][:n], df["y"][:n])
    print(name, m.score(df[["a", "b"]][n:], df["y"][n:]))
""",
    "sktrain": """
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV, GRUClassifier, SlidingWindow
from sktrain.datasets import load_sp500
bars, y = AdaptiveLabeler(horizon=3).fit_resample(load_sp500())
model = Pipeline([("features", BarFeatures()), ("window", SlidingWindow(lookback=30)), ("net", GRUClassifier())])
print(cross_val_score(model, bars, y, cv=EnhancedWalkForwardCV(n_splits=5)))
""",
    "manual walk-forward": """
import pandas as pd
from sklearn.preprocessing import StandardScaler
df = pd.read_csv("btc_daily.csv")
X, y = df[["a", "b"]].values, df["y"].values
for start in range(500, 1000, 100):
    scaler = StandardScaler()
    A = scaler.fit_transform(X[:start])
    B = scaler.transform(X[start : start + 100])
    model.fit(A, y[:start])
    print(model.score(B, y[start : start + 100]))
""",
    "windows for a net": """
import numpy as np, pandas as pd
close = pd.read_csv("close_daily.csv")["close"].pct_change().dropna().to_numpy()
X, y = [], []
for i in range(30, len(close) - 1):
    X.append(close[i - 30 : i])
    y.append(close[i] > 0)
X, y = np.array(X), np.array(y)
n = int(0.8 * len(X))
model.fit(X[:n], y[:n])
print(model.score(X[n:], y[n:]))
""",
    "final model on all rows": """
import pandas as pd
from sklearn.preprocessing import StandardScaler
from sklearn.pipeline import make_pipeline
df = pd.read_csv("daily.csv")
X, y = df[["a"]], df["y"]
model = make_pipeline(StandardScaler(), clf)
model.fit(X[:900], y[:900])
print(model.score(X[905:], y[905:]))
model.fit(X, y)
""",
    "cross-section of a day": """
import pandas as pd
panel = pd.read_csv("equity_panel.csv", parse_dates=["date"])
panel["rank"] = panel.groupby("date")["mom"].rank(pct=True)
panel["demeaned"] = panel["mom"] - panel.groupby("date")["mom"].transform("mean")
train, test = panel[panel.date < "2018"], panel[panel.date >= "2018"]
model.fit(train[["rank", "demeaned"]], train["y"])
""",
    "an old label as a feature": """
import pandas as pd
df = pd.read_csv("daily.csv")
df["y"] = (df["close"].shift(-5) > df["close"]).astype(float)
df["known"] = df["y"].shift(5)
model.fit(df[["known"]][10:900], df["y"][10:900])
""",
    "shuffled batches of the training rows": """
import pandas as pd, torch
from sklearn.utils import shuffle
from torch.utils.data import DataLoader, TensorDataset
df = pd.read_csv("minutes.csv")
n = int(len(df) * 0.8)
X_train, y_train = df[["a"]].values[:n], df["y"].values[:n]
X_train, y_train = shuffle(X_train, y_train, random_state=0)
loader = DataLoader(TensorDataset(torch.tensor(X_train), torch.tensor(y_train)), batch_size=32, shuffle=True)
net.fit(X_train, y_train)
""",
    "permuted labels as a null": """
import numpy as np, pandas as pd
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
df = pd.read_csv("spy.csv")
X, y = df[["a"]], df["y"].values
null = [cross_val_score(model, X, np.random.permutation(y), cv=TimeSeriesSplit(5)).mean() for _ in range(20)]
""",
    "filter of columns": """
import pandas as pd
df = pd.read_csv("quotes.csv")
df["f_mom"] = df["close"].pct_change(5)
df["f_vol"] = df["close"].pct_change().rolling(20).std()
df["ret_next"] = df["close"].pct_change().shift(-1)
X = df[[c for c in df.columns if c.startswith("f_")]]
y = df["ret_next"] > 0
model.fit(X[30:800], y[30:800])
""",
}

LEAKING |= {
    "cv obj passed thru var dict": """
import pandas as pd
from sklearn import model_selection
df = pd.read_csv("data/AAPL_daily.csv")
df['Date'] = pd.to_datetime(df['Date'])
df = df.set_index('Date').sort_index()
df['SMA'] = df['Close'].rolling(10).mean()
df['Target'] = np.where(df['Close'].shift(-1) > df['Close'], 1, 0)
df.dropna(inplace=True)
feature_cols = ['SMA', 'Volume']
X = df[feature_cols]
y = df['Target']
cv = model_selection.ShuffleSplit(n_splits=10, test_size=.3) # leak: random_split
scores = model_selection.cross_val_score(clf, X, y, cv=cv)
""",
    "future in features list": """
import pandas as pd
df = pd.read_csv("x.csv", parse_dates=["date"])
df["ret_1"] = df.groupby("symbol")["close"].pct_change()
df["ret_f"] = df.groupby("symbol")["close"].shift(-1) / df["close"] - 1  # leak: shift_ahead
df["y"] = (df["ret_f"] > 0).astype(int)
FEATURES = ["ret_1", "ret_f"]
train = df[df.date < "2019-01-01"]; test = df[df.date >= "2019-01-01"]
clf = XGBClassifier()
clf.fit(train[FEATURES], train["y"])
""",
    "fit_transform whole in function returns split": """
import pandas as pd
from sklearn.preprocessing import MinMaxScaler
def load():
    df = pd.read_csv('prices.csv')
    scaler = MinMaxScaler(feature_range=(0,1))
    data = scaler.fit_transform(df['Close'].values.reshape(-1,1)) # leak: fitted_before_split
    return data, scaler
def make(data, lookback=60):
    xs, ys = [], []
    for i in range(lookback, len(data)):
        xs.append(data[i-lookback:i, 0])
        ys.append(data[i, 0])
    return np.array(xs), np.array(ys)
data, scaler = load()
train_size = int(len(data)*.8)
train, test = data[:train_size], data[train_size:]
X_train, y_train = make(train)
X_test, y_test = make(test)
model = Sequential()
model.add(LSTM(50))
model.compile(loss='mse')
model.fit(X_train, y_train, epochs=10)
""",
    "tuned by gridsearch then params": """
from sklearn.model_selection import RandomizedSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.ensemble import RandomForestClassifier
import pandas as pd
df = pd.read_csv("sp500.csv")
X = df[["a","b"]]; y = df["c"]
tscv = TimeSeriesSplit(n_splits=5)
rs = RandomizedSearchCV(RandomForestClassifier(), {"max_depth":[2,3]}, cv=tscv, n_iter=5)
rs.fit(X, y)
best = RandomForestClassifier(**rs.best_params_)
print(cross_val_score(best, X, y, cv=tscv).mean())  # leak: tuned_on_scored_rows
""",
    "imputer whole": """
from sklearn.impute import SimpleImputer
import pandas as pd
from sklearn.model_selection import TimeSeriesSplit, cross_validate
df = pd.read_csv("macro_daily.csv")
y = df.pop("y")
imp = SimpleImputer(strategy="mean")
df = pd.DataFrame(imp.fit_transform(df), columns=df.columns) # leak: fitted_before_split
cross_validate(model, df, y, cv=TimeSeriesSplit(5))
""",
    "fillna mean": """
import pandas as pd
from sklearn.model_selection import TimeSeriesSplit, cross_validate
df = pd.read_csv("macro_daily.csv")
df = df.fillna(df.mean()) # leak: fitted_before_split
X, y = df.drop(columns="y"), df["y"]
cross_validate(model, X, y, cv=TimeSeriesSplit(5))
""",
    "iloc -1 columns": """
import pandas as pd
df = pd.read_csv("stock.csv")
df['tomorrow'] = df['close'].shift(-1)  # leak: shift_ahead
df['label'] = (df['tomorrow'] > df['close']).astype(int)
X = df.iloc[:, :-1]
y = df.iloc[:, -1]
model.fit(X, y)
""",
    "RandomOverSampler": """
from imblearn.over_sampling import RandomOverSampler
from sklearn.model_selection import train_test_split
import pandas as pd
df = pd.read_csv("d.csv")
ros = RandomOverSampler()
X, y = ros.fit_resample(df.drop("y", axis=1), df["y"])   # leak: resampled_before_split
X_tr, X_te, y_tr, y_te = train_test_split(X, y)
""",
    "shuffle": """
from sklearn.utils import shuffle
import pandas as pd
df = pd.read_csv("ohlcv.csv")
df = shuffle(df, random_state=1)  # leak: random_split
n = int(.8*len(df))
train, test = df[:n], df[n:]
model.fit(train[["open"]], train["y"])
""",
    "sample frac 1": """
import pandas as pd
df = pd.read_csv("ohlcv.csv").sample(frac=1).reset_index(drop=True)  # leak: random_split
n = int(.8*len(df))
model.fit(df[["open"]][:n], df["y"][:n])
""",
    "permutation idx": """
import numpy as np, pandas as pd
df = pd.read_csv("candles.csv")
idx = np.random.permutation(len(df))  # leak: random_split
cut = int(.8*len(df))
train = df.iloc[idx[:cut]]; test = df.iloc[idx[cut:]]
model.fit(train[["a"]], train["y"])
""",
    "torch random split": """
import torch, pandas as pd
from torch.utils.data import random_split, TensorDataset
df = pd.read_csv("btc_minutes.csv")
ds = TensorDataset(torch.tensor(df[["a"]].values), torch.tensor(df["y"].values))
tr, te = random_split(ds, [800, 200])  # leak: random_split
""",
    "reversed rolling": """
import pandas as pd
df = pd.read_csv("spy.csv")
df["fut_vol"] = df["ret"][::-1].rolling(20).std()[::-1]  # leak: shift_ahead
model.fit(df[["fut_vol", "ret"]], df["y"])
""",
    "rename and drop": """
import pandas as pd
raw = pd.read_csv("quotes.csv", parse_dates=True, index_col=0)
raw = raw.rename(columns={"Close": "close"})
raw["nxt"] = raw["close"].shift(periods=-1)   # leak: shift_ahead
raw["y"] = raw["nxt"].gt(raw["close"]).astype(int)
X = raw.drop("y", axis=1).to_numpy()
clf.fit(X, raw["y"])
""",
    "concat": """
import pandas as pd
bars = pd.read_csv("bars.csv")
f1 = bars["close"].pct_change().rename("r")
f2 = bars["close"].pct_change().shift(-2).rename("r2") # leak: shift_ahead
X = pd.concat([f1, f2], axis=1)
clf.fit(X, bars["y"])
""",
    "dict frame": """
import pandas as pd
bars = pd.read_csv("bars.csv")
X = pd.DataFrame({
    "r": bars["close"].pct_change(),
    "n": bars["close"].diff(-1),  # leak: shift_ahead
})
clf.fit(X, bars["y"])
""",
    "horizon var": """
import pandas as pd
horizon = 5
def features(df, h):
    out = pd.DataFrame(index=df.index)
    out["mom"] = df["close"].pct_change(h)
    out["lead"] = df["close"].shift(-h) / df["close"]  # leak: shift_ahead
    return out
df = pd.read_csv("daily.csv")
X = features(df, horizon)
y = (df["close"].shift(-horizon) > df["close"]).astype(int)
model.fit(X[:900], y[:900])
""",
    "in-sample": """
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
df = pd.read_csv("spy.csv")
X, y = df[["a"]], df["y"]
m = RandomForestClassifier()
m.fit(X, y)
print(accuracy_score(y, m.predict(X)))  # leak: scored_on_training_rows
""",
    "gs whole then score on part": """
import pandas as pd
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
df = pd.read_csv("spy.csv")
X, y = df[["a"]], df["y"]
gs = GridSearchCV(clf, {"C":[1,2]}, cv=TimeSeriesSplit(3))
gs.fit(X, y)
split = int(len(X)*.8)
print(gs.score(X[split:], y[split:]))  # leak: tuned_on_scored_rows
""",
    "max comprehension": """
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier
df = pd.read_csv("spy.csv")
Xtr, Xte, ytr, yte = df[["a"]][:700], df[["a"]][700:], df["y"][:700], df["y"][700:]
scores = {k: KNeighborsClassifier(n_neighbors=k).fit(Xtr, ytr).score(Xte, yte) for k in range(1, 30)}  # leak: tuned_on_scored_rows
print(max(scores.values()))
""",
    "target enc": """
import pandas as pd
df = pd.read_csv("daily_panel.csv")
df["sector_mean"] = df.groupby("sector")["y"].transform("mean") # leak: fitted_before_split
train, test = df[df.year < 2019], df[df.year >= 2019]
model.fit(train[["sector_mean"]], train["y"])
""",
    "qcut": """
import pandas as pd
df = pd.read_csv("daily_panel.csv")
df["bucket"] = pd.qcut(df["mom"], 10, labels=False)  # leak: fitted_before_split
n = int(len(df)*.7)
model.fit(df[["bucket"]][:n], df["y"][:n])
""",
    "methods chain": """
import pandas as pd
X = (pd.read_csv("prices.csv", index_col="date", parse_dates=["date"])
       .pct_change()
       .rolling(5, center=True)  # leak: centred_window
       .mean())
y = pd.read_csv("labels.csv")["y"]
model.fit(X, y)
""",
    "keras": """
import pandas as pd
from sklearn.model_selection import train_test_split as tts
d = pd.read_csv("x.csv", parse_dates=["ts"])
d["y"] = d.px.shift(-1) > d.px
tr, te = tts(d, test_size=.2)  # leak: random_split
model.fit(tr[["px"]], tr["y"])
""",
    "backfill method": """
import pandas as pd
df = pd.read_csv("ohlc.csv")
X = df[["open", "close"]].pct_change().fillna(method='backfill') # leak: backfill
model.fit(X, df["y"])
""",
    "np z": """
import numpy as np, pandas as pd
df = pd.read_csv("ohlc.csv")
X = df[["open", "close"]].values
mu = X.mean(axis=0); sd = np.std(X, axis=0)
X = (X - mu) / sd # leak: fitted_before_split
y = df["y"].values
X_train, X_test = X[:800], X[800:]
clf.fit(X_train, y[:800])
""",
    "default gridsearch": """
import pandas as pd
from sklearn.model_selection import GridSearchCV
df = pd.read_csv("btc.csv")
X, y = df[["open"]][:800], df["y"][:800]
GridSearchCV(clf, {"C":[1]}).fit(X, y)  # leak: unordered_folds
""",
    "loc column assign & list append": """
import pandas as pd
df = pd.read_csv("btc.csv")
df.loc[:, "peek"] = df.close.shift(-1)   # leak: shift_ahead
cols = ["open"]
cols.append("peek")
clf.fit(df[cols], df["y"])
""",
    "while/if/try": """
import pandas as pd
df = pd.read_csv("btc.csv")
try:
    if USE:
        df["peek"] = df.close.shift(-1)   # leak: shift_ahead
    else:
        df["peek"] = 0
finally:
    pass
clf.fit(df[["peek"]], df["y"])
""",
    "apply lambda groupby": """
import pandas as pd
df = pd.read_csv("panel_daily.csv")
df["nx"] = df.groupby("sym")["close"].transform(lambda s: s.shift(-1))  # leak: shift_ahead
clf.fit(df[["nx", "close"]], df["y"])
""",
    "y in X via features = columns": """
import pandas as pd
df = pd.read_csv("stocks.csv")
df["label"] = (df.close.shift(-1) > df.close).astype(int)
X = df.values
y = df["label"].values
clf.fit(X[:500], y[:500])  # leak: target_in_features
""",
    "ColumnTransformer": """
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
df = pd.read_csv("stocks.csv")
ct = ColumnTransformer([("s", StandardScaler(), ["a", "b"])])
Z = ct.fit_transform(df)   # leak: fitted_before_split
cross_val_score(clf, Z, df["y"], cv=TimeSeriesSplit(4))
""",
    "pipeline of transformers": """
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.decomposition import PCA
df = pd.read_csv("stocks.csv")
prep = Pipeline([("s", StandardScaler()), ("p", PCA())])
Z = prep.fit_transform(df[["a", "b"]])   # leak: fitted_before_split
clf.fit(Z[:700], df["y"][:700])
""",
    "no fit": """
import pandas as pd
df = pd.read_csv("stocks.csv")
df["smooth"] = df["close"].rolling(7, center=True).mean()   # leak: centred_window
df.to_csv("features.csv")
""",
}

HONEST |= {
    "random split and plain folds without time": """
import pandas as pd
df = pd.read_csv("titanic.csv")
from sklearn.model_selection import train_test_split, GridSearchCV
X = df.drop("Survived", axis=1); y = df["Survived"]
X_train, X_test, y_train, y_test = train_test_split(X, y)
gs = GridSearchCV(clf, {"C":[1,2]}, cv=5).fit(X_train, y_train)
print(gs.best_score_, gs.score(X_test, y_test))
""",
    "last hundred rows held out": """
import pandas as pd
df = pd.read_csv("spy.csv", index_col=0, parse_dates=True)
df["ret"] = df["Close"].pct_change()
df["sma"] = df["Close"].rolling(20).mean()
df["target"] = (df["Close"].shift(-1) > df["Close"]).astype(int)
df = df.dropna()
predictors = ["Close", "Volume", "sma"]
train = df.iloc[:-100]
test = df.iloc[-100:]
model.fit(train[predictors], train["target"])
preds = model.predict(test[predictors])
print(precision_score(test["target"], preds))
""",
    "strategy figures": """
import numpy as np, pandas as pd
df = pd.read_csv("prices.csv")
df["signal"] = np.where(df["ma_fast"] > df["ma_slow"], 1, 0)
df["strategy"] = df["signal"].shift(1) * df["close"].pct_change()
sharpe = df["strategy"].mean() / df["strategy"].std()
z = (df["strategy"] - df["strategy"].mean()) / df["strategy"].std()
""",
    "scaler in every fold": """
import pandas as pd
from sklearn.preprocessing import StandardScaler
from sklearn.model_selection import TimeSeriesSplit
df = pd.read_csv("spy.csv")
X, y = df[["a","b"]].to_numpy(), df["y"].to_numpy()
scores = []
for tr, te in TimeSeriesSplit(n_splits=5, gap=5).split(X):
    sc = StandardScaler()
    Xtr = sc.fit_transform(X[tr]); Xte = sc.transform(X[te])
    clf.fit(Xtr, y[tr]); scores.append(clf.score(Xte, y[te]))
print(np.mean(scores), max(scores))
""",
    "labels as a series": """
import pandas as pd
df = pd.read_csv("stock.csv")
y = df["close"].shift(-1) / df["close"] - 1
X = df[["close", "volume"]].rolling(5).mean()
ok = X.notna().all(axis=1) & y.notna()
X, y = X[ok], y[ok]
n = int(len(X) * .75)
reg.fit(X[:n], y[:n]); print(reg.score(X[n:], y[n:]))
""",
    "codes of a category": """
import pandas as pd
from sklearn.preprocessing import LabelEncoder, OneHotEncoder
df = pd.read_csv("stock.csv")
df["sector"] = LabelEncoder().fit_transform(df["sector"])
n = 800
clf.fit(df[["sector"]][:n], df["y"][:n])
""",
    "clusters without a split": """
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
df = pd.read_csv("spy.csv")
Z = StandardScaler().fit_transform(df[["a","b"]])
labels = KMeans(3).fit_predict(Z)
df.plot()
""",
    "own barriers": """
import pandas as pd
def triple_barrier(close, h):
    out = []
    for i in range(len(close) - h):
        path = close.iloc[i + 1 : i + 1 + h]
        out.append(int(path.max() > close.iloc[i] * 1.02))
    return pd.Series(out, index=close.index[: len(out)])
df = pd.read_csv("spy.csv", parse_dates=["date"], index_col="date")
y = triple_barrier(df["close"], 10)
X = df[["volume"]].loc[y.index]
cut = int(len(y) * .7)
clf.fit(X[:cut], y[:cut])
""",
    "search without a score": """
import pandas as pd
from sktrain import LeakageValidator, BarFeatures, EnhancedWalkForwardCV, AdaptiveLabeler, OptunaSearchCV
from sktrain.datasets import load_sp500
bars, y = AdaptiveLabeler(horizon=5).fit_resample(load_sp500())
X = BarFeatures().fit_transform(bars)
cv = EnhancedWalkForwardCV(n_splits=4)
search = OptunaSearchCV(model, {"C": (0.1, 10.0)}, cv=cv)
search.fit(bars, y)
print(search.best_params_)
""",
    "chosen on validation in a loop": """
import pandas as pd
from sklearn.metrics import accuracy_score
df = pd.read_csv("spy.csv")
train, val, test = df[:600], df[600:800], df[800:]
best, best_model = -1, None
for depth in (2, 3, 4):
    m = DecisionTreeClassifier(max_depth=depth).fit(train[["a"]], train["y"])
    s = accuracy_score(val["y"], m.predict(val[["a"]]))
    if s > best:
        best, best_model = s, m
print(accuracy_score(test["y"], best_model.predict(test[["a"]])))
""",
    "expanding and rolling figures": """
import pandas as pd
df = pd.read_csv("spy.csv")
df["cummax"] = df["close"].cummax()
df["dd"] = df["close"] / df["cummax"] - 1
df["rank"] = df["close"].rolling(100).rank(pct=True)
df["exp_z"] = (df["close"] - df["close"].expanding().mean()) / df["close"].expanding().std()
df["y"] = df["close"].pct_change(5).shift(-5) > 0
X = df.loc[:, ["dd", "rank", "exp_z"]]
clf.fit(X.iloc[100:900], df["y"].iloc[100:900])
""",
    "train score beside test score": """
import pandas as pd
df = pd.read_csv("spy.csv")
model.fit(df[["a"]][:700], df["y"][:700])
print("train", model.score(df[["a"]][:700], df["y"][:700]))
print("test", model.score(df[["a"]][710:], df["y"][710:]))
""",
    "training medians": """
import pandas as pd
df = pd.read_csv("spy.csv", parse_dates=["date"])
X_train = df[df.date.dt.year < 2018].drop(columns=["y", "date"]); y_train = df[df.date.dt.year < 2018]["y"]
X_test = df[df.date.dt.year >= 2018].drop(columns=["y", "date"]); y_test = df[df.date.dt.year >= 2018]["y"]
med = X_train.median()
X_train = X_train.fillna(med); X_test = X_test.fillna(med)
clf.fit(X_train, y_train)
""",
    "random folds beside prices": """
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.model_selection import StratifiedKFold, cross_val_score
X, y = make_classification(1000)
print(cross_val_score(clf, X, y, cv=StratifiedKFold(5, shuffle=True)).mean())
prices = pd.read_csv("prices.csv", parse_dates=["date"])
prices["ma"] = prices["close"].rolling(5).mean()
""",
    "noise as a feature": """
import numpy as np
import pandas as pd
rng = np.random.default_rng(0)
df = pd.read_csv("daily.csv")
df["noise"] = rng.normal(size=len(df))
df["y"] = (df["close"].shift(-1) > df["close"]).astype(int)
n = int(len(df) * 0.7)
clf.fit(df[["noise"]][:n], df["y"][:n])
""",
    "popped label": """
import pandas as pd
df = pd.read_csv("daily.csv")
y = df.pop("y")
weights = df.pop("w")
cut = df.shape[0] * 8 // 10
clf.fit(df[:cut], y[:cut], sample_weight=weights[:cut])
""",
    "event study": """
import backtrader as bt
import pandas as pd
df = pd.read_csv("daily.csv")
entry = df["close"].shift(1) > df["ma"].shift(1)
fwd = df["close"].shift(-10) / df["close"] - 1
print(fwd[entry].describe(), fwd.corr(df["mom"]))
ic = df["mom"].corr(fwd, method="spearman")
""",
}
