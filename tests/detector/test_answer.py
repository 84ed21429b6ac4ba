"""Conditions read from files, the verbal scale, probabilities, and the text for people."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

import mozcodec
from detector.answer import condition, text, verdict
from detector.answer.pages import images_in
from detector.card import Calibrated, Card
from detector.conditions import parse

LABELS = ("raw", "77", "60", "15", "10", "turbo:77", "turbo:15", "resize:0.5", "moz:60/4:4:4", "pooled")
CARD = Card("meso4", {}, 64, 64, calibration=dict.fromkeys(LABELS, Calibrated(None, None)))


@pytest.mark.parametrize(
    ("family", "quality", "expected"),
    [
        # the factors of libjpeg's scaling: 77 -> 46 %, 60 -> 80 %, 15 -> 333 %, 10 -> 500 %
        ("mozjpeg", 77, "77"),
        ("libjpeg", 77, "turbo:77"),
        ("libjpeg", 60, "turbo:77"),  # of its family, 80 / 46 = 1.7 away
        ("mozjpeg", 69, "60"),  # 62 %: 1.29 below 80, 1.35 above 46
        ("libjpeg", 12, "turbo:15"),
        ("libjpeg", 92, None),  # 16 %: 2.9 away
        ("libjpeg", 88, "turbo:77"),  # 24 %: 1.9 away
        ("libjpeg", 35, "60"),  # 143 %: 3.1 from turbo:77, 2.3 from turbo:15, 1.8 from 60
    ],
)
def test_the_condition_is_the_nearest_of_the_family(family: str, quality: int, expected: str | None) -> None:
    assert condition.nearest(family, quality, LABELS) == expected


def jpeg_by_pillow(quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def test_a_jpeg_tells_by_its_tables() -> None:
    found = condition.from_tables(jpeg_by_pillow(77), CARD)
    assert (found.label, found.source, found.found) == ("turbo:77", "tables", "libjpeg, quality 77")
    found = condition.from_tables(mozcodec.encode(data.astronaut(), 60), CARD)
    assert (found.label, found.source) == ("60", "tables")
    found = condition.from_tables(jpeg_by_pillow(98), CARD)
    assert (found.label, found.source) == ("pooled", "tables")
    assert condition.from_tables(b"\xff\xd8\xff no jpeg", CARD).source == "none"


def test_pixels_tell_the_quality_of_an_earlier_jpeg() -> None:
    images = [data.astronaut()[:256, 100:400], data.chelsea()[:240, :320], data.coffee()[:256, :320]]
    right, count = 0, 0
    for label in ("turbo:15", "turbo:40", "turbo:77", "turbo:90", "moz:15", "moz:50", "moz:77"):
        for image in images:
            step = parse(label).steps[0]
            seen = condition.estimated(parse(label).apply(np.ascontiguousarray(image)), CARD)
            family = {"turbo": "libjpeg", "moz": "mozjpeg"}[step.name]
            words = seen.found.removeprefix(f"{family}, quality ").partition(";")[0]
            right += words.isdigit() and abs(int(words) - int(step.values[0])) <= 2
            count += 1
    assert right >= 0.95 * count
    assert seen.accuracy is not None
    assert "95 %" in seen.accuracy


def test_pixels_without_an_earlier_jpeg_have_the_pooled_values() -> None:
    rng = np.random.default_rng(0)
    smooth = np.clip(np.cumsum(rng.normal(0, 2, (128, 128, 3)), axis=0) + 128, 0, 255).astype(np.uint8)
    for image in (smooth, smooth[:40, :40]):
        found = condition.estimated(image, CARD)
        assert (found.label, found.source, found.accuracy) == ("pooled", "none", None)


def test_videos_have_the_condition_of_the_validation() -> None:
    from dataclasses import replace

    assert condition.of_video(replace(CARD, crops={"compression": "c23"})).label == "raw"
    assert condition.of_video(replace(CARD, crops={"compression": "given"})).label == "pooled"
    assert condition.of_video(CARD).label == "pooled"


def test_the_words_are_those_of_the_enfsi_guideline() -> None:
    # ENFSI Guideline for Evaluative Reporting in Forensic Science (2015): 2, 10, 100, 1000, 10 000, 1 000 000
    strengths = [verdict.words(ratio).partition(" for")[0] for ratio in (2, 9.9, 10, 100, 1e3, 1e4, 9e5, 1e6)]
    assert strengths == [
        "weak support", "weak support", "moderate support", "moderately strong support", "strong support",
        "very strong support", "very strong support", "extremely strong support",
    ]  # fmt: skip
    assert verdict.words(1.9) == verdict.words(1 / 1.9) == "no support for either proposition"
    assert verdict.words(5).endswith("that the face is forged, rather than that the face is real")
    assert verdict.words(1 / 5).endswith("that the face is real, rather than that the face is forged")


def test_probabilities_follow_from_ratio_and_prior_worked_by_hand() -> None:
    # odds 1/9 times 3 = 1/3
    assert verdict.posterior(3.0, 0.1) == pytest.approx(0.25)
    assert verdict.posterior(1.0, 0.3) == pytest.approx(0.3)


def test_a_file_is_fake_if_a_face_is_and_real_if_all_are() -> None:
    real, fake, unknown = ("real", "a"), ("fake", "b"), ("inconclusive", "c")
    assert verdict.of_file([real, unknown, fake]) == ("fake", "person 3: b")
    assert verdict.of_file([real, unknown]) == ("inconclusive", "person 2: c")
    assert verdict.of_file([real, real]) == ("real", "a")
    assert verdict.of_file([fake]) == fake


def test_numbers_read_as_people_write_them() -> None:
    assert [text.number(value) for value in (4.68, 1234.0, 1.0, 0.5, 0.0046)] == ["4.7", "1,200", "1", "1/2", "1/220"]
    assert [text.percent(value) for value in (0.5, 0.9999, 0.0001)] == ["50.0 %", "above 99.9 %", "below 0.1 %"]


@pytest.mark.parametrize(("suffix", "options"), [
    ("gif", {}), ("png", {}), ("webp", {"lossless": True}), ("tiff", {}), ("tiff", {"compression": "tiff_lzw"}),
])  # fmt: skip
@pytest.mark.parametrize("count", [1, 2, 5])
def test_frames_and_pages_are_counted(suffix: str, options: dict, count: int) -> None:
    """As many as Pillow writes, here each another picture; a damaged file gives what can be read, at least one."""
    first, *further = (Image.fromarray(np.roll(data.astronaut()[:96, :96], 7 * i, axis=1)) for i in range(count))
    buffer = io.BytesIO()
    first.save(buffer, suffix, save_all=True, append_images=further, **options)
    file = buffer.getvalue()
    assert images_in(file) == count
    assert all(1 <= images_in(file[:end]) <= count for end in range(0, len(file), 97))


def test_a_jpeg_is_one_image_and_directories_that_loop_end() -> None:
    assert images_in(jpeg_by_pillow(75)) == images_in(b"") == 1
    assert images_in(b"II*\0\x08\0\0\0\0\0" + (8).to_bytes(4, "little")) == 1
