"""What each command does, and its exit status."""

from contextlib import redirect_stdout
import json
from pathlib import Path
import re
import sys
import warnings

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from .._class_names import class_name
from .._json import to_plain
from .._progress import ProgressStream
from .._validation import check_count
from ..exceptions import DataQualityWarning, SktrainError
from ..features import BarFeatures
from ..trainer import DEFAULTS, EnhancedTrainer, EnhancedTrainingConfig, find_model, open_source
from . import _show
from ._inputs import data_of, news_options, refuse_bundled, show, with_news_of
from ._text import for_spreadsheet, shown

__all__ = ["audit", "drift", "predict", "report", "search", "show", "train"]

_BARE_POINT = re.compile(r"[-+]?(\d+\.|\.\d+)")
_TRAIN = ("epochs", "batch_size", "learning_rate", "interval", "horizon")


def train(args):
    """Train, print the fold table and the verdict, save."""
    config = _config(args)
    if not args.out:
        raise SktrainError("--out is empty. Name the folder of the run.")
    told = args.news or news_options(args)  # options without news are refused
    data = with_news_of(args, _open(args).bars) if told else data_of(args)
    trainer = EnhancedTrainer(config=config, model_dir=args.out, data=data)
    # stdout is for the result alone
    with redirect_stdout(ProgressStream("stderr")):  # type: ignore[type-var]  # write says None
        result = trainer.train(
            stocks=args.stocks,
            incremental=args.incremental,
            resume=args.resume,
            verbose=0 if args.quiet or args.json else 1,
            **_given(args, _TRAIN),
        )
    if args.json:
        _print_json(result)
    else:
        _show.training(result)
    return 130 if result["status"] == "interrupted" else 0


def _given(args, names):
    """Arguments that were given; the others keep the defaults of what they are handed to."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def predict(args):
    """Predict the newest bars of every symbol."""
    check_count("--last", args.last)
    _check_target(args.out)
    model = EnhancedTrainer.load(find_model(args.model))
    bars = with_news_of(args, _open(args).bars)
    table = _newest_predictions(model, bars, args.last)
    if args.out:
        from .._io import atomic_write

        atomic_write(args.out, for_spreadsheet(table).to_csv(index=False).encode())
        if not args.quiet and not args.json:
            print(shown(f"{len(table)} predictions written to {args.out}"))
    if args.json:
        _print_json({"predictions": json.loads(table.to_json(orient="records", date_format="iso"))})
    elif not args.out:
        _show.predictions(table)
    return 0


def _newest_predictions(model, bars, last):
    newest = (
        bars.groupby(level=0, sort=False).tail(last)
        if isinstance(bars.index, pd.MultiIndex)
        else bars.iloc[-last:]
    )
    _tell_of_early_rows(model, newest)
    probabilities = pd.DataFrame(model.predict_proba(newest), index=newest.index)
    names = [class_name(value) for value in model.classes_]
    probabilities.columns = [f"p_{name}" for name in names]
    table = probabilities.reset_index()
    table.insert(
        newest.index.nlevels,
        "prediction",
        [names[place] for place in probabilities.to_numpy().argmax(axis=1)],
    )
    return table


def _tell_of_early_rows(model, newest):
    """Warn where features miss bars of before: the model then answers with their averages."""
    features = model[0] if isinstance(model, Pipeline) else None
    if not isinstance(features, BarFeatures):
        return
    values = features.transform(newest)
    early = _early(features, values)
    if early.any():
        unknown = int(values[early].isna().any(axis=0).sum())
        warnings.warn(
            f"{early.sum()} of the {len(newest)} rows come too early for {unknown} of "
            f"{values.shape[1]} features, which look back on up to {features.lookback_} bars and "
            "count as average there. Give a longer history.",
            DataQualityWarning,
            stacklevel=3,
        )


def audit(args):
    """Read a notebook or script, or audit the default pipeline or a saved estimator on the user's
    bars."""
    from ..leakage import LeakageValidator, audit_source
    from ..splits import EnhancedWalkForwardCV
    from ..trainer import audit_pipeline, label_bars

    if args.file is not None:
        if args.data is not None or args.dataset is not None or args.estimator is not None:
            raise SktrainError(
                f"audit {args.file} reads code and takes no --data, --dataset or --estimator. Give "
                "one or the other."
            )
        refuse_bundled(args.file, "audit")
        found = audit_source(args.file)
    else:
        config = _config(args)
        bars = _open(args).bars
        task = label_bars(bars, config, _horizon(args))
        estimator = _any_estimator(args.estimator) if args.estimator else audit_pipeline(config)
        cv = EnhancedWalkForwardCV(
            n_splits=check_count("--folds", args.folds, minimum=2),
            embargo_bars=config.embargo_bars,
            ensure_regime_coverage=False,
        )
        found = LeakageValidator().audit(estimator, task.bars, task.y, cv)
    if args.json:
        _print_json(found.to_dict())
    else:
        print(found.summary())
    return {"PASS": 0, "FAIL": 1}.get(found.status, 2)


def drift(args):
    """Compare new bars with the model's reference."""
    from ..trainer import load_drift_reference

    detector, features = load_drift_reference(args.model)
    values = _past_warm_up(features, features.transform(_open(args).bars))
    if args.last is not None:
        last = check_count("--last", args.last)
        values = (
            values.groupby(level=0, sort=False).tail(last)
            if isinstance(values.index, pd.MultiIndex)
            else values.iloc[-last:]
        )
    found = detector.check(values)
    if args.json:
        _print_json(found.to_dict())
    else:
        print(found.summary())
    return 1 if found["drift_detected"] else 0


