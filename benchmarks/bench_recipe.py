"""The recipe against what a user would pick instead: log loss on the last third of planted and real
markets, seeds paired.

Rivals are tuned by purged walk-forward search; the recipe (``sktrain.make_recipe``) is taken as it
is. On planted markets the true probabilities are known, so the share of the possible gain and the
error of calibration are exact. Seeds 0 to 9 are for development (``--development``); the bounds are
judged on seeds 100 to 119, as many of them as every model was measured on, three at least: the note
says how many.

A cell is one model on one seed of one world. Finished cells are lines of
``results/recipe_parts.jsonl`` and are not measured again unless what decides them has changed;
cheap ones come first. ``--minutes 30`` stops behind the cell in hand, ``--minutes 0`` only reports.
"""

import argparse
import os
from pathlib import Path
import tempfile

from _harness import RESULTS, Claim, Deadline, Parts, mean_interval, report
from _recipe_cells import OURS, key_of, measure
from _recipe_worlds import PLANTED, REAL, RIVALS
from joblib import Parallel, delayed
import numpy as np

DEVELOPMENT, JUDGED = range(10), range(100, 120)
TRIALS = 20  # of each rival's search
#: Seconds of a cell on 2,667 rows of one market, by one core: only their order counts.
COST = {
    "prior": 1, "ridge logistic": 30, OURS: 90, "LightGBM": 300, "HistGradientBoosting": 320,
    "plain LSTM": 600,
}  # fmt: skip
ROWS = {"US panel": 5}  # times as many: 12,039 rows
LEAST = 3  # seeds that a bound of a planted world is judged on: fewer give no interval worth having


def cells_of(names, seeds, size):
    """World, seed and model of every cell, the cheap ones first."""

    def cost(cell):
        name, seed, model = cell
        rows = ROWS.get(name.partition(",")[0], 1) if name in REAL else size["n_symbols"]
        return COST[model] * rows, list(COST).index(model), names.index(name), seed

    return sorted(
        [(name, seed, model) for name in names for seed in seeds_in(name, seeds) for model in COST],
        key=cost,
    )


def seeds_in(name, seeds):
    """A real market is the same for every seed."""
    return list(seeds) if name in PLANTED else list(seeds)[:1]


def fill(parts, cells, trials, size, minutes, jobs):
    """Measure the cells that are not there, until the time is up."""
    keys = {cell: key_of(*cell, trials, **size) for cell in cells}
    missing = [cell for cell in cells if keys[cell] not in parts]
    print(f"{len(cells) - len(missing)} of {len(cells)} cells are there", flush=True)
    found = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1)(
        delayed(measure)(*cell, trials, **size) for cell in Deadline(minutes).before(missing)
    )
    for row in found:
        parts.add(keys[row["world"], row["seed"], row["model"]], row)
        print(
            f"{row['world']} {row['seed']} {row['model']}: {row['excess']:+.4f}, "
            f"{row['seconds']:.0f} s",
            flush=True,
        )


def found_in(parts, cells, trials, size):
    """Rows of the cells that are there."""
    keys = (key_of(*cell, trials, **size) for cell in cells)
    return [parts[key] for key in keys if key in parts]


def by_seed(rows, name):
    """Results of a world on the seeds that every model has, or, where these are too few, that the
    recipe and its cheapest rivals have; and the models that lack some of them."""
    models = {model: {} for model in COST}
    for row in rows:
        if row["world"] == name:
            models[row["model"]][row["seed"]] = row
    enough = LEAST if name in PLANTED else 1
    for asked in (list(COST), [OURS, *list(RIVALS)[:2]]):
        seeds = sorted(set.intersection(*(set(models[model]) for model in asked)))
        if len(seeds) >= enough:
            break
    whole = [model for model in COST if set(seeds) <= set(models[model])]
    found = [
        {"seed": seed, "models": {model: models[model][seed] for model in whole}} for seed in seeds
    ]
    return found, [model for model in COST if model not in whole]


def column(results, model, key):
    return np.array([one["models"][model][key] for one in results])


def best_rival(results):
    names = [name for name in results[0]["models"] if name not in (OURS, "prior")]
    return min(names, key=lambda name: column(results, name, "excess").mean())


def share(results, model):
    """Gain over the prior as a share of the possible one, pooled over seeds."""
    return -column(results, model, "excess").sum() / column(results, model, "possible").sum()


