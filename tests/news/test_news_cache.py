"""The cache of vectors: shared, checked, safe under writers at once and under kill -9."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from sktrain import PretrainedNewsEncoder
from sktrain.exceptions import CorruptFileError, DataQualityWarning, SktrainError
from sktrain.news import _cache, _inference
from sktrain.news._cache import DiskCache, clear_memory, digest

TEXTS = ["profit rises", "the bank falls", "up", "down"]
SPACE, WIDTH = "ab" * 32, 8


def keys_of(n):
    return [digest(f"text {i}") for i in range(n)]


def vectors_of(n):
    return np.arange(n * WIDTH, dtype=np.float32).reshape(n, WIDTH)


@pytest.fixture
def counted(monkeypatch):
    """How many texts went through the model."""
    seen = []
    real = _inference.Tokens.of

    def of(tokenizer, texts, max_length):
        seen.extend(texts)
        return real(tokenizer, texts, max_length)

    monkeypatch.setattr(_inference.Tokens, "of", of)
    return seen


def test_each_text_is_encoded_once(bert, counted):
    fitted = PretrainedNewsEncoder(bert, embed_dim=4, max_length=64).fit(TEXTS * 3)
    fitted.transform(TEXTS[::-1])
    assert sorted(counted) == sorted(TEXTS)


def test_the_disk_serves_other_processes_folds_and_trials(bert, counted, tmp_path):
    first = PretrainedNewsEncoder(bert, embed_dim=None, max_length=64, cache_dir=tmp_path).fit(
        TEXTS
    )
    expected = first.transform(TEXTS)
    clear_memory()  # what a new process would know
    again = PretrainedNewsEncoder(bert, embed_dim=None, max_length=64, cache_dir=tmp_path).fit(
        TEXTS
    )
    assert np.array_equal(again.transform(TEXTS), expected)
    assert len(counted) == len(TEXTS)


@pytest.mark.parametrize(
    "change", [{"pooling": "cls"}, {"max_length": 32}, {"precision": "bfloat16"}]
)
def test_what_changes_a_vector_changes_the_key(bert, counted, tmp_path, change):
    PretrainedNewsEncoder(bert, embed_dim=None, max_length=64, cache_dir=tmp_path).fit_transform(
        TEXTS
    )
    PretrainedNewsEncoder(
        bert, embed_dim=None, cache_dir=tmp_path, **{"max_length": 64, **change}
    ).fit_transform(TEXTS)
    assert len(counted) == 2 * len(TEXTS)


def test_two_models_share_a_folder_but_no_vectors(bert, make_bert, tmp_path):
    one = PretrainedNewsEncoder(
        bert, embed_dim=None, max_length=64, cache_dir=tmp_path
    ).fit_transform(TEXTS)
    other = PretrainedNewsEncoder(
        make_bert(7), embed_dim=None, max_length=64, cache_dir=tmp_path
    ).fit_transform(TEXTS)
    assert not np.allclose(one, other)


def test_a_file_of_another_model_is_refused(tmp_path):
    DiskCache(tmp_path, SPACE, WIDTH).put(keys_of(3), vectors_of(3))
    (file,) = tmp_path.glob("*.sqlite")
    other = "cd" * 32
    file.rename(tmp_path / f"news-{other[:24]}.sqlite")
    with pytest.raises(CorruptFileError, match="another model"):
        DiskCache(tmp_path, other, WIDTH)


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    (tmp_path / f"news-{SPACE[:24]}.sqlite").write_bytes(
        b"not a database, but long enough to be looked at" * 50
    )
    with pytest.raises(CorruptFileError, match="damaged or no cache.*Delete it"):
        DiskCache(tmp_path, SPACE, WIDTH)


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE vectors", f"CREATE VIEW vectors AS {ENDLESS}"),
        (f"CREATE TRIGGER t AFTER INSERT ON vectors BEGIN INSERT INTO space {ENDLESS}; END",),
        (
            "DROP TABLE vectors",
            "CREATE TABLE vectors (key BLOB, checksum INTEGER, vector AS (zeroblob(900000000)))",
        ),
        ("CREATE TABLE more (a)",),
    ],
    ids=["view", "trigger", "generated", "another table"],
)
def test_a_file_with_other_tables_is_refused(tmp_path, statements):
    DiskCache(tmp_path, SPACE, WIDTH).put(keys_of(3), vectors_of(3))
    (file,) = tmp_path.glob("*.sqlite")
    connection = sqlite3.connect(file, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    with pytest.raises(CorruptFileError, match="other tables.*Delete it"):
        DiskCache(tmp_path, SPACE, WIDTH)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
def test_pipes_are_no_caches(tmp_path, suffix):
    DiskCache(tmp_path, SPACE, WIDTH).put(keys_of(3), vectors_of(3))
    (file,) = tmp_path.glob("*.sqlite")
    pipe = file.with_name(f"{file.name}{suffix}")
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(CorruptFileError, match="is no file"):
        DiskCache(tmp_path, SPACE, WIDTH)


def test_a_folder_that_cannot_be_written_to_is_refused_in_fit(bert, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SktrainError, match="cache_dir=.*cannot be made"):
        PretrainedNewsEncoder(
            bert, embed_dim=None, max_length=64, cache_dir=tmp_path / "file" / "cache"
        ).fit(TEXTS)
    if os.path.isdir("/proc/self"):
        with pytest.raises(SktrainError, match="cache"):
            PretrainedNewsEncoder(bert, embed_dim=None, max_length=64, cache_dir="/proc/self").fit(
                TEXTS
            )


def test_flipped_bytes_are_noticed_and_encoded_again(tmp_path):
    cache = DiskCache(tmp_path, SPACE, WIDTH)
    cache.put(keys_of(3), vectors_of(3))
    (file,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE vectors SET vector = zeroblob(32) WHERE key = ?", (keys_of(3)[1],)
        )
    connection.close()
    with pytest.warns(DataQualityWarning, match="1 vectors.*damaged"):
        found = cache.get(keys_of(3))
    assert set(found) == {keys_of(3)[0], keys_of(3)[2]}


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.DataQualityWarning")
def test_a_damaged_file_gives_its_own_error_or_right_vectors(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "_PATIENCE", 1.0)
    DiskCache(tmp_path, SPACE, WIDTH).put(keys_of(40), vectors_of(40))
    (file,) = tmp_path.glob("*.sqlite")
    data, rng, refused = file.read_bytes(), np.random.default_rng(0), 0
    made, unnamed = [data[: int(length)] for length in rng.integers(0, len(data), 40)], []
    for place in rng.integers(0, len(data), 120):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        made.append(bytes(flipped))
    for one in made:
        for name in tmp_path.iterdir():
            name.unlink()
        file.write_bytes(one)
        try:
            found = DiskCache(tmp_path, SPACE, WIDTH).get(keys_of(40))
        except SktrainError as error:
            refused, found = refused + 1, {}
            unnamed += [str(error)] if str(file) not in str(error) else []
        for key, vector in zip(keys_of(40), vectors_of(40)):
            assert key not in found or np.array_equal(found[key], vector)
    assert 20 < refused < len(made)
    assert not unnamed


def test_more_keys_than_one_query_takes(tmp_path):
    cache = DiskCache(tmp_path, SPACE, WIDTH)
    cache.put(keys_of(1300), vectors_of(1300))
    found = cache.get(keys_of(1400))
    assert len(found) == len(cache) == 1300
    assert np.array_equal(np.array([found[key] for key in keys_of(1300)]), vectors_of(1300))


WRITER = """
import sys, numpy as np
from sktrain.news._cache import DiskCache, digest
cache = DiskCache(sys.argv[1], sys.argv[2], 8)
print("ready", flush=True)
for start in range(0, 20000, 20):
    numbers = [i % 2000 for i in range(start, start + 20)]
    cache.put([digest(f"text {i}") for i in numbers], np.array([np.arange(8) + 8 * i for i in numbers], dtype=np.float32))
"""


def test_writers_at_once_and_kills_leave_only_whole_vectors(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), SPACE, str(i)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for i in range(3)
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        time.sleep(0.15)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    cache = DiskCache(tmp_path, SPACE, WIDTH)
    found = cache.get(keys_of(2000))
    assert len(found) >= 20
    expected = vectors_of(2000)
    for place, key in enumerate(keys_of(2000)):
        if key in found:
            assert np.array_equal(found[key], expected[place])
    cache.put(keys_of(1), vectors_of(1))
