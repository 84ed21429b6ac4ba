"""Files of several parts: Pillow reads the MPO files, imagecodecs (where installed) the Ultra HDR ones."""

from __future__ import annotations

import hashlib
import io
import re
import time

import numpy as np
import pytest
from PIL import Image

import mozcodec
from mozcodec import _cli, _transform

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


# ---- indices --------------------------------------------------------------------------------------------------------


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def index(order: str, entries: list[tuple[int, int]]) -> bytes:
    """Return an MPF segment of (size, offset), written by CIPA DC-007, 5.2."""

    def number(value: int, length: int = 4) -> bytes:
        return value.to_bytes(length, "little" if order == "II" else "big")

    head = (b"II" if order == "II" else b"MM") + number(42, 2) + number(8)
    fields = [(0xB000, 7, 4, b"0100"), (0xB001, 4, 1, number(len(entries)))]
    fields.append((0xB002, 7, 16 * len(entries), number(8 + 2 + 36 + 4)))
    directory = number(3, 2) + b"".join(number(t, 2) + number(k, 2) + number(n) + v for t, k, n, v in fields)
    body = b"".join(number(0) + number(size) + number(offset) + bytes(4) for size, offset in entries)
    return segment(0xE2, b"MPF\0" + head + directory + number(0) + body)


def indexed(first: bytes, others: list[bytes], order="II", *, gap=b"", add=0, segments=1, inside=None) -> bytes:
    """Return *first* and *others* with MPF segments behind SOI; *add* makes sizes wrong, *inside* is nested."""
    length = len(index(order, [(0, 0)] * (1 + len(others) + bool(inside))))
    at = len(first) + segments * length
    starts = []
    for other in others:
        starts.append(at + len(gap))
        at = starts[-1] + len(other)
    tail = b"".join(gap + other for other in others)
    if inside:
        others, starts = [*others, inside], [*starts, len(first) + segments * length + tail.index(inside)]
    header = b""
    for number in range(segments):
        base = 2 + number * length + 8
        sizes = [(len(o) + add, start - base) for o, start in zip(others, starts, strict=True)]
        header += index(order, [(len(first) + segments * length, 0), *sizes])
    return first[:2] + header + first[2:] + tail


@pytest.fixture(scope="module")
def jpegs(views) -> list[bytes]:
    return [
        mozcodec.encode(view, 90, profile="fastest", progressive=False, subsampling="4:4:4", jfif=False)
        for view in views
    ]


def rewritings(data: bytes) -> dict[str, bytes]:
    """Return the file as each verb that carries its parts writes it."""
    exif = b"II*\0\x08\0\0\0" + bytes(6)
    return {
        "optimize": mozcodec.optimize(data),
        "keep": mozcodec.optimize(data, parts="keep"),
        "metadata": mozcodec.optimize(data, metadata=mozcodec.Metadata(icc_profile=bytes(400), comments=(b"new",))),
        "transform": mozcodec.transform(data),
        "comment": mozcodec.edit_metadata(data, comment="x" * 777),
        "icc": mozcodec.edit_metadata(data, icc_profile=bytes(100_000), exif=exif),
    }


CASES = {
    "little": {},
    "big": {"order": "MM"},
    "zeros between": {"gap": bytes(77)},
    "data between": {"gap": b"junk" * 9},
    "two indices": {"segments": 2},
    "sizes too small": {"add": -100},
    "sizes of 0": {"add": -(10**9)},
    "sizes too large": {"add": 700},
}


@pytest.mark.parametrize("name", CASES)
def test_every_image_of_an_index_is_found_after_each_verb(jpegs, name):
    options = dict(CASES[name])
    if options.get("add") == -(10**9):
        data = bytearray(indexed(jpegs[0], jpegs[1:]))
        for k in (1, 2):  # the sizes of the further entries
            at = data.index(b"0100") + 28 + 4 + 16 * k + 4
            data[at : at + 4] = bytes(4)
        data = bytes(data)
    else:
        data = indexed(jpegs[0], jpegs[1:], **options)
    assert mozcodec.pictures(data)[1:] == jpegs[1:]
    kinds = [part.kind for part in mozcodec.inspect(data).parts]
    for verb, result in rewritings(data).items():
        assert [part.kind for part in mozcodec.inspect(result).parts] == kinds, verb
        for ours, theirs in zip(frames(result), frames(data), strict=True):
            np.testing.assert_array_equal(ours, theirs, verb)


def test_data_within_the_size_of_a_listed_image_stays(jpegs):
    data = indexed(jpegs[0], [jpegs[1] + b"maker's data", jpegs[2]])
    assert mozcodec.pictures(data)[1:] == jpegs[1:]
    for verb, result in rewritings(data).items():
        assert result.count(b"maker's data") == 1, verb
        assert len(frames(result)) == 3, verb