def claims_of(name, results, lacking, seeds):
    """Claims about one world: with bounds where every seed has every model, else as far as they
    go."""
    rival = best_rival(results)
    judged = not lacking and len(results) >= min(LEAST, len(seeds_in(name, seeds)))
    rests_on = f"{len(results)} of {len(seeds_in(name, seeds))} seeds"
    rests_on += f" without {', '.join(lacking)}" if lacking else ""
    rests_on += "" if judged else ": not judged"
    excess, theirs = column(results, OURS, "excess"), column(results, rival, "excess")
    mean, half = mean_interval(excess - theirs)
    note = f"{rival} {theirs.mean():+.4f}; less it {mean:+.4f}"
    note += f" [{mean - half:+.4f}, {mean + half:+.4f}]" if len(results) > 1 else ""

    def claim(what, value, bound, better="<=", note="", details=None):
        return Claim(
            f"{name}: {what}", float(value), bound if judged else None, better,
            note=f"{note}; {rests_on}".removeprefix("; "), details=details or {},
        )  # fmt: skip

    details = details_of(results)
    errors = column(results, OURS, "calibration_error")
    if name in REAL:
        yield claim("log loss less the best rival's", mean, 0.001, note=note, details=details)
        errors = errors - column(results, OURS, "calibration_noise")
        yield claim("calibration error less its noise band", errors.mean(), 0.0)
    else:
        yield from planted(name, results, rival, claim, note, details)
        yield claim("calibration error", errors.mean(), 0.02)
    yield Claim(
        f"{name}: seconds of the recipe",
        float(column(results, OURS, "seconds").mean()),
        note=f"of the tuned {rival} {column(results, rival, 'seconds').mean():.1f}; {rests_on}",
    )


def planted(name, results, rival, claim, note, details):
    """What a world with known probabilities says of the gain."""
    if name == "nothing":
        excess = column(results, OURS, "excess").mean()
        yield claim("log loss less the prior's", excess, 0.003, note=note, details=details)
        return
    ours, best = share(results, OURS), share(results, rival)
    note = f"{ours:.2f}; {rival} {best:.2f}; {note}"
    if name.startswith("linear"):  # a difference, because a rival's share may be negative
        what = "share of the possible gain less .95 of the best rival's"
        yield claim(what, ours - 0.95 * best, 0.0, ">=", note, details)
    else:
        what = "share of the possible gain less the best rival's"
        yield claim(what, ours - best, 0.10, ">=", note, details)


def details_of(results):
    """Means of every model, seeds, and the recipe's weights on each."""
    named = {"world", "seed", "model", "key", "weights"}
    keys = {  # where nothing can be gained, some seeds have no possible gain
        model: sorted(set.intersection(*(set(one["models"][model]) for one in results)) - named)
        for model in results[0]["models"]
    }
    return {
        "models": {
            model: {key: float(column(results, model, key).mean()) for key in found}
            for model, found in keys.items()
        },
        "weights": [one["models"][OURS]["weights"] for one in results],
        "seeds": [one["seed"] for one in results],
    }


def real_mean(rows):
    """The recipe's log loss less the best rival's, in the mean of the real worlds."""
    found = {name: by_seed(rows, name) for name in REAL}
    if any(lacking or not results for results, lacking in found.values()):
        return
    gaps = [
        column(results, OURS, "excess").mean()
        - column(results, best_rival(results), "excess").mean()
        for results, _ in found.values()
    ]
    yield Claim("real worlds: log loss less the best rival's, mean", float(np.mean(gaps)), 0.0)


def seeds_of(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--smoke", action="store_true", help="a small, quick run that writes no results"
    )
    parser.add_argument(
        "--development", action="store_true",
        help="seeds 0-9, in files of their own: for choosing, never for judging",
    )
    parser.add_argument("--seeds", type=seeds_of, help="some of them, such as 100-104")
    parser.add_argument("--worlds", nargs="+", choices=[*PLANTED, *REAL], default=[*PLANTED, *REAL])
    parser.add_argument("--models", nargs="+", choices=COST, default=list(COST))
    parser.add_argument("--bars", type=int, default=4000, help="per symbol of planted markets")
    parser.add_argument("--symbols", type=int, default=1, help="30 with --bars 1500 are the panels")
    parser.add_argument("--jobs", type=int, default=1)
    Deadline.option(parser)
    chosen = parser.parse_args()
    allowed = DEVELOPMENT if chosen.development else JUDGED
    chosen.seeds = allowed if chosen.seeds is None else chosen.seeds
    if not set(chosen.seeds) <= set(allowed):
        parser.error(f"--seeds lie in {allowed.start}-{allowed.stop - 1} here")
    return chosen, allowed


def main():
    chosen, seeds = options()
    every = [*PLANTED, *REAL]
    sources = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sources))  # for workers
    size = {"n_bars": chosen.bars, "n_symbols": chosen.symbols}
    name = "recipe" if chosen.symbols == 1 else "recipe_panel"
    name += "_development" if chosen.development else ""
    path, names, some, trials = RESULTS / f"{name}_parts.jsonl", chosen.worlds, chosen.seeds, TRIALS
    if chosen.smoke:
        seeds = some = range(1)
        every = names = ["linear .4", "cross"]
        trials, size = 1, {"n_bars": 700, "n_symbols": 1}
        path = Path(tempfile.mkdtemp()) / path.name
    cells = [cell for cell in cells_of(names, some, size) if cell[2] in chosen.models]
    parts = Parts(path)
    fill(parts, cells, trials, size, chosen.minutes, chosen.jobs)
    if chosen.smoke:  # the second time, nothing is left to do
        parts = Parts(path)
        fill(parts, cells, trials, size, 0, 1)
    rows = found_in(parts, cells_of(every, seeds, size), trials, size)
    claims = [
        claim
        for world in every
        if (found := by_seed(rows, world))[0]
        for claim in claims_of(world, *found, seeds)
    ]
    report(name, [*claims, *real_mean(rows)], smoke=chosen.smoke)


if __name__ == "__main__":
    main()
