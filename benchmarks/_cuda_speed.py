"""How fast the nets train and predict on a card, beside hand-written loops on the same card.

Both run with the same settings of cuDNN (deterministic, no TF32), which is how the nets work; the
loop with torch's own settings is measured too and shown, without a bound.
"""

import contextlib
import statistics
import time

from bench_nets_throughput import focal
import numpy as np
import torch

import sktrain
from sktrain import SlidingWindow
from sktrain.nets._amp import choose_precision, work_of
from sktrain.nets._exact import exact_on

SIZES = {64: (16_384, 8_192), 512: (65_536, 16_384), 4096: (131_072, 32_768)}
"""Batch: rows for the MLP (30 features), and for the others (60 steps of 16 features)."""
FASTER = {64: 5.0, 512: 2.5, 4096: 1.1}
EPOCHS = 4
WINDOWS, ROW_CALLS = 200_000, 50


def synchronize(device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def rows_of(n, steps, features):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, steps, features)).astype(np.float32), rng.integers(0, 3, n)


def careful_loop(Net, X, y, batch, device, exact=True):
    """Seconds of an epoch of a careful hand-written loop whose rows lie on the device."""
    torch.manual_seed(0)
    X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    module = Net._network(X.shape[2], X.shape[1], 3).to(device).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    times = []
    with exact_on(torch.device(device)) if exact else contextlib.nullcontext():
        for _ in range(EPOCHS):
            synchronize(device)
            began, total = time.perf_counter(), 0.0
            for rows in torch.randperm(len(X), device=device).split(batch):
                optimizer.zero_grad()
                loss = focal(module(X[rows]), y[rows])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
                optimizer.step()
                total += loss.item()
            synchronize(device)
            times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def ours(Net, X, y, batch, device, precision=False, epochs=EPOCHS, **options):
    """Seconds of an epoch, and the net; the first epoch, which captures the step, is left out."""
    options = {"train_split": None, "random_state": 0, "mixed_precision": precision, **options}
    net = Net(max_epochs=epochs, batch_size=batch, device=device, **options).fit(X, y)
    return statistics.median(net.history[1:, "dur"]), net


def training_speed(checks, name, batch):
    Net = getattr(sktrain, name)
    n = SIZES[batch][name != "MLPNetClassifier"] if not checks.small else 4 * min(batch, 128)
    X, y = rows_of(n, *((1, 30) if name == "MLPNetClassifier" else (60, 16)))
    with checks.check(f"{name}: batch {batch}, of a careful loop") as figures:
        if figures is None:
            return
        mine, net = ours(Net, X, y, batch, checks.device)
        loop = careful_loop(Net, X, y, batch, checks.device)
        figures.update(ratio=loop / mine, bound=FASTER[batch], rows_per_second=n / mine)
        figures["path"] = net.training_path_
        if batch > 64 and not checks.small:
            usual = careful_loop(Net, X, y, batch, checks.device, exact=False)
            figures["ratio_to_torch_settings"] = usual / mine
        if not checks.small:
            assert figures["ratio"] >= FASTER[batch], f"below {FASTER[batch]}"


def prediction_speed(checks, name):
    """200,000 windows against a loop that keeps its rows on the card, and one against the
    module."""
    Net, device = getattr(sktrain, name), checks.device
    n = WINDOWS if not checks.small else 4_000
    steps = np.random.default_rng(0).normal(size=(n, 16)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 3, n)
    windows = SlidingWindow(lookback=60).fit(steps).transform(steps)
    net = Net(max_epochs=1, batch_size=1024, device=device, train_split=None, random_state=0)
    net.fit(windows[:4096], y[:4096])
    module, there = net.module_.eval(), torch.from_numpy(steps).to(device)
    back = torch.arange(-59, 1, device=device)

    def loop():
        scores = [
            torch.softmax(module(there[(ends[:, None] + back).clamp_min(0)]), 1)
            for ends in torch.arange(n, device=device).split(8192)
        ]
        return torch.cat(scores).cpu()

    one = windows[100:101]
    row = there[None, 41:101].contiguous()
    with checks.check(f"{name}: predicts {n} windows, of a loop on the card") as figures:
        if figures is None:
            return
        with torch.inference_mode(), exact_on(torch.device(device)):
            by_hand = _seconds(loop, 5, device)
        mine = _seconds(lambda: net.predict_proba(windows), 5, device)
        figures.update(ratio=mine / by_hand, bound=1.3, seconds_ours=mine, seconds_loop=by_hand)
        if not checks.small:
            assert figures["ratio"] <= 1.3, "above 1.3"
    with checks.check(f"{name}: predicts one row, of the bare module") as figures:
        if figures is None:
            return
        array = np.ascontiguousarray(np.asarray(row.cpu()))
        with torch.inference_mode():
            bare = _seconds(lambda: torch.softmax(module(row), 1).cpu(), ROW_CALLS, device)
        mine = _seconds(lambda: net.predict_proba(array), ROW_CALLS, device)
        lazy = _seconds(lambda: net.predict_proba(one), ROW_CALLS, device)
        figures.update(
            ratio=mine / bare, bound=1.5, lazy_window=lazy / bare, microseconds=mine * 1e6
        )
        if not checks.small:
            assert figures["ratio"] <= 1.5, "above 1.5"


def _seconds(call, times, device):
    found = []
    call()
    for _ in range(times):
        synchronize(device)
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def precision_speed(checks):
    """bfloat16 against float32, by the multiplications of a step: what "auto" goes by."""
    jobs = [("MLPNetClassifier", 1, (64, 1024, 4096)), ("GRUClassifier", 60, (32, 256, 1024))]
    jobs += [("TransformerClassifier", 60, (32, 256)), ("TCNClassifier", 60, (32, 256))]
    for name, steps, widths in jobs:
        for width in widths:
            for batch in (512, 4096):
                label = f"{name}: bfloat16, {width} units, batch {batch}, of float32"
                if batch > 512 and width > 256 and steps > 1:
                    continue
                with checks.check(label) as figures:
                    if figures is None:
                        continue
                    if checks.small:
                        figures.update(status="skipped", reason="for cards")
                        continue
                    X, y = rows_of(2 * batch, steps, 30 if steps == 1 else 16)
                    options = {"module__hidden_size": width, "epochs": 12}
                    Net = getattr(sktrain, name)
                    single, net = ours(Net, X, y, batch, checks.device, **options)
                    half, _ = ours(Net, X, y, batch, checks.device, "bfloat16", **options)
                    work = work_of(net.module_, steps, batch)
                    figures.update(speedup=single / half, work=float(work), seconds=single / 2)
                    auto, _ = choose_precision("auto", checks.device, batch, work)
                    figures["auto"] = "float32" if auto is None else "bfloat16"
                    assert auto is None or single >= half, "auto chooses what is slower"
