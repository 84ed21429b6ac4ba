"""Trains and scores a model for two steps and prints the SHA-256 of weights, scores and history.

`test_arithmetic` runs it natively and under emulated processors: ``python pinned.py FACES COMPRESSED OUT MODEL``
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from detector.arithmetic import arithmetic, pin, set_threads
from detector.conditions import parse_all
from detector.config import Params, TrainConfig
from detector.data.files import sha256
from evaluation.threads import let_idle_threads_sleep, pin_numpy

# under emulation each step takes minutes
RECIPE = TrainConfig(steps=2, batch_size=4, eval_every=2, log_every=1, conditions=("10",))


def main(faces: str, compressed: str, out: str, model: str) -> None:
    let_idle_threads_sleep()
    pin_numpy()
    pin(RECIPE)
    from detector.score import score
    from detector.training.trainer import train

    folder = Path(out)
    params = Params(model=model, train=RECIPE)
    train(params, Path(compressed), folder, folder / "h.csv", folder / "un", lossless=Path(faces))
    set_threads(RECIPE)
    score(Path(faces), folder, folder / "scores.csv", parse_all(["turbo:15"]))
    found = {name: sha256(folder / name) for name in ("weights.safetensors", "scores.csv", "h.csv")}
    print(json.dumps({"arithmetic": dataclasses.asdict(arithmetic(RECIPE)), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