def test_an_image_within_another_is_still_where_the_index_says(jpegs):
    outer = mozcodec.edit_metadata(jpegs[1], app={7: [jpegs[2]]})
    data = indexed(jpegs[0], [outer], inside=jpegs[2])
    assert len(frames(data)) == 3
    for verb, result in rewritings(data).items():
        for ours, theirs in zip(frames(result), frames(data), strict=True):
            np.testing.assert_array_equal(ours, theirs, verb)
    with pytest.raises(mozcodec.UnsupportedError, match="holds another one that the index names"):
        mozcodec.transform(data, "rotate_180")


@pytest.mark.parametrize("options", [{"parts": "drop"}, {"copy": "icc"}, {"copy": "comments"}, {"copy": "none"}])
def test_an_image_without_its_parts_does_not_promise_them(mpo, views, options):
    assert len(frames(mozcodec.optimize(mpo, **options))) == 1
    hdr = mozcodec.optimize(gain_map_file(views), **options)
    assert b"GainMap" not in (mozcodec.read_header(hdr).metadata.xmp or b"")


ITEMS = {
    "attributes": '<rdf:li><C:Item I:Semantic="{0}" I:Length="{1}"/></rdf:li>',
    "attributes of the list": '<rdf:li I:Semantic="{0}" I:Length="{1}"/>',
    "elements": '<rdf:li rdf:parseType="Resource"><C:Item rdf:parseType="Resource"><I:Semantic>{0}</I:Semantic>'
    "<I:Length>{1}</I:Length></C:Item></rdf:li>",
    "elements of a description": "<rdf:li>\n<C:Item><rdf:Description><I:Mime>image/jpeg</I:Mime><I:Semantic> {0} "
    "</I:Semantic><I:Length>{1}</I:Length></rdf:Description></C:Item>\n</rdf:li>",
}


@pytest.mark.parametrize("form", ITEMS)
def test_no_form_of_the_list_of_items_promises_parts_that_are_dropped(form, jpegs):
    listed = "".join(ITEMS[form].format(semantic, len(jpegs[1])) for semantic in ("Primary", "GainMap", "MotionPhoto"))
    names = "<dc:subject><rdf:Bag><rdf:li>GainMap</rdf:li></rdf:Bag></dc:subject>"  # another list
    spaces = 'xmlns:I="http://ns.google.com/photos/1.0/container/item/"'
    xmp = f"<rdf:Description {spaces}>{names}<C:Directory><rdf:Seq>{listed}</rdf:Seq></C:Directory></rdf:Description>"
    data = mozcodec.edit_metadata(jpegs[0], xmp=xmp.encode()) + jpegs[1]
    kept = mozcodec.read_header(mozcodec.optimize(data)).metadata.xmp
    assert b"MotionPhoto" in kept
    found = mozcodec.read_header(mozcodec.optimize(data, parts="drop")).metadata.xmp.decode()
    first = ITEMS[form].format("Primary", len(jpegs[1]))
    assert found == xmp.replace(listed, first)


@pytest.mark.alone
def test_large_counts_in_many_indices_are_not_followed(jpegs):
    many = segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff") * 2000
    start = time.process_time()
    mozcodec.inspect(jpegs[0][:2] + many + jpegs[0][2:])
    assert time.process_time() - start < 2


