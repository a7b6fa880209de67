"""Open many damaged and hostile model files in child processes with limits; count what became of
each.

A worker is given a seed and a number of files. It makes each from a golden file by a rule that the
seed decides, opens it with limits on time, memory and open files, and predicts with what opened.
Run alone:

    python tests/attack/mutate.py 5000
"""

from collections import Counter
from io import BytesIO
import json
import os
from pathlib import Path
import random
import subprocess
import sys
import tempfile
import time
import zipfile

GOLDEN = sorted((Path(__file__).parents[1] / "persistence" / "golden").glob("*.sktrain"))
SECONDS = 5  # for one file
# bytes of memory that opening a file may take: 64 MiB and eight times the file
FLOOR, MULTIPLE = 64 * 2**20, 8
_DIGEST = 64
REFUSED, ALIKE, OTHER_MODEL = "refused", "opened alike", "opened as another model"
OTHER_COLUMNS = "opened as a model of other columns"
HARMLESS = (REFUSED, ALIKE, OTHER_MODEL, OTHER_COLUMNS)
ODD = [
    None,
    True,
    -1,
    0,
    1,
    2,
    7,
    2**31,
    2**63,
    10**30,
    0.5,
    -1e308,
    "",
    "x",
    "../x",
    [],
    {},
    [[]],
    {"!": "list", "items": []},
    {"!": "again", "number": 0},
]
NAMES = [
    "os.system",
    "builtins.eval",
    "sklearn.tree._tree.Tree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sktrain.drift._training.Memory",
    "torch.optim.SGD",
]
KINDS = [
    "list",
    "tuple",
    "dict",
    "array",
    "sparse",
    "objects",
    "object",
    "net",
    "sklearn",
    "record",
    "value",
    "partial",
    "again",
    "tensor",
    "random",
    "scorer",
]


def parts(data):
    """(manifest, members) of a file."""
    with zipfile.ZipFile(BytesIO(data)) as file:
        return json.loads(file.read("manifest.json")), {
            name: file.read(name) for name in file.namelist() if name != "manifest.json"
        }


def packed(manifest, members, rehash=True):
    """A consistent file: every checksum fits."""
    from sktrain._io import sha256

    listing = {name: {"size": len(data), "sha256": sha256(data)} for name, data in members.items()}
    text = json.dumps(
        {**manifest, "members": listing if rehash else manifest.get("members")}
    ).encode()
    return signed([("manifest.json", text), *members.items()])


def signed(files, compress=zipfile.ZIP_STORED):

    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as file:
        for name, data in files:
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, compress)
        file.comment = b"0" * _DIGEST
    return resigned(buffer.getvalue())


def resigned(data):
    from sktrain._io import sha256

    return data[:-_DIGEST] + sha256(data[:-_DIGEST]).encode()


def flips(data, rng):
    broken = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def truncation(data, rng):
    return data[: rng.randrange(len(data))]


def flips_resigned(data, rng):
    return resigned(flips(data[:-_DIGEST], rng) + b"0" * _DIGEST)


def zip_headers(data, rng):
    """Bytes of the central directory or of a local header, under a checksum that fits."""
    broken = bytearray(data)
    marks = [
        place
        for mark in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
        for place in places(data, mark)
    ]
    place = rng.choice(marks) + rng.randrange(4, 46)
    broken[min(place, len(broken) - _DIGEST - 1)] = rng.randrange(256)
    return resigned(bytes(broken))


def places(data, mark):
    found = data.find(mark)
    while found >= 0:
        yield found
        found = data.find(mark, found + 1)


def member_bytes(data, rng):
    manifest, members = parts(data)
    name = rng.choice(list(members))
    member = bytearray(members[name])
    kind = rng.randrange(4)
    if kind == 0 and member:
        for _ in range(rng.choice([1, 4, 32])):
            member[rng.randrange(len(member))] = rng.randrange(256)
    elif kind == 1:
        member = member[: rng.randrange(len(member) + 1)]
    elif kind == 2:
        member = bytearray(members[rng.choice(list(members))])
    else:
        member += bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
    members[name] = bytes(member)
    return packed(manifest, members)


def edited(tree, rng):
    """``tree`` with one value somewhere in it replaced, removed, doubled or renamed."""
    spots = []

    def walk(node):
        pairs = (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        )
        for key, value in pairs:
            spots.append((node, key))
            walk(value)

    walk(tree)
    node, key = rng.choice(spots)
    kind = rng.randrange(6)
    if kind == 0 and isinstance(node, dict):
        node.pop(key)
    elif kind == 1 and key == "!":
        node[key] = rng.choice(KINDS)
    elif kind == 2:
        other, place = rng.choice(spots)
        node[key] = (
            json.loads(json.dumps(other[place]))
            if place in other or isinstance(other, list)
            else None
        )
    elif kind == 3 and isinstance(node[key], (int, float)):
        node[key] = node[key] * rng.choice([-1, 0, 2, 10**3, 10**6, 10**9]) + rng.choice([-1, 0, 1])
    elif kind == 4 and isinstance(node[key], str):
        node[key] = rng.choice([*NAMES, *ODD[12:15], node[key] + "x"])
    else:
        node[key] = rng.choice(ODD)
    return tree


