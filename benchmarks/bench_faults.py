"""Kills, full disks, closed streams and two processes at once: how much of what was finished is
lost.

Everything happens in forked children on scratch folders. A kill is SIGKILL at a random moment of
the work; a full disk is the kernel's limit on the size of a file, met while writing, or ENOSPC told
by ``fsync``; a closed stream is a pipe whose reader is gone. Each job is then run again, and must
end as if nothing had happened.
"""

from contextlib import contextmanager, suppress
import errno
from importlib import import_module
import io
import json
import os
from pathlib import Path
import random
import resource
import signal
import sys
import tempfile
import time
import traceback

from _fault_jobs import Cache, Calibration, Save, Search, Train, stored
import _harness
import numpy as np
import torch

REFUSED, FAILED = 3, 4  # exit status of a child that said what is wrong, and of one that did not


class Child:
    """A forked process that runs ``job(tell)``; ``told`` is what it said, ``result`` what it
    returned."""

    def __init__(self, job):
        self.read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.read)
            with os.fdopen(write, "w", buffering=1) as pipe:
                os._exit(self._work(job, pipe))
        os.close(write)

    @staticmethod
    def _work(job, pipe):
        def tell(value):
            pipe.write(json.dumps(value) + "\n")

        torch.set_num_threads(1)  # threads of the parent's OpenMP do not live here
        try:
            result = job(tell)
        except (ValueError, OSError) as error:  # every error of ours is one
            pipe.write(json.dumps({"refused": f"{type(error).__name__}: {error}"}) + "\n")
            return REFUSED
        except BaseException:
            pipe.write(json.dumps({"refused": traceback.format_exc()}) + "\n")
            return FAILED
        pipe.write(json.dumps({"result": result}) + "\n")
        return 0

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        """What was told; sets ``status``, ``result`` and ``refused``."""
        with os.fdopen(self.read) as pipe:
            lines = [json.loads(line) for line in pipe if line.endswith("\n")]
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        last = lines[-1] if lines and isinstance(lines[-1], dict) else {}
        self.result, self.refused = last.get("result"), last.get("refused")
        return lines if not last else lines[:-1]


class Counts:
    """How often something was tried, and what was lost."""

    def __init__(self):
        self.tried, self.lost, self.others = {}, [], {}

    def add(self, name, problem=None):
        self.tried[name] = self.tried.get(name, 0) + 1
        if problem:
            self.lost.append(f"{name}: {problem}")
            print("LOST", self.lost[-1], flush=True)

    @property
    def total(self):
        return sum(self.tried.values())


@contextmanager
def scratch():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def undisturbed(job):
    """(result, seconds) of a job that nothing happens to, in a folder of its own; once before, to
    learn what it imports, which the children then need not."""
    with scratch() as folder:
        child = Child(lambda tell: [job.run(folder, tell), *sorted(sys.modules)][1:])
        child.wait()
    for name in child.result or ():
        with suppress(Exception):
            import_module(name)
    with scratch() as folder:
        began = time.perf_counter()
        child = Child(lambda tell: job.run(folder, tell))
        child.wait()
        if child.status:
            raise RuntimeError(f"{job.name} fails undisturbed: {child.refused}")
        return child.result, time.perf_counter() - began


def kills(job, n, expected, takes, counts, rng):
    """Kill a job ``n`` times; a job that ends begins anew in another folder."""
    done = 0
    while done < n:
        with scratch() as folder:
            before, ended = None, False
            while not ended:
                child = Child(lambda tell, folder=folder: job.run(folder, tell))
                struck = done < n
                if struck:
                    time.sleep(rng.uniform(0, takes))
                    child.kill()
                told = child.wait()
                ended = child.status != -signal.SIGKILL
                if ended:
                    problem = (
                        None if child.result == expected else child.refused or "another result"
                    )
                    if problem:
                        counts.add(f"{job.name} after kills", problem)
                    continue
                done += 1
                counts.add(job.name, problem_of(job.check, folder, told, before))
                before = CHECKED.get("kept")


CHECKED = {}


