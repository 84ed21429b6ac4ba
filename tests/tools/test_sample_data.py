"""The committed sample videos (``data.dvc``): complete, made by this generator, and without shortcuts."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from detector.schema import read_json
from tools.sample import clips, dataset
from tools.sample.forgeries import METHODS
from tools.sample.splits import split_pairs
from tools.sample.writer import read_video
from tools.scripts import load

ROOT = Path(__file__).resolve().parents[2]
COMPRESSIONS = ("c23", "c40")
SETTINGS = clips.Settings()
PAIR = (12, 13)  # regenerated; any would do


leaks = load(Path(__file__).with_name("leaks.py"))


@pytest.fixture(scope="module")
def data() -> Path:
    root = ROOT / "data"
    if not (root / dataset.DESCRIPTION).exists():
        pytest.fail(f"the sample videos are not in {root}: run `dvc pull data.dvc`")
    return root


def test_every_clip_is_there(data):
    for compression in COMPRESSIONS:
        found = leaks.clips(data, compression)
        assert len(found) == 76 * 5
        assert {clip.path.stem for clip in found} == {
            *(f"{t:03d}" for t in range(76)),
            *(f"{t:03d}_{t ^ 1:03d}" for t in range(76)),
        }
    for method in METHODS:
        assert len(list((data / "manipulated_sequences" / method / "masks/videos").glob("*.mp4"))) == 76
    assert len(list(data.rglob("*.mp4"))) == 1064
    assert len([path for path in data.rglob("*") if path.is_file()]) == 1064 + 4


def test_description_is_that_of_this_generator(data):
    assert read_json(data / dataset.DESCRIPTION) == dataset.describe(SETTINGS)


def test_no_identity_is_in_two_splits(data):
    splits = {name: read_json(data / "splits" / f"{name}.json") for name in ("train", "val", "test")}
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 22, "val": 4, "test": 12}
    people = list(chain.from_iterable(chain.from_iterable(splits.values())))
    assert sorted(people) == [f"{t:03d}" for t in range(76)]
    assert all(int(a) ^ 1 == int(b) for pairs in splits.values() for a, b in pairs)
    assert splits == {name: [list(pair) for pair in pairs] for name, pairs in split_pairs(0, 38).items()}


def test_remote_in_the_repository_stays_under_10_mb(data):
    store = [path for path in (ROOT / ".dvc/store").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in store) <= 10e6
    assert sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) <= 9.6e6


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_real_and_forged_clips_have_the_same_container(data, compression):
    found = {leaks.container(clip.path) for clip in leaks.clips(data, compression)}
    assert len(found) == 1
    text = str(found)
    assert "High" in text
    assert "Lavf" not in text  # no version, no date


def test_masks_are_black_and_white_and_cover_the_face(data):
    for method in METHODS:
        for path in sorted((data / "manipulated_sequences" / method / "masks/videos").glob("*.mp4"))[::19]:
            mask = read_video(path)
            assert mask.shape == (24, 240, 320, 3)
            assert ((mask < 64) | (mask > 192)).mean() > 0.995
            assert (0.02 if method == "NeuralTextures" else 0.06) < (mask > 127).mean() < 0.20


def remake(out: Path) -> list[Path]:
    """Make the clips of one pair again in *out* and return their files, relative to it."""
    every = dataset.Selection()
    jobs: list[dataset.Source | dataset.Fake] = [dataset.Source(out, SETTINGS, every, number) for number in PAIR]
    jobs += [dataset.Fake(out, SETTINGS, every, method, *PAIR) for method in METHODS]
    for job in jobs:
        if isinstance(job, dataset.Source):
            dataset.make_source(job)
        else:
            dataset.make_fake(job)
    return [path.relative_to(out) for job in jobs for path in dataset.files(job)]


def references() -> dict[str, np.ndarray]:
    """What the clips of the pair show, before any encoder: frames (T, H, W, 3) by name of the method's folder."""
    target, source = (clips.film(SETTINGS, number).footage for number in PAIR)
    shown = {f"{PAIR[0]:03d}.mp4": target.frames, f"{PAIR[1]:03d}.mp4": source.frames}
    return shown | {m: np.stack(clips.forge(SETTINGS, m, PAIR, target, source).frames) for m in METHODS}


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    error = (a.astype(np.float64) - b)[where]
    return float(10 * np.log10(255**2 / (error**2).mean()))


