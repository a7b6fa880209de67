"""Members of a net on a card: trained together against one net, as many times."""

import time

import numpy as np
import torch

import sktrain

EPOCHS = 4
SIZES = {64: 16_384, 512: 65_536}  # batch: rows of 30 features


def members_speed(checks):
    """How much cheaper a member's training is than that of a net alone, on this device."""
    for batch, n in SIZES.items():
        n = 600 if checks.small else n
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(n, 1, 30)).astype(np.float32), rng.integers(0, 3, n)
        for count in (2,) if checks.small else (8, 64):
            with checks.check(f"MLP: {count} members, batch {batch}") as figures:
                if figures is None:
                    continue
                one, several = (_seconds(checks, k, batch, X, y) for k in (1, count))
                figures.update(seconds_alone=one, seconds_together=several)
                figures["cheaper_than_alone"] = count * one / several


def _seconds(checks, count, batch, X, y):
    options = {"max_epochs": EPOCHS, "train_split": None, "mixed_precision": False}
    net = sktrain.MLPNetClassifier(
        n_members=count, batch_size=batch, device=checks.device, random_state=0, **options
    )
    net.fit(X[: 2 * batch], y[: 2 * batch])  # kernels are loaded
    if torch.device(checks.device).type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    net.fit(X, y)
    return time.perf_counter() - began
