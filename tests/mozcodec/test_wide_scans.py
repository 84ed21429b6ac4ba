"""The wide scan search: never larger than mozjpeg's, the same coefficients, and the cheapest bands there are."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures

import mozcodec

PHOTOGRAPH = pictures.astronaut()
PLACES = (1, 2, 3, 5, 9, 13, 19, 22, 32, 48, 64)


def sizes_of_scans(jpeg: bytes) -> list[int]:
    """Return the bytes of each scan with its tables and header."""
    scans = mozcodec.inspect(jpeg).scans
    ends = [scan.offset + scan.size for scan in scans]
    return [end - start for start, end in itertools.pairwise([scans[0].offset, *ends])]


def coefficients(jpeg: bytes) -> list[np.ndarray]:
    return list(mozcodec.read_coefficients(jpeg).components)


def random_image(rng: np.random.Generator) -> np.ndarray:
    """Return noise, flat areas or waves of a random size, gray or RGB."""
    height, width = rng.integers(1, 100, 2)
    y, x = np.mgrid[:height, :width]
    waves = 128 + 120 * np.sin(x / rng.uniform(1, 20)) * np.cos(y / rng.uniform(1, 20))
    image = [np.full((height, width), 200.0), waves, waves + rng.normal(0, 40, (height, width))][rng.integers(3)]
    if rng.random() < 0.7:
        image = np.stack([image, image[::-1], rng.permutation(image)], -1)
    return np.clip(image, 0, 255).astype(np.uint8)


def test_random_images_are_never_larger_and_keep_their_coefficients():
    rng = np.random.default_rng(11)
    smaller = 0
    for _ in range(400):
        image, quality = random_image(rng), int(rng.integers(1, 101))
        options = {"subsampling": ("4:4:4", "4:2:0", "4:2:2")[rng.integers(3)]} if image.ndim == 3 else {}
        if rng.random() < 0.3:
            options |= {"restart_interval": int(rng.integers(1, 9))}
        narrow = mozcodec.encode(image, quality, **options)
        wide = mozcodec.encode(image, quality, optimize_scans="wide", engine="fast", **options)
        assert len(wide) <= len(narrow), (image.shape, quality, options)
        for a, b in zip(coefficients(wide), coefficients(narrow), strict=True):
            assert np.array_equal(a, b), (image.shape, quality, options)
        smaller += len(wide) < len(narrow)
    assert smaller > 10


@pytest.mark.parametrize("quality", [30, 60, 85, 95])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_pillow_decodes_a_photograph_to_the_same_pixels(quality, subsampling):
    narrow = mozcodec.encode(PHOTOGRAPH, quality, subsampling=subsampling)
    wide = mozcodec.encode(PHOTOGRAPH, quality, subsampling=subsampling, optimize_scans="wide")
    assert len(wide) < len(narrow) if subsampling == "4:2:0" else len(wide) <= len(narrow)
    pixels = [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in (wide, narrow)]
    assert np.array_equal(*pixels)


@pytest.mark.parametrize("quality", [75, 90])
def test_no_other_bands_of_its_places_are_cheaper(quality):
    """The oracle is the scan script: mozjpeg writes all bands between two places, and chains of them are tried."""
    gray = np.ascontiguousarray(pictures.gravel()[:256, :256])
    wide = mozcodec.encode(gray, quality, optimize_scans="wide")
    assert len(wide) < 0.99 * len(mozcodec.encode(gray, quality))
    source = mozcodec.read_coefficients(wide)
    price = {}
    for first, end in itertools.combinations(range(len(PLACES)), 2):
        bands = [(PLACES[i], PLACES[i + 1] - 1) for i in range(len(PLACES) - 1) if not first <= i < end]
        bands.append((PLACES[first], PLACES[end] - 1))
        script = [((0,), 0, 0, 0, 0), *(((0,), *band, 0, 0) for band in sorted(bands))]
        written = mozcodec.write_coefficients(source, scan_script=script, engine="library")
        price[first, end] = sizes_of_scans(written)[1 + sorted(bands).index(bands[-1])]
    chains = (
        [0, *cuts, len(PLACES) - 1]
        for n in range(8)
        for cuts in itertools.combinations(range(1, len(PLACES) - 1), n)
    )
    cheapest = min(sum(price[pair] for pair in itertools.pairwise(chain)) for chain in chains)
    # the search does not know the stuffed bytes, of which a scan has few
    assert sum(sizes_of_scans(wide)[1:]) <= cheapest * 1.0005


def test_the_lossless_verbs_take_it():
    narrow = mozcodec.encode(PHOTOGRAPH, 80)
    wide = mozcodec.encode(PHOTOGRAPH, 80, optimize_scans="wide")
    again = mozcodec.optimize(narrow, optimize_scans="wide")
    assert sizes_of_scans(again) == sizes_of_scans(wide)  # the tables are in fewer segments
    assert mozcodec.optimize(wide, optimize_scans="wide") in (wide, again)
    assert mozcodec.optimize(wide) == wide  # mozjpeg's search finds nothing smaller
    written = mozcodec.write_coefficients(mozcodec.read_coefficients(narrow), optimize_scans="wide")
    assert sizes_of_scans(written) == sizes_of_scans(wide)
    turned = mozcodec.transform(narrow, "rotate_90", optimize_scans="wide")
    assert len(turned) < len(mozcodec.transform(narrow, "rotate_90"))
    assert np.array_equal(mozcodec.decode(turned), mozcodec.decode(mozcodec.transform(narrow, "rotate_90")))


def test_sweeps_batches_and_scaled_files_take_it():
    wide = [mozcodec.encode(PHOTOGRAPH, quality, optimize_scans="wide") for quality in (40, 80)]
    assert [point.data for point in mozcodec.sweep(PHOTOGRAPH, [40, 80], optimize_scans="wide")] == wide
    assert list(mozcodec.encode_many([PHOTOGRAPH] * 3, 80, optimize_scans="wide")) == [wide[1]] * 3
    scaled = [mozcodec.encode_scaled(PHOTOGRAPH, 80, dct_size=12, optimize_scans=how) for how in (True, "wide")]
    assert len(scaled[1]) < len(scaled[0])
    assert np.array_equal(*map(mozcodec.decode, scaled))


def test_smallest_and_the_perceptual_mode_use_it():
    smallest = mozcodec.encode(PHOTOGRAPH, 50, smallest=True)
    assert smallest == mozcodec.encode(PHOTOGRAPH, 50, optimize_scans="wide", quant_baseline=True)
    perceptual = mozcodec.encode(PHOTOGRAPH, distance=1.5)
    narrow = mozcodec.write_coefficients(mozcodec.read_coefficients(perceptual))
    assert len(perceptual) < len(narrow)
    assert np.array_equal(mozcodec.decode(perceptual), mozcodec.decode(narrow))


def test_without_it_the_next_file_is_mozjpegs_again():
    """The engine is reused: a wide search leaves nothing behind."""
    before = mozcodec.encode(PHOTOGRAPH, 70)
    mozcodec.encode(PHOTOGRAPH, 70, optimize_scans="wide")
    assert mozcodec.encode(PHOTOGRAPH, 70) == before == mozcodec.encode(PHOTOGRAPH, 70, engine="library")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"engine": "library"}, "engine='library'"),
        ({"arithmetic": True}, "arithmetic=True"),
        ({"dc_scan_opt_mode": 2}, "dc_scan_opt_mode"),
        ({"progressive": False}, "a sequential file"),
        ({"scan_script": "0: 0 0 0 0; 0: 1 63 0 0;"}, "scan_script"),
    ],
)
def test_what_has_no_such_search_is_refused(options, named):
    with pytest.raises(ValueError, match=f"optimize_scans='wide' cannot be combined with {named}"):
        mozcodec.encode(PHOTOGRAPH[..., 0], 75, optimize_scans="wide", **options)


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="optimize_scans must be True, False or 'wide', got 'full'"):
        mozcodec.encode(PHOTOGRAPH, 75, optimize_scans="full")
