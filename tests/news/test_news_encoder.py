"""PretrainedNewsEncoder: equal to sentence-transformers, blind to neighbours, cached, picklable,
and clear about what it refuses."""

import json
import pickle
import shutil
from threading import Event
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sktrain import NewsArticle, PretrainedNewsEncoder
from sktrain.datasets import load_headlines
from sktrain.exceptions import (
    CorruptFileError,
    DataQualityWarning,
    NotEnoughDataError,
    SktrainError,
    SktrainWarning,
)
from sktrain.news import _inference
from sktrain.news._cache import clear_memory
from sktrain.news._inference import Tokens, _one_ahead

TEXTS = ["profit rises", "the bank falls", "利润上涨", "a plant and the market of the news " * 3, "up"]


def encoder(folder, **options):
    options = {"embed_dim": None, "max_length": 64, "device": "cpu", **options}
    return PretrainedNewsEncoder(folder, **options)


def by_hand(folder, text, pooling):
    """One text through the plain library, without padding."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
    return {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling].numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling_equals_the_plain_library(bert, pooling):
    vectors = encoder(bert, pooling=pooling).fit_transform(TEXTS)
    assert vectors.dtype == np.float32
    for text, vector in zip(TEXTS, vectors):
        np.testing.assert_allclose(vector, by_hand(bert, text, pooling), atol=1e-5)


def test_a_text_alone_equals_the_text_in_a_batch(bert):
    fitted = encoder(bert).fit(TEXTS)
    together = fitted.transform(TEXTS)
    for row, text in enumerate(TEXTS):
        clear_memory()
        np.testing.assert_allclose(fitted.transform([text])[0], together[row], atol=1e-5)
    clear_memory()
    np.testing.assert_allclose(
        fitted.encode_articles(TEXTS[::-1], batch_size=1)[::-1], together, atol=1e-5
    )


def test_equals_sentence_transformers_on_real_weights(minilm):
    peer = pytest.importorskip("sentence_transformers").SentenceTransformer(
        str(minilm), device="cpu"
    )
    texts = [text.format(name="Alder") for text in load_headlines()["headline"]][::6] + [
        "word " * 300,
        "😀 混合 mixed",
        "x" * 500,
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        ours = PretrainedNewsEncoder(
            minilm, embed_dim=384, max_length=256, normalize=True, device="cpu"
        ).fit_transform(texts)
    cosine = (ours * peer.encode(texts, show_progress_bar=False)).sum(axis=1)
    assert cosine.min() >= 0.99999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


def test_all_forms_of_input_agree(bert):
    fitted = encoder(bert).fit(TEXTS)
    expected = fitted.transform(TEXTS)
    articles = [NewsArticle(text, "2024-01-01") for text in TEXTS]
    for X in (pd.Series(TEXTS), pd.DataFrame({"text": TEXTS}), np.array(TEXTS), articles):
        assert np.array_equal(fitted.transform(X), expected)
    assert np.array_equal(encoder(bert).encode_articles(articles), expected)


def test_pandas_out_keeps_the_index(bert):
    series = pd.Series(TEXTS, index=list("vwxyz"))
    out = encoder(bert).set_output(transform="pandas").fit_transform(series)
    assert out.index.tolist() == list("vwxyz")
    assert out.columns[:2].tolist() == ["news_0", "news_1"]
    assert out.shape == (5, 32)


def test_empty_texts_give_zeros_and_are_counted(bert):
    for options in ({}, {"normalize": True}, {"embed_dim": 3}):
        fitted = encoder(bert, **options).fit(TEXTS)
        with pytest.warns(DataQualityWarning, match="3 of 4 texts are missing or empty"):
            vectors = fitted.transform([None, "  ", "", "up"])
        assert not vectors[:3].any()
        assert vectors[3].any()


def test_long_texts_are_cut_and_counted(bert):
    fitted = encoder(bert, max_length=8).fit([])
    with pytest.warns(DataQualityWarning, match="1 of 2 texts reach max_length=8"):
        vectors = fitted.transform(["profit " * 20_000, "up"])
    np.testing.assert_allclose(vectors[0], fitted.transform(["profit " * 6])[0], atol=1e-5)


def test_components_are_those_of_a_principal_component_analysis(bert):
    fitted = encoder(bert, embed_dim=3).fit(TEXTS)
    raw = encoder(bert).fit_transform(TEXTS).astype(float)
    centred = raw - raw.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    ours = fitted.transform(TEXTS)
    np.testing.assert_allclose(np.abs(ours), np.abs(left[:, :3] * values[:3]), atol=1e-4)
    assert fitted.get_feature_names_out().tolist() == ["news_0", "news_1", "news_2"]
    with pytest.raises(NotEnoughDataError, match="embed_dim=4.*different texts in fit, got 2"):
        encoder(bert, embed_dim=4).fit(["up", "down", "up", ""])
    with pytest.raises(NotFittedError, match="call fit before"):
        encoder(bert, embed_dim=3).encode_articles(TEXTS)


def test_constructor_only_stores_and_clones(bert):
    made = encoder(bert, pooling="nonsense")
    assert made.get_params()["pooling"] == "nonsense"
    assert clone(encoder(bert)).get_params() == encoder(bert).get_params()
    with pytest.raises(NotFittedError):
        encoder(bert).transform(TEXTS)
    defaults = PretrainedNewsEncoder().get_params()
    assert (
        defaults["model_name"],
        defaults["embed_dim"],
        defaults["batch_size"],
        defaults["freeze_encoder"],
    ) == ("bert-base-chinese", 768, 16, True)


def test_transform_leaves_the_encoder_unchanged_and_pickles_small(bert):
    fitted = encoder(bert).fit(TEXTS)
    before = dict(vars(fitted))
    vectors = fitted.transform(TEXTS)
    assert vars(fitted) == before
    file = pickle.dumps(fitted)
    assert len(file) < 2000
    assert np.array_equal(pickle.loads(file).transform(TEXTS), vectors)


def test_a_changed_model_is_noticed(make_bert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(make_bert(1), folder)
    fitted = encoder(folder).fit(TEXTS)
    shutil.copy(make_bert(2) / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(CorruptFileError, match="not the one of fit"):
        fitted.transform(TEXTS)


@pytest.mark.parametrize("bad, message", [
    ({"embed_dim": 33}, "embed_dim=33 is larger than the width of the model .*: 32"),
    ({"embed_dim": 0}, "embed_dim"),
    ({"embed_dim": True}, "embed_dim"),
    ({"pooling": "sum"}, "pooling"),
    ({"batch_size": 0}, "batch_size"),
    ({"max_length": 65}, "max_length=65 is more than the 64 tokens"),
    ({"precision": "int4"}, "precision"),
    ({"knowledge_cutoff": "soon"}, "knowledge_cutoff='soon' cannot be read"),
    ({"model_name": 5}, "model_name"),
])
def test_parameters_are_refused(bert, bad, message):
    with pytest.raises(ValueError, match=message):
        encoder(bert).set_params(**bad).fit(TEXTS)


def test_a_model_that_is_not_here(tmp_path):
    for name in (
        "bert-base-chinese",
        "finbert",
        "somebody/some-model",
        str(tmp_path / "nowhere"),
        "not a name!",
    ):
        with pytest.raises(
            SktrainError, match="not on this machine.*hub's cache.*hf download"
        ) as error:
            PretrainedNewsEncoder(name, revision="1234").fit(TEXTS)
        assert name in str(error.value)
    with pytest.raises(SktrainError, match="ProsusAI/finbert"):
        PretrainedNewsEncoder("finbert").fit(TEXTS)


def test_a_model_in_the_hub_cache_is_found(make_bert, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    home = tmp_path / "models--ProsusAI--finbert"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("c0ffee")
    shutil.copytree(make_bert(), home / "snapshots" / "c0ffee")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    fitted = encoder("finbert").fit(TEXTS)
    assert fitted.revision_ == "c0ffee"
    assert fitted.knowledge_overlap(["2019-01-01", "2022-01-01"]) == 0.5
    assert fitted.transform(TEXTS).shape == (5, 32)


def spoil(folder, tmp_path, **changes):
    copy = tmp_path / "spoiled"
    shutil.copytree(folder, copy)
    for name, content in changes.items():
        path = copy / name.replace("__", ".")
        if content is None:
            path.unlink()
        elif isinstance(content, dict):
            path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
        else:
            path.write_text(content)
    return copy


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"config__json": None}, "no config.json"),
        ({"config__json": "{"}, "cannot be read"),
        ({"config__json": "[]"}, "JSON object"),
        (
            {"config__json": {"auto_map": {"AutoModel": "modeling.Evil"}}},
            "code from its own folder.*never run",
        ),
        (
            {"tokenizer_config__json": {"auto_map": {"AutoTokenizer": ["x.Evil", None]}}},
            "code from its own folder",
        ),
        ({"config__json": {"model_type": "never-heard-of"}}, "cannot be loaded"),
        ({"config__json": {"is_encoder_decoder": True}}, "decoder"),
        ({"config__json": {"hidden_size": None}}, "how wide"),
        ({"model__safetensors": None}, "no weights"),
        ({"model__safetensors": "garbage"}, "cannot be loaded"),
        ({"config__json": {"num_hidden_layers": 3}}, "lack 16 of the parameters.*random"),
        ({"config__json": {"intermediate_size": 128}}, "cannot be loaded"),
        ({"vocab__txt": None, "tokenizer__json": None}, "no tokenizer"),
    ],
)
def test_spoiled_folders_are_refused(bert, tmp_path, changes, message):
    folder = spoil(bert, tmp_path, **changes)
    (folder / "modeling.py").write_text(
        f"open({str(tmp_path / 'marker')!r}, 'w')\nclass Evil: pass\n"
    )
    with pytest.raises(SktrainError, match=message) as error:
        encoder(folder).fit(TEXTS)
    assert "spoiled" in str(error.value)
    assert not (tmp_path / "marker").exists()


def test_a_device_that_is_not_here_is_said(bert):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA here")
    expected = encoder(bert).fit_transform(TEXTS)
    with pytest.warns(SktrainWarning, match="no CUDA"):
        assert np.array_equal(
            encoder(bert).encode_articles(TEXTS, batch_size=16, device="cuda"), expected
        )


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps:0"])
def test_what_is_no_device_is_refused_in_one_sentence(bert, device):
    with pytest.raises(SktrainError, match="device") as error:
        encoder(bert, device=device).fit(TEXTS)
    assert device in str(error.value)


ODD = [
    "",
    " ",
    "[SEP] profit [MASK]",
    "利润 rises\u0000\u200b 😀",
    "bank\n\tfalls",
    "xyzzy" * 60,
    "up " * 200,
]


@pytest.mark.parametrize("which", ["bert", "minilm"])
def test_tokens_are_those_of_transformers(which, request):
    """Asked past transformers or through it, cut or not, and laid out in batches."""
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(which))
    texts = [*TEXTS, *ODD]
    through = type("Slow", (), {"__call__": lambda self, *a, **k: tokenizer(*a, **k)})()
    through.pad_token_id = tokenizer.pad_token_id
    for length in (8, 64):
        options = {"truncation": True, "max_length": length}
        expected = tokenizer(texts, **options)["input_ids"]
        for one in (tokenizer, through):
            found = Tokens.of(one, texts, length)
            assert [part.tolist() for part in np.split(found.flat, found.starts[1:])] == expected
        rows = np.array([3, 0, len(TEXTS) + 2])
        few = tokenizer([texts[i] for i in rows], padding=True, return_tensors="np", **options)
        ids, mask = found.padded(rows)
        np.testing.assert_array_equal(ids, few["input_ids"])
        np.testing.assert_array_equal(mask, few["attention_mask"] == 1)


def test_the_next_thousand_is_tokenised_while_one_is_encoded():
    begun = {part: Event() for part in "abc"}

    def work(part):
        begun[part].set()
        return part * 2

    for part, done in _one_ahead(work, "abc"):
        following = chr(ord(part) + 1)
        assert done == part * 2
        assert following == "d" or begun[following].wait(30)

    with pytest.raises(ZeroDivisionError):
        list(_one_ahead(lambda part: 1 / part, [1, 0, 2]))


def test_parts_and_batches_change_no_vector(bert, monkeypatch):
    texts = [f"{'bank ' * (i % 7)}{'profit' if i % 2 else 'loss'} {i}" for i in range(50)]
    expected = encoder(bert).fit_transform(texts)
    clear_memory()
    monkeypatch.setattr(_inference, "_TOKENISED_AT_ONCE", 9)
    found = encoder(bert, batch_size=1, max_length=64).fit_transform(texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_too_large_for_the_card_is_halved(bert, monkeypatch):
    torch = pytest.importorskip("torch")
    expected, real, sizes = encoder(bert).fit_transform(TEXTS), _inference.hidden_states, []

    def small_card(model, ids, mask):
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return real(model, ids, mask)

    monkeypatch.setattr(_inference, "hidden_states", small_card)
    clear_memory()
    np.testing.assert_allclose(encoder(bert).fit_transform(TEXTS), expected, atol=1e-5)
    assert max(sizes) > 2
    monkeypatch.setattr(_inference, "hidden_states", _out_of_memory)
    clear_memory()
    with pytest.raises(torch.OutOfMemoryError):  # not even for one text
        encoder(bert).fit_transform(TEXTS)


def _out_of_memory(model, ids, mask):
    import torch

    raise torch.OutOfMemoryError("out of memory")


@pytest.mark.cuda
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_card_gives_the_vectors_of_the_cpu(bert, pooling, monkeypatch):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA here")
    texts = [f"{text} {i}" for i in range(40) for text in TEXTS]
    monkeypatch.setattr(_inference, "_TOKENISED_AT_ONCE", 33)  # parts follow each other closely
    expected = encoder(bert, pooling=pooling).fit_transform(texts)
    for device in ("cuda", "auto"):
        clear_memory()
        card = encoder(bert, pooling=pooling, device=device).fit(texts)
        np.testing.assert_allclose(card.transform(texts), expected, atol=1e-5)
        clear_memory()
        np.testing.assert_allclose(card.transform(texts[:1]), expected[:1], atol=1e-5)


def test_bfloat16_is_close(bert):
    exact = encoder(bert).fit_transform(TEXTS)
    rough = encoder(bert, precision="bfloat16").fit_transform(TEXTS)
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() > 0.999
    assert not np.array_equal(exact, rough)


def test_knowledge_overlap_counts_times_before_the_cutoff(bert):
    fitted = encoder(bert, knowledge_cutoff="2020-01-03")
    times = pd.date_range("2020-01-01", periods=4)
    assert fitted.knowledge_overlap(times) == 0.5
    assert fitted.knowledge_overlap(pd.Series(1, times)) == 0.5
    assert fitted.knowledge_overlap(times.tz_localize("UTC")) == 0.5
    panel = pd.DataFrame(
        {"close": 1.0}, pd.MultiIndex.from_product([["A", "B"], times], names=["symbol", "time"])
    )
    assert fitted.knowledge_overlap(panel) == 0.5
    assert np.isnan(encoder(bert).knowledge_overlap(times))
    assert PretrainedNewsEncoder().knowledge_overlap(times) == 0.0
    with pytest.raises(SktrainError, match="times"):
        fitted.knowledge_overlap(["soon"])


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_the_callers_random_state_is_left_alone(bert):
    import torch

    torch.manual_seed(5)
    state, numpy_state = torch.get_rng_state(), np.random.mtrand._rand.get_state()[1].copy()
    encoder(bert, freeze_encoder=False, fine_tune_layers=1, fine_tune_epochs=1, random_state=0).fit(
        LABELLED, CLASSES
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.mtrand._rand.get_state()[1], numpy_state)


_words = np.random.default_rng(0).choice(
    ["bank", "market", "plant", "news", "profit"], size=(80, 3)
)
CLASSES = np.random.default_rng(1).integers(0, 2, 80)
LABELLED = [" ".join(words) + (" rises" if c else " falls") for words, c in zip(_words, CLASSES)]


@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_fine_tuning_learns_the_classes_and_travels(bert):
    base = encoder(bert).fit(LABELLED)
    tuned = encoder(
        bert, freeze_encoder=False, fine_tune_epochs=8, learning_rate=1e-3, random_state=0
    ).fit(LABELLED, CLASSES)
    losses = [step["valid_loss"] for step in tuned.history_]
    assert min(losses) < 0.5 * losses[0]
    assert all("encoder.layer." in name for name in tuned.tuned_)
    assert tuned.fingerprint_ != base.fingerprint_
    assert not np.allclose(tuned.transform(LABELLED), base.transform(LABELLED))
    copy = pickle.loads(pickle.dumps(tuned))
    clear_memory()
    np.testing.assert_allclose(copy.transform(LABELLED), tuned.transform(LABELLED), atol=1e-6)
    again = clone(tuned).fit(LABELLED, CLASSES)
    assert again.fingerprint_ == tuned.fingerprint_
    again.set_params(freeze_encoder=True).fit(LABELLED)
    assert again.fingerprint_ == base.fingerprint_


def test_fine_tuning_holds_out_the_last_block_and_purges_it():
    from sktrain.news._finetune import last_block

    y = pd.Series(np.zeros(20, dtype=int))
    y.attrs["label_horizon"] = 3
    train, valid = last_block(pd.DataFrame(index=range(20)), y, None, 0.25)
    assert np.flatnonzero(valid).tolist() == [15, 16, 17, 18, 19]
    # rows 12, 13, 14 are known at 15 or later
    assert np.flatnonzero(train).tolist() == list(range(12))
    ends = pd.date_range("2024-01-01", periods=20) + pd.Timedelta("1D")
    train, _ = last_block(
        pd.DataFrame(index=pd.date_range("2024-01-01", periods=20)), y, ends, 0.25
    )
    assert np.flatnonzero(train).tolist() == list(range(14))


@pytest.mark.parametrize("texts, y, message", [
    (LABELLED, None, "pass a class for every text"),
    (LABELLED, CLASSES[:5], "80 texts but 5 labels"),
    (LABELLED, np.zeros(80, dtype=int), "two classes"),
    (LABELLED, np.linspace(0, 1, 80), "continuous"),
])
@pytest.mark.filterwarnings("ignore::sktrain.exceptions.UnknownHorizonWarning")
def test_fine_tuning_refuses(bert, texts, y, message):
    with pytest.raises(ValueError, match=message):
        encoder(bert, freeze_encoder=False).fit(texts, y)
