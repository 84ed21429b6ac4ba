"""Trains and scores every model for a few steps, and prints the SHA-256 of weights and scores by model.

`test_arithmetic` runs it natively and under emulated processors: ``python pinned.py FACES COMPRESSED OUT MODEL...``
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from detector.arithmetic import arithmetic, pin, set_threads
from detector.conditions import parse_all
from detector.config import MultiAttentionConfig, Params, TrainConfig
from detector.data.files import sha256
from detector.system import let_idle_threads_sleep, pin_numpy

RECIPE = TrainConfig(steps=3, batch_size=8, eval_every=3, log_every=1, conditions=("raw", "10"))
SMALL = dataclasses.replace(RECIPE, multi_attention=MultiAttentionConfig(backbone="efficientnet_b0"))


def main(faces: str, compressed: str, out: str, *models: str) -> None:
    let_idle_threads_sleep()
    pin_numpy()
    pin(RECIPE)
    from detector.score import score
    from detector.training.trainer import train

    found: dict[str, object] = {}
    for model in models:
        folder = Path(out) / model
        params = Params(model=model, train=SMALL if model == "multi_attention" else RECIPE)
        train(params, Path(compressed), folder, folder / "h.csv", folder / "un", lossless=Path(faces))
        set_threads(RECIPE)
        score(Path(faces), folder, folder / "scores.csv", parse_all(["raw", "turbo:15"]))
        found[model] = {name: sha256(folder / name) for name in ("weights.safetensors", "scores.csv", "h.csv")}
    print(json.dumps({"arithmetic": dataclasses.asdict(arithmetic(RECIPE)), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