def assert_same_clips(data: Path, out: Path, names: list[Path]) -> None:
    """The clips *names* in *out* are those in *data*: the same bytes, or two encodings of the same frames.

    Another kind of CPU rounds one frame sample in 100,000 otherwise, by one level. x264 then makes other decisions
    throughout the clip (1.3 levels on average at c23), so decoded frames of the two cannot agree more closely than
    that. But they are equally near to the frames before encoding, over the whole image and within the mask.
    """
    if all((out / name).read_bytes() == (data / name).read_bytes() for name in names):
        return
    shown = references()
    for name in names:
        committed, fresh = read_video(data / name), read_video(out / name)
        if "masks" in name.parts:
            assert ((committed > 127) == (fresh > 127)).mean() > 0.9999, name
            continue
        fake = name.parts[0] == "manipulated_sequences"
        reference = shown[name.parts[1] if fake else name.name]
        places = [np.ones(reference.shape[:3], bool)]
        if fake:
            places.append(read_video(data / name.parents[2] / "masks/videos" / name.name)[..., 0] > 127)
        for where in places:
            assert psnr(committed, reference, where) > psnr(fresh, reference, where) - 0.6, name
        assert np.abs(committed.astype(int) - fresh).mean() < (2.5 if "c23" in name.parts else 5), name


def test_regenerated_clips_are_the_committed_ones(data, tmp_path):
    assert_same_clips(data, tmp_path, remake(tmp_path))


@pytest.mark.trial(minutes=1)
def test_another_kind_of_cpu_makes_the_same_clips_up_to_the_encoder(data, tmp_path):
    # NumPy without AVX2 and AVX-512 stands in for another kind
    script = f"import runpy; runpy.run_path({__file__!r})['remake'](__import__('pathlib').Path({str(tmp_path)!r}))"
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=env, check=True)
    names = [path.relative_to(tmp_path) for path in tmp_path.rglob("videos/*.mp4")]
    assert len(names) == 2 * 2 + 4 * 3
    assert_same_clips(data, tmp_path, names)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_file_and_packet_sizes_separate_no_method(data, compression):
    found = leaks.table((clip, leaks.bitstream(clip.path)) for clip in leaks.clips(data, compression))
    assert leaks.shortcuts(found, over_all=0.60, per_method=0.65) == []


def test_pixels_away_from_the_face_separate_no_method(data):
    found = leaks.table((clip, leaks.pixels(clip.path)) for clip in leaks.clips(data, "c23"))
    assert leaks.shortcuts(found, over_all=0.60, per_method=0.65) == []


@pytest.mark.slow(minutes=1)
def test_pixels_away_from_the_face_separate_no_method_at_c40(data):
    found = leaks.table((clip, leaks.pixels(clip.path)) for clip in leaks.clips(data, "c40"))
    assert leaks.shortcuts(found, over_all=0.60, per_method=0.65) == []


def test_a_shortcut_would_be_found(data):
    # the same clips with 3 % smaller files for one method
    found = leaks.clips(data, "c23")
    rows = []
    for clip in found:
        size = clip.path.stat().st_size
        rows.append((clip, {"file size": [size], "planted": [size % 97 + 40.0 * (clip.method == "FaceSwap")]}))
    lines = leaks.shortcuts(leaks.table(rows), over_all=0.60, per_method=0.65)
    assert [line.split(":")[0] for line in lines if "planted" in line] != []
    assert all("FaceSwap" in line or "all" in line for line in lines)