def problem_of(check, *arguments):
    """What a check says is lost, or None; what is there is left in ``CHECKED``."""
    CHECKED.clear()
    try:
        CHECKED["kept"] = check(*arguments)
    except AssertionError as error:
        return str(error) or "an assertion"
    except Exception as error:  # a file that cannot be read is lost
        return f"{type(error).__name__}: {error}"
    return None


def limited(job, folder, limit):
    """A job whose files may have ``limit`` bytes."""

    def run(tell):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return job.run(folder, tell)

    return run


def unsynced(job, folder, after):
    """A job whose disk says at the flush number ``after`` that it is full."""

    def run(tell):
        real, left = os.fsync, [after]

        def fsync(handle):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        os.fsync = fsync
        return job.run(folder, tell)

    return run


def full_disks(job, n, expected, counts, rng):
    """Fill the disk ``n`` times under a job that is half done, and once more let it end."""
    flushes = job.name in ("save", "null calibration", "train")
    done = 0
    while done < n:
        with scratch() as folder:
            before = half_done(job, folder, rng)
            largest = max(
                (one.stat().st_size for one in folder.rglob("*") if one.is_file()), default=4096
            )
            way = unsynced if flushes and done % 2 else limited
            amount = rng.randrange(3) if way is unsynced else rng.randrange(int(0.8 * largest) + 1)
            child = Child(way(job, folder, amount))
            told = child.wait()
            if child.status == 0:  # it fitted
                continue
            done += 1
            problem = None if child.status == REFUSED else f"{child.status}: {child.refused}"
            problem = problem or problem_of(job.check, folder, told, before)
            again = Child(lambda tell: job.run(folder, tell))
            again.wait()
            if again.result != expected:
                problem = problem or again.refused or "another result"
            counts.add(f"{job.name}, disk full", problem)


def half_done(job, folder, rng):
    """Begin a job in ``folder`` and kill it once it has left something."""
    child = Child(lambda tell: job.run(folder, tell))
    end = time.monotonic() + 20
    while not any(one.is_file() for one in folder.rglob("*")) and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.2))
    child.kill()
    return job.check(folder, child.wait(), None)


def streams(folder, n, counts, rng):
    """Run commands and verbose work whose output nobody reads."""
    from sktrain import MLPNetClassifier, TrainingCheckpoint, load
    from sktrain.cli import main

    options = [
        "use_walk_forward=false",
        "leakage_audit=false",
        "prune_after_training=false",
        "lookback=3",
    ]
    data = folder / "bars.csv"
    Train().bars.to_csv(data)
    train = [
        "train",
        "--data",
        str(data),
        "--model",
        "mlp",
        "--epochs",
        "2",
        "--set",
        *options,
        "--out",
    ]
    run = folder / "run"
    done = Child(lambda tell: main([*train, str(run), "--quiet"]))
    done.wait()
    if done.result != 0:
        raise RuntimeError(f"the command fails undisturbed: {done.result} {done.refused}")

    X, y = Cache()._batch(0)[1], [0, 1] * 8

    def net(verbose=1):  # print raises, as everywhere in Python; the epochs that ended are kept
        keep = [("keep", TrainingCheckpoint(folder / "epochs"))]
        params = {"max_epochs": 3, "horizon": 0, "random_state": 0}
        model = MLPNetClassifier(callbacks=keep, verbose=verbose, **params)
        with suppress(BrokenPipeError):
            model.fit(X, y)
        fresh = MLPNetClassifier(**params).fit(X, y).predict_proba(X)
        model.set_params(verbose=0).fit(X, y)
        return int(not np.array_equal(model.predict_proba(X), fresh))

    works = {
        "train": lambda: main([*train, str(run)]),
        "train --json": lambda: main([*train, str(run), "--json"]),
        "predict": lambda: main(["predict", str(run), "--data", str(data)]),
        "report": lambda: main(["report", str(run), "--out", str(folder / "r.html")]),
        "a verbose net": net,
    }
    ended = None
    for number in range(n):
        name, which = (
            list(works)[number % len(works)],
            (("out",), ("err",), ("out", "err"))[number % 3],
        )
        child = Child(lambda tell, name=name, which=which: deaf(works[name], which))
        child.wait()
        problem = None if child.result == 0 else f"ended with {child.result}: {child.refused}"
        problem = problem or problem_of(load, run / "model.sktrain")
        if problem is None and name.startswith("train"):
            again = json.loads((run / "result.json").read_text())["training_time_seconds"]
            problem = None if again != ended else "the training is lost"
            ended = again
        counts.add(f"{name}, {' and '.join(which)} closed", problem)


