"""What each command does: parsed arguments enter, the rooms work, something is printed, an exit status leaves."""

from contextlib import redirect_stdout
import json
from pathlib import Path
import sys

import pandas as pd

from ..exceptions import SktrainError
from ..trainer import EnhancedTrainer, EnhancedTrainingConfig
from ..trainer._run_folder import find_model
from ..trainer._sources import open_source
from . import _show
from ._inputs import data_of, show, with_news_of

__all__ = ["audit", "drift", "predict", "report", "search", "show", "train"]

_SIGMAS = 0.5  # base threshold of the command line: a move of half a standard deviation over the horizon
CLASS_NAMES = {0: "sell", 1: "hold", 2: "buy"}


def train(args):
    """Train, print the fold table and the verdict, save."""
    config = _config(args)
    data = with_news_of(args, _open(args).bars) if args.news else data_of(args)
    trainer = EnhancedTrainer(config=config, model_dir=args.out, data=data)
    with redirect_stdout(sys.stderr):  # stdout is for the result alone
        result = trainer.train(
            stocks=args.stocks,
            epochs=args.epochs,
            batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            interval=args.interval,
            horizon=args.horizon,
            incremental=args.incremental,
            resume=args.resume,
            verbose=0 if args.quiet or args.json else 1,
        )
    if args.json:
        _print_json(result)
    else:
        _show.training(result)
    return 130 if result["status"] == "interrupted" else 0


def predict(args):
    """Predict the newest bars of every symbol."""
    _count("--last", args.last)
    model = EnhancedTrainer.load(find_model(args.model))
    bars = with_news_of(args, _open(args).bars)
    table = _newest_predictions(model, bars, args.last)
    if args.out:
        from .._io import atomic_write

        atomic_write(args.out, table.to_csv(index=False).encode())
        if not args.quiet and not args.json:
            print(f"{len(table)} predictions written to {args.out}")
    if args.json:
        _print_json({"predictions": json.loads(table.to_json(orient="records", date_format="iso"))})
    elif not args.out:
        _show.predictions(table)
    return 0


def _newest_predictions(model, bars, last):
    newest = bars.groupby(level=0, sort=False).tail(last) if isinstance(bars.index, pd.MultiIndex) else bars.iloc[-last:]
    probabilities = pd.DataFrame(model.predict_proba(newest), index=newest.index)
    names = [CLASS_NAMES.get(value, str(value)) for value in model.classes_]
    probabilities.columns = [f"p_{name}" for name in names]
    table = probabilities.reset_index()
    table.insert(newest.index.nlevels, "prediction", [names[place] for place in probabilities.to_numpy().argmax(axis=1)])
    return table


def audit(args):
    """Audit the default pipeline, or a saved estimator, on the user's bars."""
    from ..leakage import LeakageValidator
    from ..splits import EnhancedWalkForwardCV
    from ..trainer._models import audit_pipeline
    from ..trainer._tasks import label_bars

    config = _config(args)
    bars = _open(args).bars
    task = label_bars(bars, config, args.horizon)
    estimator = _any_estimator(args.estimator) if args.estimator else audit_pipeline(config)
    cv = EnhancedWalkForwardCV(n_splits=_count("--folds", args.folds, 2), embargo_bars=config.embargo_bars, ensure_regime_coverage=False)
    found = LeakageValidator().audit(estimator, task.bars, task.y, cv)
    if args.json:
        _print_json(found.to_dict())
    else:
        print(found.summary())
    return {"PASS": 0, "FAIL": 1}.get(found.status, 2)


def drift(args):
    """Compare new bars with the model's reference."""
    from ..trainer._run_folder import load_drift_reference

    detector, features = load_drift_reference(args.model)
    bars = _open(args).bars
    values = features.transform(bars)
    if args.last is not None:
        last = _count("--last", args.last)
        values = values.groupby(level=0, sort=False).tail(last) if isinstance(values.index, pd.MultiIndex) else values.iloc[-last:]
    found = detector.check(values)
    if args.json:
        _print_json(found.to_dict())
    else:
        print(found.summary())
    return 1 if found["drift_detected"] else 0


def report(args):
    """Write the HTML report of a finished run."""
    from ..trainer.report import write_report

    path = write_report(args.run, args.out)
    if args.json:
        _print_json({"report": str(path)})
    elif not args.quiet:
        print(path)
    return 0


def search(args):
    """Search hyperparameters of the first model and print what the best score is worth."""
    from ..trainer._models import build_search
    from ..trainer._tasks import label_bars

    config = _config(args)
    config.use_hpo, config.hpo_n_trials = True, _count("--trials", args.trials)
    task = label_bars(_open(args).bars, config, args.horizon)
    found = build_search(
        config,
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        n_folds=_count("--folds", args.folds, 2),
        storage=args.storage,
        timeout=args.timeout,
        refit=False,
        progress=not (args.quiet or args.json),
    )
    with redirect_stdout(sys.stderr):
        found.fit(task.bars, task.y)
    if args.json:
        _print_json({"best_params": found.best_params_, "best_score": found.best_score_, "overfit": _show.plain(found.overfit_report_)})
    else:
        _show.search(found)
    return 0


def _any_estimator(path):
    if str(path).endswith(".joblib"):
        import joblib

        return joblib.load(path)
    return EnhancedTrainer.load(find_model(path))


def _open(args):
    source = open_source(data_of(args), args.stocks)
    for name, reason in source.missing.items():
        print(f"sktrain: {name} left out: {reason}", file=sys.stderr)
    return source


def _config(args):
    """Defaults of the command line, then the file, then the flags."""
    given = getattr(args, "config", None)
    if given is None:
        scaling = args.label_scaling or "sigma"
        fields = {"models": ("gru",), "label_scaling": scaling, "base_label_threshold": _SIGMAS if scaling == "sigma" else 0.03}
    else:
        read = EnhancedTrainingConfig.from_toml if str(given).endswith(".toml") else EnhancedTrainingConfig.from_json
        fields = read(Path(given)).to_dict()
        if args.label_scaling is not None:
            fields["label_scaling"] = args.label_scaling
    if args.threshold is not None:
        fields["base_label_threshold"] = args.threshold
    _apply_flags(fields, args)
    return EnhancedTrainingConfig(**fields)


def _apply_flags(fields, args):
    if getattr(args, "model", None) and isinstance(args.model, list):
        fields["models"] = tuple(args.model)
    if getattr(args, "seed", None) is not None:
        fields["training_seed"] = args.seed
    if getattr(args, "deterministic", False):
        fields["deterministic_training"] = True
    if getattr(args, "hpo", None) is not None:
        fields["use_hpo"], fields["hpo_n_trials"] = True, _count("--hpo", args.hpo)
    if args.command == "train" and args.news:
        fields["news"], fields["use_pretrained_embeddings"] = args.news, True
    if getattr(args, "embedding_model", None):
        fields["embedding_model"] = args.embedding_model
    for item in getattr(args, "set", []):
        name, found, text = item.partition("=")
        if not found:
            raise SktrainError(f"--set needs FIELD=VALUE, got {item!r}.")
        fields[name] = _value(text)


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None, "none": None}.get(text, text)


def _count(flag, value, minimum=1):
    if value < minimum:
        raise SktrainError(f"{flag} must be an integer >= {minimum}, got {value}.")
    return value


def _print_json(document):
    json.dump(_show.plain(document), sys.stdout, indent=2, allow_nan=False)
    print()


