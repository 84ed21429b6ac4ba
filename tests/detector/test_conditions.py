"""Conditions: the text form and what each step does to an image.

Expected pixels and bytes come from mozcodec called directly, Pillow (its own libjpeg-turbo and libwebp), NumPy and
values worked by hand.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import mozcodec
from detector.conditions import (
    MAX_STEPS,
    OPTIONS,
    RAW,
    SIZES,
    STEPS,
    Condition,
    Kind,
    Step,
    Value,
    canonical,
    encoders,
    parse,
    parse_all,
    resized,
)
from detector.errors import ConfigError, DetectorError
from evaluation.values import shown

ROOT = Path(__file__).resolve().parents[2]
# one condition for every step, and chains
EXAMPLES = (
    "raw",
    "77",
    "moz:77/4:4:4/ms-ssim",
    "turbo:90",
    "turbo:10/4:2:0/baseline",
    "resize:0.5",
    "resize:1.7",
    "webp:50",
    "scaled:16/77",
    "scaled:5/60/4:2:0",
    "smartscale:6/77",
    "turbo:90>resize:0.5>moz:60",
    "resize:0.3333>webp:20>resize:2",
    *(str(Condition((Step(name, tuple(value.low for value in kind.values), ()),))) for name, kind in STEPS.items()),
)


@pytest.fixture(scope="module")
def image(face_photograph: np.ndarray) -> np.ndarray:
    """Return a part of the photograph with sides that no block size divides."""
    return np.ascontiguousarray(face_photograph[60:157, 100:231])  # (97, 131, 3)


def decimal(value: Value) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(value.low), Decimal(value.high), places=value.places)


@st.composite
def steps(draw: st.DrawFn, name: str) -> Step:
    kind = STEPS[name]
    values = [draw(decimal(v) if v.places else st.integers(int(v.low), int(v.high))) for v in kind.values]
    options = [draw(st.none() | st.sampled_from(sorted(OPTIONS[group]))) for group in OPTIONS if group in kind.options]
    return Step(name, tuple(values), tuple(word for word in options if word is not None))


def within_sizes(condition: Condition) -> bool:
    factor, inside = Decimal(1), True
    for step in condition.steps:
        factor *= step.values[0] if step.name == "resize" else 1
        inside = inside and SIZES[0] <= factor <= SIZES[1]
    return inside


chains = st.lists(st.sampled_from(sorted(STEPS)).flatmap(steps), max_size=MAX_STEPS)
conditions = chains.map(lambda chain: Condition(tuple(chain))).filter(within_sizes)


@given(conditions)
@settings(max_examples=300, deadline=None)
def test_what_is_written_reads_back(condition: Condition) -> None:
    assert parse(str(condition)) == condition
    assert canonical(str(condition)) == str(condition)
    assert hash(parse(str(condition))) == hash(condition)


def test_the_longest_label_reads_back() -> None:
    longest = Condition((Step("smartscale", (16, 100), ("4:4:4", "hvs-psnr")),) * MAX_STEPS)
    assert parse(str(longest)) == longest


@given(conditions, st.data())
@settings(max_examples=100, deadline=None)
def test_spaces_zeros_and_the_order_of_options_do_not_count(condition: Condition, data: st.DataObject) -> None:
    written = []
    for step in condition.steps:
        values = [f"{v}00"[:6] if "." in str(v) else f"0{v}" for v in step.values]
        values = [v if Decimal(v) == number else str(number) for v, number in zip(values, step.values, strict=True)]
        written.append(f" {step.name}:" + "/".join([*values, *data.draw(st.permutations(step.options))]))
    assert canonical(" > ".join(written) or "raw ") == str(condition)


@given(st.text(max_size=30) | st.lists(st.sampled_from([*STEPS, *":>/.0123456789", "4:2:0", "raw"])).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_other_text_gives_an_error_that_names_it(text: str) -> None:
    try:
        assert canonical(canonical(text)) == canonical(text)
    except ConfigError as error:
        assert shown(text.strip()) in str(error) or shown(text) in str(error)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (77, "77"),
        ("77", "77"),
        ("moz:77", "77"),
        ("moz:077", "77"),
        ("moz:77/4:2:0", "moz:77/4:2:0"),
        ("77>webp:50", "moz:77>webp:50"),
        ("moz:5/baseline/ms-ssim/4:2:0", "moz:5/4:2:0/ms-ssim/baseline"),
        ("resize:0.50", "resize:0.5"),
        ("resize:2.0", "resize:2"),
        ("turbo:90 > resize:0.5 > 60", "turbo:90>resize:0.5>moz:60"),
        (" raw", "raw"),
    ],
)
def test_canonical_labels(label: str | int, expected: str) -> None:
    assert canonical(label) == expected


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("101", "condition '101': step 'moz:101': Q must be 1..100, got 101; write moz:Q with Q 1..100"),
        ("trubo:9", "condition 'trubo:9': unknown step 'trubo' in 'trubo:9'; did you mean turbo?"),
        ("q77", "condition 'q77': unknown step 'q77' in 'q77'; a bare number is a quality of mozjpeg"),
        ("60>webp", "condition '60>webp': step 'webp': a value is missing; write webp:Q with Q 1..100"),
        ("resize:1000", "condition 'resize:1000': step 'resize:1000': F must be 0.05..4, got 1000"),
        ("resize:0.12345", "F must be a number with at most 4 decimal places, got '0.12345'"),
        ("resize:1e-1", "F must be a number with at most 4 decimal places, got '1e-1'"),
        ("moz:77.5", "Q must be a whole number, got '77.5'"),
        ("turbo:٣", "Q must be a whole number, got '٣'"),
        ("scaled:17/77", "N must be 1..16, got 17; write scaled:N/Q with N 1..16, Q 1..100, then /option: 4:4:4"),
        ("77/4:2:0", "did you mean moz:77/4:2:0?"),
        ("77/x", "unknown option 'x'; write moz:Q with Q 1..100"),
        ("turbo:90>60/baseline", "did you mean moz:60/baseline?"),
        ("moz:77/4:2:9", "unknown option '4:2:9'; write moz:Q with Q 1..100, then /option: 4:4:4 4:2:2 4:2:0"),
        ("moz:77/gray/4:2:0", "gray and 4:2:0 are both subsampling"),
        ("turbo:77/psnr", "unknown option 'psnr'; write turbo:Q"),
        ("webp:50/4:2:0", "unknown option '4:2:0'; write webp:Q with Q 1..100"),
        ("raw>77", "condition 'raw>77': raw is a condition of its own, not a step of a chain"),
        ("77>", "condition '77>': a step is empty"),
        ("resize:3>77>resize:2", "after resize:2 the image is 6 times its original size; 0.05..4 is allowed"),
        ("resize:0.1>resize:0.1", "after resize:0.1 the image is 0.01 times its original size"),
        (">".join(["77"] * 9), "at most 8 steps, got 9"),
        ("7" * 5000, "at most 400 characters, got 5000"),
        ("", "a condition is text such as raw, 77 or turbo:90>resize:0.5>moz:60, got ''"),
        (True, "a condition is text such as raw, 77 or turbo:90>resize:0.5>moz:60, got true"),
        (77.5, "a condition is text such as raw, 77 or turbo:90>resize:0.5>moz:60, got 77.5"),
    ],
)
def test_bad_labels_say_what_is_allowed(label: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(label)
    assert message in str(error.value)


@pytest.mark.parametrize(("name", "kind"), STEPS.items(), ids=list(STEPS))
def test_every_step_has_all_that_its_users_need(name: str, kind: Kind, image: np.ndarray) -> None:
    assert kind.form == f"{name}:" + "/".join(value.letter for value in kind.values)
    assert kind.encoder in encoders()
    assert set(kind.options) <= set(OPTIONS)
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith(f"| `{kind.form}` |"))
    for group in kind.options:
        assert group in row
    encodes = set()
    for options in [(), *((word,) for group in kind.options for word in OPTIONS[group])]:
        for values in (tuple(v.low for v in kind.values), tuple(v.high for v in kind.values)):
            made = Condition((Step(name, values, options),)).make(image[:40, :30])
            assert (made.image.dtype, made.image.shape) == (np.uint8, (40, 30, 3))
            assert made.image.flags.c_contiguous
            encodes.add(made.data is not None)
    assert len(encodes) == 1  # a step writes a file whatever its values are, or never


def test_every_option_is_taken_by_a_step() -> None:
    assert set(OPTIONS) == {group for kind in STEPS.values() for group in kind.options}
    words = [word for group in OPTIONS.values() for word in group]
    assert len(words) == len(set(words))
    assert all(type(word) is str and "/" not in word and ">" not in word for word in words)


@pytest.mark.parametrize("label", EXAMPLES)
def test_conditions_are_pure_and_keep_the_size(label: str, image: np.ndarray) -> None:
    before = image.copy()
    before.flags.writeable = False
    condition = parse(label)
    made, again, mirrored = (condition.make(x) for x in (before, before.copy(), before[::-1, ::-1]))
    np.testing.assert_array_equal(made.image, again.image)
    assert made.data == again.data
    np.testing.assert_array_equal(mirrored.image, condition.apply(np.ascontiguousarray(before[::-1, ::-1])))
    np.testing.assert_array_equal(before, image)
    assert made.image.shape == image.shape


def test_raw_is_the_image_itself(image: np.ndarray) -> None:
    made = parse(RAW).make(image)
    assert made.image is image
    assert made.data is None


@pytest.mark.parametrize("quality", [1, 10, 77, 95])
def test_a_bare_quality_is_mozcodecs_default(quality: int, image: np.ndarray) -> None:
    made = parse(quality).make(image)
    assert made.data == mozcodec.encode(image, quality=quality)
    np.testing.assert_array_equal(made.image, mozcodec.decode(made.data))


def test_options_are_mozcodecs(image: np.ndarray) -> None:
    made = parse("moz:60/4:4:4/ms-ssim/baseline").make(image)
    assert made.data == mozcodec.encode(image, 60, subsampling="4:4:4", tune="ms-ssim", progressive=False)
    assert parse("turbo:90").make(image).data == mozcodec.encode(image, 90, profile="fastest")


@pytest.mark.parametrize("quality", [3, 10, 30, 77, 90, 100])
@pytest.mark.parametrize(("subsampling", "theirs"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_turbo_baseline_gives_pillows_bytes(
    quality: int, subsampling: str, theirs: int, image: np.ndarray
) -> None:
    """Pillow's wheel has a libjpeg-turbo of its own; so does OpenCV's, whose default is 4:2:0."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=theirs)
    assert parse(f"turbo:{quality}/{subsampling}/baseline").make(image).data == file.getvalue()


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_webp_decodes_to_pillows_pixels(quality: int, image: np.ndarray) -> None:
    made = parse(f"webp:{quality}").make(image)
    assert made.data is not None
    with Image.open(io.BytesIO(made.data)) as decoded:
        assert decoded.format == "WEBP"
        np.testing.assert_array_equal(made.image, np.asarray(decoded.convert("RGB")))
    assert made.data[12:16] == b"VP8 "  # lossy