def tree_edits(data, rng):
    manifest, members = parts(data)
    listing = manifest.pop("members")
    for _ in range(rng.choice([1, 1, 2])):
        manifest = edited(manifest, rng)
    return packed({**manifest, "members": listing}, members)


def skops_schema(data, rng):
    """A member of scikit-learn's with an edited schema or array, all checksums right."""
    manifest, members = parts(data)
    names = [name for name in members if name.endswith(".skops")]
    if not names:
        return tree_edits(data, rng)
    name = rng.choice(names)
    with zipfile.ZipFile(BytesIO(members[name])) as inner:
        files = {one: inner.read(one) for one in inner.namelist()}
    if rng.random() < 0.6:
        files["schema.json"] = json.dumps(edited(json.loads(files["schema.json"]), rng)).encode()
    else:
        one = rng.choice([one for one in files if one != "schema.json"] or ["schema.json"])
        body = bytearray(files[one])
        start = min(128, len(body) - 1)
        for _ in range(rng.choice([1, 8, 64])):
            body[rng.randrange(start, len(body))] = rng.randrange(256)
        files[one] = bytes(body)
    buffer = BytesIO()
    with zipfile.ZipFile(
        buffer, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.05 else zipfile.ZIP_STORED
    ) as inner:
        for one, body in files.items():
            inner.writestr(one, body)
    members[name] = buffer.getvalue()
    return packed(manifest, members)


def sizes(data, rng):
    """Shapes, counts and lengths much larger than what is there."""
    text = json.dumps(parts(data)[0])
    manifest, members = json.loads(text), parts(data)[1]
    found = []

    def walk(node):
        for key, value in (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        ):
            if isinstance(value, int) and not isinstance(value, bool):
                found.append((node, key))
            walk(value)

    walk(manifest["model"])
    for node, key in rng.sample(found, min(len(found), 2)):
        node[key] = rng.choice([10**5, 10**6, 10**8, 2**31, 2**40])
    return packed(manifest, members)


RULES = [
    flips,
    truncation,
    flips_resigned,
    zip_headers,
    member_bytes,
    tree_edits,
    skops_schema,
    sizes,
]
WEIGHTS = [1, 1, 1, 1, 2, 3, 4, 2]


def mutated(seed):
    """(name of the golden file, name of the rule, bytes) of one mutation."""
    rng = random.Random(seed)
    path, rule = rng.choice(GOLDEN), rng.choices(RULES, WEIGHTS)[0]
    data = path.read_bytes()
    for _ in range(20):
        made = rule(data, rng)
        if made != data:
            break
    return path, rule.__name__, made


def resident():
    with open("/proc/self/status") as file:
        found = {
            line.split(":")[0]: line.split()[1]
            for line in file
            if line.startswith(("VmRSS", "VmHWM"))
        }
    return int(found["VmRSS"]) * 1024, int(found["VmHWM"]) * 1024


def attempt(path, rows, expected):
    """What becomes of one file: one of ``HARMLESS``, or what went wrong."""
    import warnings

    import numpy as np

    from sktrain import load
    from sktrain.exceptions import CorruptFileError, PersistenceError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = load(path)
        except (CorruptFileError, PersistenceError):
            return REFUSED
        if not hasattr(model, "get_params"):
            return f"opened as {type(model).__name__}"
        try:
            found = asked_for(model, rows)
        except Exception:  # a model of other columns may refuse rows; it may not crash or hang
            return OTHER_COLUMNS
        alike = np.shape(found) == np.shape(expected) and np.all(found == expected)
        return ALIKE if alike else OTHER_MODEL


def asked_for(model, rows):
    """Probabilities of a model for rows, or labels where it has none."""
    return (model.predict_proba if hasattr(model, "predict_proba") else model.predict)(rows)


class _Late(BaseException):
    """What no ``except Exception`` on the way takes for a damaged file."""


def answers():
    """{name: (rows, predictions)} of every golden file, opened before anything is measured."""
    from persistence.make_golden import asked

    from sktrain import load

    found = {}
    for path in GOLDEN:
        model = load(path, replay=True)
        rows = asked(model)[-8:]
        found[path.name] = rows, asked_for(model, rows)
    return found


