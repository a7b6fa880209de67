"""
Your own file, from reading to prediction
=========================================

Somebody's export is read, labelled, learned from and served: decimal commas, days before months,
German names, a title above the header and a row that is no bar. The reader says what it understood
and refuses what it cannot know.
"""

from pathlib import Path
import tempfile

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrain import AdaptiveLabeler, BarFeatures, EnhancedWalkForwardCV, LabelDisplay, load, save
from sktrain.datasets import load_sp500, read_bars
from sktrain.evaluation import baselines, fold_scores
from sktrain.exceptions import InvalidBarsError

folder = tempfile.TemporaryDirectory()

# %%
# The file
# --------
# The bundled bars, written the way a German charting program would. The last line is one that such
# files really end with.


def export(bars, path, *more):
    """Write bars with decimal commas, days first and German names."""
    lines = ["Kurshistorie S&P 500", "", "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen"]
    for time, bar in zip(bars.index, bars[["open", "high", "low", "close"]].to_numpy()):
        prices = [f"{price:,.2f}".translate(str.maketrans(",.", ".,")) for price in bar]
        lines.append(";".join([f"{time:%d.%m.%Y}", *prices, f"{bars.at[time, 'volume']:.0f}"]))
    path.write_text("\n".join([*lines, *more]), encoding="cp1252")
    return path


file = export(load_sp500(), Path(folder.name, "sp500.csv"), "31.12.2018;k.A.;k.A.;k.A.;k.A.;0")
print(*file.read_text(encoding="cp1252").splitlines()[:5], sep="\n")

# %%
# Reading it
# ----------
# A row that is no bar is an error, until you say what should become of it. What was understood is
# kept with the bars.
try:
    read_bars(file)
except InvalidBarsError as error:
    print(str(error).replace(folder.name, "…"))

bars = read_bars(file, bad_rows="drop")
print("\nread:", bars.attrs["reading"])
print("the bars that were written:", bars["close"].equals(load_sp500()["close"].round(2)))

# %%
# Labels
# ------
# Up, flat or down three days ahead, in units of the market's own volatility; drawn for the last two
# years.
labeler = AdaptiveLabeler(base_threshold=0.5, scaling="sigma")
rows, y = labeler.fit_resample(bars)
LabelDisplay.from_bars(bars.iloc[-500:], labeler).plot()

# %%
# A score first
# -------------
# Features are a step of the pipeline, so each fold makes its own. The baseline stands beside.
model = make_pipeline(
    BarFeatures(), SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01, max_iter=500)
)
scores = fold_scores(
    {"ridge": model, "majority": baselines(BarFeatures())["majority"]},
    rows,
    y,
    EnhancedWalkForwardCV(),
)
print(scores.summary())
print(scores.verdict())

# %%
# Saved, opened, asked
# --------------------
# Tomorrow's export holds the last hundred days only. The saved model gives its last row the answer
# that it has with the whole history, because features look back a finite number of bars.
path = save(model.fit(rows, y), Path(folder.name, "model.sktrain"), probe=bars.iloc[-100:])
newest = read_bars(export(load_sp500().iloc[-100:], Path(folder.name, "newest.csv")))
served = load(path)
answer = served.predict_proba(newest)[-1]
print(f"{newest.index[-1]:%Y-%m-%d}: sell, hold, buy = {answer.round(3).tolist()}")
print("as with the whole history:", bool(abs(answer - model.predict_proba(bars)[-1]).max() < 1e-9))
folder.cleanup()