def test_a_damaged_further_image_is_not_left_unturned_unsaid(jpegs):
    broken = bytearray(jpegs[1])
    broken[len(broken) // 2 : len(broken) // 2 + 40] = bytes(40)
    data = indexed(jpegs[0], [bytes(broken), jpegs[2]])
    assert mozcodec.pictures(mozcodec.optimize(data))[1] == broken
    with pytest.raises(mozcodec.DamagedError, match=r"a further image of the file: .*parts='keep'"):
        mozcodec.transform(data, "rotate_180")
    with pytest.warns(mozcodec.JpegWarning):
        turned = mozcodec.transform(data, "rotate_180", repair=True)
    found = mozcodec.decode(turned, picture=1).astype(int)
    expected = mozcodec.decode(bytes(broken), on_truncated="ok")[::-1, ::-1]
    assert np.abs(found - expected).mean() < 1
    assert mozcodec.pictures(mozcodec.transform(data, "rotate_180", parts="keep"))[1] == broken


# ---- XMP ------------------------------------------------------------------------------------------------------------


def motion_photo(jpeg: bytes, items: list[tuple[str, int]], attributes: str = "", more: bytes = b"") -> bytes:
    """Return the image with Google's XMP of a container."""
    spaces = 'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
    listed = "".join(
        f'<rdf:li><Container:Item Item:Semantic="{semantic}" Item:Length="{size}"/></rdf:li>'
        for semantic, size in items
    )
    xmp = f"<rdf:Description {spaces} {attributes}>{listed}</rdf:Description>".encode()
    return mozcodec.edit_metadata(jpeg, xmp=xmp + more)


def lengths(data: bytes) -> list[int]:
    metadata = mozcodec.read_header(data).metadata
    return [int(n) for n in re.findall(rb'Item:Length="(\d+)"', metadata.xmp + (metadata.extended_xmp or b""))]


@pytest.mark.parametrize("more", [b"", b" " * 70_000], ids=["xmp", "extended xmp"])
def test_lengths_follow_their_parts_where_two_are_equal(views, jpegs, more):
    gain = mozcodec.encode(views[2][..., 1].copy(), 90, profile="fastest", xmp=b'<x hdrgm:Version="1.0"/>')
    video = VIDEO[:12] + bytes(len(gain) - 12)
    items = [("Primary", 0), ("GainMap", len(gain)), ("MotionPhoto", len(video))]
    data = motion_photo(jpegs[0], items, more=more) + gain + video
    for result in (*rewritings(data).values(), mozcodec.transform(data, "rotate_180")):
        parts = mozcodec.inspect(result).parts
        assert [part.kind for part in parts] == ["picture", "gain map", "video"]
        assert lengths(result) == [0, parts[1].size, parts[2].size]
        assert result.endswith(video)


def test_a_length_of_the_first_image_is_updated(views, jpegs):
    gain = mozcodec.encode(views[2][..., 1].copy(), 90, profile="fastest")
    size = len(motion_photo(jpegs[0], [("Primary", 1000), ("GainMap", len(gain))]))
    data = motion_photo(jpegs[0], [("Primary", size), ("GainMap", len(gain))]) + gain
    for result in rewritings(data).values():
        assert lengths(result) == [part.size for part in mozcodec.inspect(result).parts]


def test_the_place_of_a_micro_video_is_updated(jpegs):
    attributes = f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(VIDEO) + len(jpegs[1])}"'
    data = indexed(motion_photo(jpegs[0], [], attributes), [jpegs[1]], gap=VIDEO)
    for result in rewritings(data).values():
        offset = int(re.search(rb'MicroVideoOffset="(\d+)"', mozcodec.read_header(result).metadata.xmp)[1])
        assert result[len(result) - offset :].startswith(VIDEO)
    dropped = mozcodec.read_header(mozcodec.optimize(data, parts="drop")).metadata.xmp
    assert b'MicroVideo="0"' in dropped


def test_the_extension_of_xmp_stays_beside_a_gain_map(views):
    data = gain_map_file(views)
    extended = b"<depth>" + b"y" * 90_000
    digest = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()
    xmp = mozcodec.read_header(data).metadata.xmp + b'<x xmpNote:HasExtendedXMP="' + digest + b'"/>'
    first, gain = mozcodec.pictures(data)
    metadata = mozcodec.Metadata(xmp=xmp, extended_xmp=extended)
    data = mozcodec.optimize(first, metadata=metadata, progressive=False) + gain
    assert mozcodec.read_header(mozcodec.optimize(data)).metadata.extended_xmp == extended


def test_samsungs_video_is_found_and_its_trailer_stays(jpegs):
    directory = b"SEFH" + (107).to_bytes(4, "little") + bytes(16)
    trailer = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + VIDEO + directory + (24).to_bytes(4, "little") + b"SEFT"
    data = jpegs[0] + trailer
    assert [part.kind for part in mozcodec.inspect(data).parts] == ["picture", "data", "video", "data"]
    assert all(result.endswith(trailer) for result in rewritings(data).values())


def test_a_jpeg_encoded_again_does_not_promise_the_other_images(mpo, tmp_path):
    (tmp_path / "a.jpg").write_bytes(mpo)
    assert _cli.main(["encode", str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), "-quality", "50"]) == 0
    assert len(frames((tmp_path / "b.jpg").read_bytes())) == 1


# ---- previews -------------------------------------------------------------------------------------------------------

PREVIEW, DISPARITY = 0x010002, 0x020002  # MP types of CIPA DC-007


@pytest.fixture(scope="module")
def camera_file(views) -> bytes:
    """Return a 96 x 128 image, a preview of half its size, another view and a preview that cannot be halved."""
    code = {"profile": "fastest", "progressive": False, "subsampling": "4:4:4", "jfif": False}
    first = views[0]
    sizes = [first, first[::2, ::2], views[1], first[:90:3, ::3]]
    one, *others = (mozcodec.encode(view, 90, **code) for view in sizes)
    data = bytearray(indexed(one, others))
    entries = data.index(b"MPF\0") + 4 + 50
    for k, kind in enumerate((0x030000, PREVIEW, DISPARITY, PREVIEW)):
        at = entries + 16 * k
        data[at : at + 4] = kind.to_bytes(4, "little")
    data[entries + 12 : entries + 16] = b"\2\0\4\0"  # the first depends on entries 2 and 4
    return bytes(data)


