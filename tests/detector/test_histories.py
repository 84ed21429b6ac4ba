"""Random histories: their text, their distribution, the crops that they give, and training with them."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from scipy import stats

import mozcodec
from detector.conditions import parse as parse_condition
from detector.config import HistoriesConfig, Params, TrainConfig
from detector.data.index import read_index, write_index
from detector.data.png import decode_png
from detector.data.shards import ShardReader
from detector.errors import ConfigError, DataError
from detector.histories import canonical, parse
from detector.loading.histories import Histories, LosslessCrops
from detector.loading.loader import Loader
from detector.training.trainer import train

CONFIG = TrainConfig(8, 8, eval_every=8, log_every=4, lr=5e-3, threads=1, conditions=("raw",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raw", "raw"),
        (77, "77"),
        ("moz:77", "77"),
        ("5..95", "5..95"),
        (" moz:5..95/4:2:0   x 18 ", "moz:5..95/4:2:0 x18"),
        ("turbo:10 x2.50", "turbo:10 x2.5"),
        ("resize:0.5..0.75>moz:30..90 x100", "resize:0.50..0.75>moz:30..90 x100"),
        ("raw x1", "raw"),
    ],
)
def test_a_history_has_a_canonical_form(text: str | int, expected: str) -> None:
    assert canonical(text) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("moz:95..5", "the range 95..5 must go from a lower to a higher number"),
        ("moz:5..5", "the range 5..5 must go"),
        ("turbo:5..101", "Q must be 1..100, got 101"),
        ("moz:0..95", "Q must be 1..100, got 0"),
        ("moz:5..95 x0", "its weight is 0; leave it out"),
        ("moz:5..95 18", "such as moz:5..95/4:2:0 x18"),
        ("resize:1.0..3.0>resize:1.0..2.0", "6 times its original size"),
        (">".join(["webp:1..2"] * 9), "at most 8 ranges, got 9"),
        ("", "a condition is text"),
        (True, "a condition is text"),
    ],
)
def test_a_bad_history_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        parse(text)


def test_a_range_reaches_both_ends_and_every_value_between() -> None:
    history = parse("resize:0.50..0.52>moz:7..9")
    seen = {str(history.draw([a, b])) for a in np.arange(0, 1, 0.05) for b in np.arange(0, 1, 0.05)}
    assert seen == {f"resize:{a}>moz:{b}" for a in ("0.5", "0.51", "0.52") for b in (7, 8, 9)}


@pytest.fixture(scope="module")
def lossless(packed_crops: dict[str, Path]) -> LosslessCrops:
    faces = [face for face in read_index(packed_crops["faces"]) if face.split == "train"]
    return LosslessCrops(ShardReader(packed_crops["faces"]), faces)


def test_the_default_histories_have_the_written_distribution(lossless: LosslessCrops) -> None:
    """10 % raw; else mozjpeg or libjpeg-turbo, 4:2:0 to 4:2:2 to 4:4:4 as 2:1:1, qualities 5..95 alike."""
    histories = Histories(HistoriesConfig(share=0.6), 3, lossless)
    ids = np.arange(64)
    drawn = [str(c) if c else None for step in range(500) for c in histories.drawn(step, ids)]
    n = len(drawn)
    assert abs(drawn.count(None) / n - 0.4) < 4 * (0.4 * 0.6 / n) ** 0.5
    made = [label for label in drawn if label]
    parts = [label.split("/", 1) for label in made if label != "raw"]
    kinds = Counter((step.split(":")[0], subsampling) for step, subsampling in parts)
    expected = {"raw": 0.1} | {
        (encoder, subsampling): 0.9 / 2 * share
        for encoder in ("moz", "turbo")
        for subsampling, share in (("4:2:0", 0.5), ("4:2:2", 0.25), ("4:4:4", 0.25))
    }
    counts = {"raw": made.count("raw"), **kinds}
    assert counts.keys() == expected.keys()
    test = stats.chisquare([counts[k] for k in expected], [len(made) * p for p in expected.values()])
    assert test.pvalue > 1e-4
    qualities = Counter(int(step.split(":")[1]) for step, _ in parts)
    assert sorted(qualities) == list(range(5, 96))
    assert stats.chisquare(list(qualities.values())).pvalue > 1e-4
    # the draws of a crop at one step and the next, and of two crops, are independent
    again = [str(c) if c else None for step in range(1, 501) for c in histories.drawn(step, ids)]
    assert sum(a == b for a, b in zip(drawn, again, strict=True)) / n < 0.19  # (.4^2 = .16) + (.06^2) + ...


def test_crops_are_made_of_the_lossless_ones_and_the_others_read(
    packed_crops: dict[str, Path], lossless: LosslessCrops
) -> None:
    config = HistoriesConfig(0.5, ("raw", "moz:20..30 x2", "turbo:10"))
    reader = ShardReader(packed_crops["compressed"])
    faces = [face for face in read_index(packed_crops["compressed"]) if face.split == "train"]
    ids = np.arange(40)
    batches = []
    for threads in (1, 3):
        histories = Histories(config, 1, lossless, threads)
        (batch,) = Loader(reader, faces, threads=threads, make=histories.make).batches([(7, ids)])
        batches.append(batch.images.numpy().copy())
    assert np.array_equal(*batches)
    histories = Histories(config, 1, lossless)
    conditions = histories.drawn(7, ids)
    kinds = Counter(str(c).split(":")[0] if c else None for c in conditions)
    assert kinds.keys() == {None, "raw", "turbo", *(str(q) for q in range(20, 31) if str(q) in kinds)}
    for i, condition in enumerate(conditions):
        png = decode_png(lossless.reader.read(lossless.faces[i]))
        expected = condition.apply(png) if condition else mozcodec.decode(reader.read(faces[i]))
        assert np.array_equal(batches[0][i], expected), i
    assert [str(c) for c in histories.drawn(7, ids[10:13])] == [str(c) for c in conditions[10:13]]
    assert [str(c) for c in Histories(config, 2, lossless).drawn(7, ids)] != [str(c) for c in conditions]


def test_the_cache_of_lossless_crops_has_a_limit_and_changes_nothing(lossless: LosslessCrops) -> None:
    size = 32 * 32 * 3
    small = LosslessCrops(lossless.reader, lossless.faces, 3 * size + 1)
    for i in (0, 1, 2, 3, 0, 3):
        assert np.array_equal(small[i], decode_png(lossless.reader.read(lossless.faces[i])))
    assert sorted(small.kept) == [0, 1, 2]


def run(packed: dict[str, Path], folder: Path, name: str, threads: int = 1, **changes) -> Path:
    params = Params(train=dataclasses.replace(CONFIG, **changes))
    train(
        params, packed["compressed"], folder / name, folder / f"{name}.csv", folder / "unfinished",
        loader_threads=threads, lossless=packed["faces"],
    )  # fmt: skip
    return folder / name


def weights(out: Path) -> list[float]:
    return [value for _, tensor in sorted(load_file(out / "weights.safetensors").items()) for value in tensor.flatten()]


def test_none_is_the_training_on_the_compressed_crops_alone(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    none = weights(run(packed_crops, tmp_path, "none", histories=None))
    assert weights(run(packed_crops, tmp_path, "zero", histories=HistoriesConfig(share=0))) == none
    some = run(packed_crops, tmp_path, "some")
    assert weights(some) != none
    assert "| random histories | 90 % of the crops, made at every step" in (some / "model_card.md").read_text()
    assert "| random histories | none: " in (tmp_path / "none" / "model_card.md").read_text()
    more = run(packed_crops, tmp_path, "threads", threads=3)
    assert (more / "weights.safetensors").read_bytes() == (some / "weights.safetensors").read_bytes()


def test_the_training_quality_matters_with_random_histories(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    """`dvc exp run -S quality=10` is another training, and equal to it where every crop has a random history."""
    ten = tmp_path / "ten"
    shutil.copytree(packed_crops["faces"], ten)
    from detector.config import CompressConfig
    from detector.data.compress import compress_faces

    (ten / "summary.json").write_text(
        '{"dataset": {"name": "drawn", "synthetic": true, "note": "-"}, "parameters": {}, "identities": {}, '
        '"videos": {}, "faces": {}}'
    )
    compress_faces(ten, tmp_path / "compressed", 10, CompressConfig(), executor="serial")
    other = {"faces": packed_crops["faces"], "compressed": tmp_path / "compressed"}
    found = {
        (name, share): weights(run(packed, tmp_path, f"{name}-{share}", histories=HistoriesConfig(share)))
        for name, packed in (("77", packed_crops), ("10", other))
        for share in (0.75, 1.0)
    }
    assert found["77", 0.75] != found["10", 0.75]
    assert found["77", 1.0] == found["10", 1.0]


def test_histories_without_lossless_crops_say_the_two_ways_out(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"with --faces, or set train\.histories: none"):
        train(Params(train=CONFIG), packed_crops["compressed"], tmp_path / "a", tmp_path / "a.csv", tmp_path / "un")


def test_lossless_crops_of_other_faces_are_refused(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "faces"
    shutil.copytree(packed_crops["faces"], other)
    write_index(other / "index.csv", [f for f in read_index(other) if f.split != "train" or f.frame])
    with pytest.raises(DataError, match=r"faces/index\.csv: its training crops are not those of the compressed"):
        run({**packed_crops, "faces": other}, tmp_path, "a")


def test_damaged_lossless_crops_are_named(packed_crops: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "faces"
    shutil.copytree(packed_crops["faces"], other)
    damaged = [face for face in read_index(other) if face.split == "train"][5:8:2]      # more than 1 % of 112
    for face in damaged:
        with (other / face.shard).open("r+b") as file:
            file.seek(face.offset + face.size // 2)
            file.write(b"\0\0\0\0")
    with pytest.raises(DataError, match=f"{damaged[0].shard}: {damaged[0].key} is damaged: .*2 of 112 crops"):
        run({**packed_crops, "faces": other}, tmp_path, "a", steps=40)


def test_a_history_is_a_condition_that_scoring_accepts() -> None:
    assert parse("turbo:10").draw([]) == parse_condition("turbo:10")
