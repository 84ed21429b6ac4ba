"""Files of several parts: Pillow reads the MPO files, imagecodecs (where installed) the Ultra HDR ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import mozcodec
from mozcodec import _transform

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(200))


@pytest.fixture(scope="module")
def views(picture) -> list[np.ndarray]:
    pixels = picture("astronaut.png")[:96, 100:228]
    return [pixels.copy(), pixels[::-1].copy(), pixels[:48, :64].copy()]


@pytest.fixture(scope="module")
def mpo(views) -> bytes:
    out = io.BytesIO()
    first, *others = [Image.fromarray(view) for view in views]
    first.save(out, "MPO", save_all=True, append_images=others, quality=90, subsampling=0)
    return out.getvalue()


def frames(data: bytes) -> list[np.ndarray]:
    """Return what Pillow's MPO reader finds."""
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")))
        return found


def test_parts_too_short_for_an_image_are_kept_without_a_try(monkeypatch):
    jpeg = mozcodec.encode(np.zeros((8, 8), np.uint8), 50)
    tail, tries, rewrite = b"\xff\xd8\xff\xd9" * 1000, [], _transform._rewrite
    monkeypatch.setattr(_transform, "_rewrite", lambda *args, **more: tries.append(1) or rewrite(*args, **more))
    for call in (mozcodec.optimize, lambda data: mozcodec.transform(data, "rotate_180")):
        assert call(jpeg + tail).endswith(tail)
    assert len(tries) == 2


def test_every_image_of_a_file_is_decoded(mpo):
    wanted = frames(mpo)
    assert len(wanted) == len(mozcodec.pictures(mpo)) == 3
    for number, pixels in enumerate(wanted):
        np.testing.assert_array_equal(mozcodec.decode(mpo, picture=number), pixels)
    with pytest.raises(ValueError, match=r"picture must be 0\.\.2"):
        mozcodec.decode(mpo, picture=3)
    parts = mozcodec.inspect(mpo).parts
    assert [part.kind for part in parts] == ["picture"] * 3
    assert sum(part.size for part in parts) == len(mpo)


@pytest.mark.parametrize("tail", [b"", b"maker's data"])
def test_optimize_keeps_every_image_and_the_rest(mpo, tail):
    smaller = mozcodec.optimize(mpo + tail)
    assert len(smaller) < len(mpo) and smaller.endswith(tail)
    for ours, theirs in zip(frames(smaller), frames(mpo), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kept = mozcodec.optimize(mpo + tail, parts="keep")
    assert kept.endswith(b"".join(mozcodec.pictures(mpo)[1:]) + tail)
    for ours, theirs in zip(frames(kept), frames(mpo), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(mozcodec.pictures(mozcodec.optimize(mpo, parts="drop"))) == 1
    assert len(mozcodec.pictures(mozcodec.optimize(mpo, copy="none"))) == 1


def test_every_image_turns(mpo):
    turned = mozcodec.transform(mpo, "rotate_90")
    for number, (ours, theirs) in enumerate(zip(frames(turned), frames(mpo), strict=True)):
        assert ours.shape == theirs.swapaxes(0, 1).shape
        alone = mozcodec.transform(mozcodec.pictures(mpo)[number], "rotate_90")
        np.testing.assert_array_equal(ours, mozcodec.decode(alone))


def test_a_motion_photo_keeps_its_video(views):
    data = mozcodec.encode(views[0], 90, profile="fastest") + VIDEO
    assert [part.kind for part in mozcodec.inspect(data).parts] == ["picture", "video"]
    np.testing.assert_array_equal(mozcodec.decode(data), mozcodec.decode(data[: -len(VIDEO)]))  # without a warning
    for result in (mozcodec.optimize(data), mozcodec.transform(data, "rotate_180")):
        assert result.endswith(VIDEO)


def gain_map_file(views) -> bytes:
    """An Ultra HDR file by hand: Google's container in XMP, and the gain map behind the image."""
    gain = mozcodec.encode(views[2][..., 1].copy(), 90, profile="fastest", xmp=b'<x hdrgm:Version="1.0"/>')
    xmp = (
        '<rdf:li><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>'
        f'<rdf:li><Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="{len(gain)}"/></rdf:li>'
    )
    return mozcodec.encode(views[0], 90, profile="fastest", xmp=xmp.encode()) + gain


def test_the_length_of_a_gain_map_is_updated(views):
    data = gain_map_file(views)
    assert [part.kind for part in mozcodec.inspect(data).parts] == ["picture", "gain map"]
    for result in (mozcodec.optimize(data), mozcodec.transform(data, "rotate_90")):
        part = mozcodec.inspect(result).parts[1]
        assert f'Item:Length="{part.size}"'.encode() in mozcodec.read_header(result).metadata.xmp
        assert part.size < len(mozcodec.pictures(data)[1])
    with pytest.raises(mozcodec.UnsupportedError, match="a gain map is not cropped"):
        mozcodec.transform(data, crop=(0, 0, 32, 32), trim=True)


def test_a_gain_map_that_cannot_turn_is_named(views):
    gain = mozcodec.encode(views[2][:41, :50, 1].copy(), 90, profile="fastest")
    data = mozcodec.encode(views[0], 90, profile="fastest", subsampling="4:4:4") + gain
    with pytest.raises(mozcodec.UnsupportedError, match=r"a further image of the file: .*parts='keep'"):
        mozcodec.transform(data, "rotate_90")
    assert len(mozcodec.pictures(mozcodec.transform(data, "rotate_90", parts="keep"))) == 2


def test_ultra_hdr_files_stay_ultra_hdr_files(views):
    codecs = pytest.importorskip("imagecodecs")
    if not codecs.ULTRAHDR.available:
        pytest.skip("imagecodecs was built without ultrahdr")
    hdr = np.ones((96, 128, 4), np.float16)
    hdr[..., :3] = (views[0] / 255.0) ** 2.2 * 4
    data = codecs.ultrahdr_encode(hdr)
    for result in (mozcodec.optimize(data), mozcodec.optimize(data, parts="keep")):
        assert len(mozcodec.pictures(result)) == len(mozcodec.pictures(data)) == 2
        np.testing.assert_array_equal(codecs.ultrahdr_decode(result), codecs.ultrahdr_decode(data))


@pytest.mark.parametrize(
    ("data", "name"), [(b"", "empty"), (b"<html>", "HTML"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\x01xx", "FF D8")]
)
def test_pictures_of_another_format_are_refused_by_its_name(data, name):
    with pytest.raises(mozcodec.NotJpegError, match=f"not a JPEG but .*{name}"):
        mozcodec.pictures(data)