def kinds_of(data: bytes) -> list[str]:
    return [part.kind for part in mozcodec.inspect(data).parts]


def test_previews_are_cropped_where_that_is_exact_and_dropped_otherwise(camera_file):
    assert kinds_of(camera_file) == ["picture", "preview", "picture", "preview"]
    before = [mozcodec.decode(camera_file, picture=number) for number in range(3)]
    cropped = mozcodec.transform(camera_file, crop=(32, 16, 112, 80))
    assert kinds_of(cropped) == ["picture", "preview", "picture"]  # a third of 32 is no MCU; the other view is whole
    wanted = [before[0][16:80, 32:112], before[1][8:40, 16:56], before[2]]
    for found in ([mozcodec.decode(cropped, picture=number) for number in range(3)], frames(cropped)):
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    entries = cropped.index(b"MPF\0") + 4 + 50
    assert cropped[entries + 12 : entries + 16] == b"\2\0\0\0"  # the first no longer depends on what was dropped
    assert kinds_of(mozcodec.transform(camera_file, crop=(8, 8, 112, 80))) == ["picture", "picture"]
    assert kinds_of(mozcodec.transform(camera_file, crop=(8, 8, 112, 80), parts="keep")) == kinds_of(camera_file)
    assert kinds_of(mozcodec.transform(camera_file, crop=(0, 0, 128, 96))) == kinds_of(camera_file)


def test_previews_turn_and_those_that_cannot_are_dropped(camera_file):
    turned = mozcodec.transform(camera_file, "rotate_90", crop=(16, 32, 80, 112))
    assert kinds_of(turned) == ["picture", "preview", "picture"]
    wanted = np.rot90(mozcodec.decode(camera_file, picture=1), -1)[16:56, 8:40].astype(int)
    np.testing.assert_allclose(frames(turned)[1], wanted, atol=2)  # the inverse DCT rounds rows before columns
    assert kinds_of(mozcodec.transform(camera_file, "flip_vertical")) == ["picture", "preview", "picture"]  # 30 rows
    assert kinds_of(mozcodec.transform(camera_file, "flip_horizontal")) == ["picture", "preview", "picture"]
    assert kinds_of(mozcodec.optimize(camera_file)) == kinds_of(camera_file)


def test_a_preview_within_a_segment_does_not_show_what_was_cropped_away(jpegs):
    first = mozcodec.edit_metadata(jpegs[0], app={7: [b"maker" + jpegs[2]]})
    data = bytearray(indexed(first, [jpegs[1]]))
    entries = data.index(b"MPF\0") + 4 + 50
    start = data.index(jpegs[2]) - (data.index(b"MPF\0") + 4)
    data[entries + 16 : entries + 32] = b"".join(
        n.to_bytes(4, "little") for n in (PREVIEW, len(jpegs[2]), start, 0)
    )
    for verb in (lambda d: mozcodec.transform(d, crop=(0, 0, 64, 64)), lambda d: mozcodec.transform(d, "rotate_180")):
        result = verb(bytes(data))
        assert jpegs[2][20:] not in result and b"maker\0\0\0" in result
        assert len(frames(result)) == 1 and kinds_of(result) == ["picture", "picture"]
    assert jpegs[2] in mozcodec.optimize(bytes(data))


@pytest.mark.parametrize("is_extended", [False, True])
def test_images_in_xmp_that_do_not_follow_are_named(jpegs, is_extended):
    packet = b'<x:xmpmeta><rdf:Description GDepth:Data="%s" GImage:Data = "QUJD"/></x:xmpmeta>'
    data = mozcodec.edit_metadata(jpegs[0], xmp=packet % (b"QUJD" * (20000 if is_extended else 20)))
    assert (mozcodec.read_header(data).metadata.extended_xmp is not None) == is_extended
    for arguments in ({"operation": "rotate_180", "trim": True}, {"crop": (0, 0, 16, 16)}):
        with pytest.warns(mozcodec.JpegWarning, match="GDepth:Data, GImage:Data") as caught:
            result = mozcodec.transform(data, **arguments)
        assert caught[0].filename == __file__
        assert mozcodec.read_header(result).metadata.extended_xmp == mozcodec.read_header(data).metadata.extended_xmp
    mozcodec.optimize(data)  # moves nothing: no warning