def worker(first, count):
    """Attempt ``count`` files; print a line before and after each, so that a crash names its
    file."""
    import resource
    import signal

    import numpy as np

    sys.path.insert(0, str(Path(__file__).parents[1]))
    golden = answers()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, 2**24))
    with open("/proc/self/status") as file:
        space = int(next(line.split()[1] for line in file if line.startswith("VmSize"))) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (space + 2**31, space + 2**31))

    def late(*_):
        raise _Late

    signal.signal(signal.SIGALRM, late)
    folder = Path(os.getcwd())
    before = sorted(os.listdir(folder))
    state = np.random.get_state()[1].tobytes()  # noqa: NPY002
    for seed in range(first, first + count):
        original, rule, data = mutated(seed)
        path = folder / "m.sktrain"
        path.write_bytes(data)
        print(json.dumps({"seed": seed, "golden": original.name, "rule": rule}), flush=True)
        base = resident()[0]
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak starts anew
        except OSError:
            pass
        signal.alarm(SECONDS)
        begun = time.perf_counter()
        try:
            became = attempt(path, *golden[original.name])
        except _Late:
            became = "slow"
        except BaseException as error:
            became = f"raised {type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
        took, grew = time.perf_counter() - begun, resident()[1] - base
        if took > SECONDS:
            became = "slow"
        if grew > FLOOR + MULTIPLE * len(data):
            became = f"took {grew >> 20} MiB"
        path.unlink()
        if sorted(os.listdir(folder)) != before:
            became = f"left files: {sorted(os.listdir(folder))}"
        if np.random.get_state()[1].tobytes() != state:  # noqa: NPY002
            became = "moved the caller's generator"
        told = {"seed": seed, "became": became, "seconds": took, "grew": grew, "size": len(data)}
        print(json.dumps(told), flush=True)


def attack(count, first=0, per_worker=250, tell=False):
    """Counts of what became of ``count`` files, a list of those that went wrong, and the largest
    of what opening one took: {"seconds", "grew", "share" of the memory allowed}."""
    became, wrong, seed = Counter(), [], first
    most = {"seconds": 0.0, "grew": 0, "share": 0.0}
    code = [sys.executable, "-W", "ignore", __file__, "--worker"]
    while seed < first + count:
        n = min(per_worker, first + count - seed)
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [*code, str(seed), str(n)],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60 + n * (SECONDS + 1),
            )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        started = {line["seed"]: line for line in lines if "rule" in line}
        for line in (line for line in lines if "became" in line):
            result = line["became"]
            became[result if result in HARMLESS else "wrong"] += 1
            if result not in HARMLESS:
                wrong.append({**started[line["seed"]], **line})
            line["share"] = line["grew"] / (FLOOR + MULTIPLE * line["size"])
            most = {name: max(value, line[name]) for name, value in most.items()}
        if done.returncode:
            crashed = max(started, default=seed - 1)
            if crashed < seed:
                raise RuntimeError(done.stderr)
            became["wrong"] += 1
            wrong.append(
                {**started[crashed], "became": f"crashed: {done.returncode} {done.stderr[-300:]}"}
            )
            seed = crashed + 1
        else:
            seed += n
        if tell:
            print(seed - first, dict(became), most, flush=True)
    return became, wrong, most


def published(became, wrong, most):
    """The counts as claims of the figures."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    import _harness

    total = sum(became.values())
    note = f"over {len(GOLDEN)} golden files, by {len(RULES)} rules, each in a process with limits"
    other = "whoever writes a file may write a whole model in it; a key= tells who did"
    harm = f"those that crashed, took over {SECONDS} s, grew, drew random numbers or left files"
    claims = [
        _harness.Claim("mutated files tried", total, 5000, ">=", note=note),
        _harness.Claim(harm, len(wrong), 0),
        _harness.Claim("those refused, with an error of this library", became[REFUSED]),
        _harness.Claim("those opened, with equal predictions", became[ALIKE]),
        _harness.Claim("those opened as other models", became[OTHER_MODEL], note=other),
        _harness.Claim("those opened as models of other columns", became[OTHER_COLUMNS]),
        _harness.Claim(
            "longest of all", most["seconds"], SECONDS, unit="s", note="opened and asked"
        ),
        _harness.Claim("most memory of all", most["grew"] / 2**20, unit="MiB"),
        _harness.Claim("largest share of 64 MiB + 8x file", 100 * most["share"], 100, unit="%"),
    ]
    _harness.report("attack", claims)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(int(sys.argv[2]), int(sys.argv[3]))
    else:
        totals, failures, largest = attack(int(sys.argv[1]), *map(int, sys.argv[2:3]), tell=True)
        if sum(totals.values()) >= 5000:
            published(totals, failures, largest)
        print(dict(totals), *failures, sep="\n")
        sys.exit(bool(failures))