def _early(features, values):
    """Rows whose features are not all known because a symbol's bars begin too shortly before."""
    place = (
        values.groupby(level=0, sort=False).cumcount().to_numpy()
        if isinstance(values.index, pd.MultiIndex)
        else np.arange(len(values))
    )
    begins = place < getattr(features, "lookback_", 1) - 1
    return begins & values.isna().any(axis=1).to_numpy()


def _past_warm_up(features, values):
    """The rows a reference of whole features can be compared with."""
    early = _early(features, values)
    if early.all():
        raise SktrainError(
            f"No bar can be compared: features look back on {features.lookback_} bars, and no "
            "symbol has as many. Give a longer history."
        )
    return values[~early]


def report(args):
    """Write the HTML report of a finished run."""
    from ..trainer.report import write_report

    _check_target(args.out)
    path = write_report(args.run, args.out)
    if args.json:
        _print_json({"report": str(path)})
    elif not args.quiet:
        print(shown(path))
    return 0


def search(args):
    """Search hyperparameters of the first model and print what the best score is worth."""
    from ..trainer import (
        HALVED,
        build_search,
        given_parameters,
        in_words_of,
        label_bars,
        search_plan,
    )

    config = _config(args)
    config.use_hpo, config.hpo_n_trials = True, check_count("--trials", args.trials)
    task = label_bars(_open(args).bars, config, _horizon(args))
    found = build_search(
        config,
        search_plan(config, **_given(args, ("epochs", "batch_size", "learning_rate", "horizon"))),
        given=given_parameters(
            config, batch_size=args.batch_size, learning_rate=args.learning_rate
        ),
        n_folds=check_count("--folds", args.folds, minimum=2),
        storage=args.storage,
        timeout=args.timeout,
        progress=not (args.quiet or args.json),
    )
    said = in_words_of({r"\bn_splits\b": "--folds", **HALVED})
    with said, redirect_stdout(ProgressStream("stderr")):  # type: ignore[type-var]  # write: None
        found.fit(task.bars, task.y)
    if args.json:
        _print_json(
            {
                "best_params": found.best_params_,
                "best_score": found.best_score_,
                "overfit": to_plain(found.overfit_report_),
            }
        )
    else:
        _show.search(found, config.models[0])
    return 0


def _check_target(out):
    """Refuse a file that cannot be written before anything is worked out."""
    if out is None:
        return
    if "\0" in out or not out:
        raise SktrainError(f"--out {out!r} is no name of a file.")
    if Path(out).is_dir():
        raise SktrainError(f"--out {out} is a folder. Name a file in it.")
    if not Path(out).parent.is_dir():
        raise SktrainError(f"--out {out}: there is no folder {Path(out).parent}. Make it first.")


def _any_estimator(path):
    if str(path).endswith(".joblib"):
        import joblib

        try:
            return joblib.load(path)
        except OSError:
            raise
        except Exception as error:  # a damaged pickle fails in any way
            raise SktrainError(
                f"--estimator {path} cannot be opened: it is damaged, or no joblib file "
                f"({type(error).__name__})."
            ) from error
    return EnhancedTrainer.load(find_model(path))


def _open(args):
    source = open_source(data_of(args), args.stocks, getattr(args, "interval", None))
    for name, reason in source.missing.items():
        print(shown(f"sktrain: {name} left out: {reason}"), file=ProgressStream("stderr"))
    return source


def _horizon(args):
    return DEFAULTS["horizon"] if args.horizon is None else args.horizon


def _config(args):
    """The defaults of EnhancedTrainingConfig, then the file, then the flags."""
    fields = {}
    if getattr(args, "config", None) is not None:
        read = (
            EnhancedTrainingConfig.from_toml
            if str(args.config).endswith(".toml")
            else EnhancedTrainingConfig.from_json
        )
        fields = read(Path(args.config)).to_dict()
    _apply_flags(fields, args)
    return EnhancedTrainingConfig(**fields)


_FLAGS = {  # flag, field
    "label_scaling": "label_scaling",
    "threshold": "base_label_threshold",
    "session": "session",
    "seed": "training_seed",
    "device": "device",
    "embedding_model": "embedding_model",
    "session_close": "session_close",
}


def _apply_flags(fields, args):
    for flag, field in _FLAGS.items():
        if getattr(args, flag, None) is not None:
            fields[field] = getattr(args, flag)
    if getattr(args, "model", None) and isinstance(args.model, list):
        fields["models"] = tuple(args.model)
    if getattr(args, "deterministic", False):
        fields["deterministic_training"] = True
    if getattr(args, "ablation", False):
        fields["ablation"] = True
    if getattr(args, "hpo", None) is not None:
        fields["use_hpo"], fields["hpo_n_trials"] = True, check_count("--hpo", args.hpo)
    if getattr(args, "news", None):
        fields["news"], fields["use_pretrained_embeddings"] = args.news, True
        fields.update({f"news_{name}": one for name, one in news_options(args).items()})
    chosen = _chosen(getattr(args, "set", []))
    if (args.label_scaling or chosen.get("label_scaling")) and args.threshold is None:
        fields.pop(
            "base_label_threshold", None
        )  # a threshold in a file belongs to the scaling in that file
    fields.update(chosen)


def _chosen(items):
    """Fields that ``--set`` names, with their values."""
    chosen = {}
    for item in items:
        name, found, text = item.partition("=")
        if not found:
            raise SktrainError(f"--set needs FIELD=VALUE, got {item!r}.")
        chosen[name] = _value(text)
    return chosen


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        if _BARE_POINT.fullmatch(text):  # JSON wants digits on both sides of the point
            return float(text)
        return {"True": True, "False": False, "None": None, "none": None}.get(text, text)


def _print_json(document):
    json.dump(to_plain(document), sys.stdout, indent=2, allow_nan=False)
    print()