def deaf(work, which):
    """Run ``work`` with streams whose reader is gone."""
    for name, number in (("out", 1), ("err", 2)):
        if name in which:
            read, write = os.pipe()
            os.close(read)
            os.dup2(write, number)
            setattr(
                sys, f"std{name}", io.TextIOWrapper(os.fdopen(number, "wb", 0), write_through=True)
            )
        else:
            setattr(sys, f"std{name}", io.StringIO())
    return work()


def together(jobs, expected, n, counts):
    """Two processes in one folder, one cache, one study; both end, and what they leave is whole."""
    for number in range(n):
        job = jobs[number % len(jobs)]
        with scratch() as folder:
            pair = [
                Child(lambda tell, folder=folder, job=job: job.run(folder, tell)) for _ in range(2)
            ]
            told = [value for child in pair for value in child.wait()]
            ended = [child for child in pair if child.status == 0]
            refused = [child for child in pair if child.status == REFUSED and job.name == "train"]
            problem = None
            if not ended or len(ended) + len(refused) < 2:
                problem = "; ".join(str(child.refused) for child in pair if child.refused)
            elif any(child.result != expected[job.name] for child in ended):
                problem = "another result"
            if refused and "Another training" not in refused[0].refused:
                problem = refused[0].refused
            problem = problem or problem_of(job.check, folder, told, None)
            if job.name == "search":
                slots = list(stored(folder / "study.db").values())
                if len(set(slots)) < len(slots) or len(slots) != job.n_trials:
                    problem = problem or f"trials were run twice or are missing: {slots}"
            counts.add(f"{job.name}, two processes", problem)


def main():
    smoke = _harness.arguments(__doc__).smoke
    began, rng = time.perf_counter(), random.Random(0)
    jobs = [Train(), Search(), Calibration(), Cache(), Save()]
    n_kills, n_full, n_streams, n_pairs = (2, 1, 2, 3) if smoke else (20, 8, 10, 20)
    expected, takes = {}, {}
    for job in jobs:
        expected[job.name], takes[job.name] = undisturbed(job)
    struck, faults, pairs = Counts(), Counts(), Counts()
    for job in jobs:
        kills(job, n_kills, expected[job.name], takes[job.name], struck, rng)
        print(f"{time.perf_counter() - began:6.1f} s  {job.name} killed", flush=True)
        full_disks(job, n_full, expected[job.name], faults, rng)
        print(f"{time.perf_counter() - began:6.1f} s  {job.name} on full disks", flush=True)
    with scratch() as folder:
        streams(folder, n_streams, faults, rng)
    together([jobs[0], jobs[1], jobs[3]], expected, n_pairs, pairs)
    print({**struck.tried, **faults.tried, **pairs.tried})
    claims = []
    for name, counted, least in (
        ("kills", struck, 100), ("disk-full and closed-stream faults", faults, 50),
        ("runs of two processes", pairs, 20),
    ):  # fmt: skip
        note = ", ".join(f"{key} {value}" for key, value in counted.tried.items())
        claims.append(_harness.Claim(name, counted.total, least, ">=", note=note))
        lost = "; ".join(counted.lost)[:300]
        claims.append(_harness.Claim(f"{name}, lost", len(counted.lost), 0, note=lost, smoke=True))
    claims.append(_harness.Claim("wall time of all", time.perf_counter() - began, unit="s"))
    _harness.report("faults", claims, smoke=smoke)


if __name__ == "__main__":
    main()