def test_shrinking_by_whole_numbers_averages_squares(image: np.ndarray) -> None:
    image = image[:96, :128]
    means = image.reshape(24, 4, 32, 4, 3).mean((1, 3))
    small = resized(image, 24, 32)
    assert np.abs(small - means).max() <= 0.5 + 1e-9
    # and the condition brings it back to its size by bilinear interpolation between the squares' centres
    back = parse("resize:0.25").apply(image).astype(float)
    y, x = (np.clip((np.arange(n) + 0.5) / 4 - 0.5, 0, n // 4 - 1) for n in (96, 128))
    rows, columns = np.floor(y).astype(int), np.floor(x).astype(int)
    below, right = np.minimum(rows + 1, 23), np.minimum(columns + 1, 31)
    wy, wx = (y - rows)[:, None, None], (x - columns)[None, :, None]
    s = small.astype(float)
    top = s[rows][:, columns] * (1 - wx) + s[rows][:, right] * wx
    bottom = s[below][:, columns] * (1 - wx) + s[below][:, right] * wx
    assert np.abs(back - (top * (1 - wy) + bottom * wy)).max() <= 0.51


@pytest.mark.parametrize(
    ("label", "size"),  # of 97 x 131: 48.5 and 65.5 round up; .05 gives 4.85 and 6.55
    [("resize:0.5", (49, 66)), ("resize:0.05", (5, 7)), ("resize:4", (388, 524)), ("resize:0.25>resize:2", (48, 66))],
)
def test_sizes_round_half_up(label: str, size: tuple[int, int], image: np.ndarray) -> None:
    header = mozcodec.read_header(parse(f"{label}>77").make(image).data)
    assert (header.height, header.width) == size


def test_an_image_that_grows_along_one_side_is_interpolated() -> None:
    image = np.array([[0, 100], [0, 100]], np.uint8)[..., None].repeat(3, axis=2)
    # columns at -1/4, 1/4, 3/4, 5/4 of the distance between the two pixels, clipped; both rows are equal
    assert resized(image, 1, 4)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_no_side_becomes_empty() -> None:
    assert parse("resize:0.05>77").apply(np.zeros((3, 40, 3), np.uint8)).shape == (3, 40, 3)


@pytest.mark.parametrize("size", [1, 4, 5, 8, 12, 13, 16])
def test_scaled_comes_back_by_the_inverse_dct(size: int, image: np.ndarray) -> None:
    made = parse(f"scaled:{size}/60").make(image)
    assert made.data == mozcodec.encode_scaled(image, 60, dct_size=size)
    np.testing.assert_array_equal(made.image, mozcodec.decode(made.data, scale=size, idct="true")[:97, :131])
    # the low frequencies are all there: far closer than the mean of the image
    assert np.abs(made.image.astype(int) - image).mean() < 12


def test_smartscale_is_mozcodecs(image: np.ndarray) -> None:
    made = parse("smartscale:6/77/4:2:0").make(image)
    assert made.data == mozcodec.encode_smartscale(image, 77, block_size=6, subsampling="4:2:0")
    np.testing.assert_array_equal(made.image, mozcodec.decode(made.data))


def test_a_chain_is_its_steps_one_after_the_other(image: np.ndarray) -> None:
    first = mozcodec.decode(mozcodec.encode(image, 90, profile="fastest"))
    small = cv2.resize(first, (66, 49), interpolation=cv2.INTER_AREA)
    data = mozcodec.encode(small, 60)
    back = cv2.resize(mozcodec.decode(data), (131, 97), interpolation=cv2.INTER_LINEAR_EXACT)
    made = parse("turbo:90>resize:0.5>moz:60").make(image)
    np.testing.assert_array_equal(made.image, back)
    assert made.data == data


def test_the_bytes_are_those_of_the_last_file(image: np.ndarray) -> None:
    assert parse("turbo:90>resize:0.5").make(image).data == parse("turbo:90").make(image).data


def test_an_encoder_that_refuses_is_named_with_the_step(image: np.ndarray) -> None:
    wide = np.zeros((2, 17000, 3), np.uint8)  # WebP ends at 16383 pixels, a SmartScale stream of N = 1 at 8187
    for label, step in (("moz:60>webp:50", "webp:50"), ("smartscale:1/77", "smartscale:1/77")):
        with pytest.raises(DetectorError, match=rf"condition {label}: {step} of an image of 17000 x 2: .+"):
            parse(label).make(wide)
    for bad in (image[..., 0], image.astype(np.float32), image[..., :2]):
        with pytest.raises(ValueError, match=r"uint8 \(H, W, 3\)"):
            parse("raw").make(bad)


REPEAT = """
import hashlib, sys
import numpy as np
from detector.conditions import parse_all
rng = np.random.default_rng(0)
image = (np.add.outer(np.arange(97), np.arange(131))[..., None] + rng.integers(0, 60, (97, 131, 3))).astype(np.uint8)
print([hashlib.sha256(c.apply(image).tobytes()).hexdigest()[:12] for c in parse_all(sys.argv[1:])])
"""


def test_pixels_do_not_depend_on_the_processor() -> None:
    """The same pixels without AVX2, without OpenCV's IPP and with mozcodec's baseline code."""
    labels = [*EXAMPLES, "resize:0.77", "resize:3.1", "resize:0.125"]

    def run(**environment: str) -> str:
        command = [sys.executable, "-c", REPEAT, *labels]
        return subprocess.run(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    plain = run(OPENCV_CPU_DISABLE="AVX2,AVX,FP16,FMA3", OPENCV_IPP="disabled", MOZCODEC_CPU="baseline")
    assert run() == plain
    assert plain.count("'") == 2 * len(labels)


def test_versions_of_the_encoders_are_returned() -> None:
    found = encoders()
    assert found["mozcodec"] == mozcodec.build_info()["version"]
    assert found["mozjpeg"].startswith(str(mozcodec.build_info()["mozjpeg_version"]))
    assert found["opencv"] == cv2.__version__
    assert "encoder" in found["libwebp"]


def test_lists_are_parsed_in_order() -> None:
    assert list(map(str, parse_all(["raw", 77, "turbo:90"]))) == ["raw", "77", "turbo:90"]
