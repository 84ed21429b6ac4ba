"""Metadata read, replaced and kept; Pillow reads what is written."""

from __future__ import annotations

import dataclasses
import io
import time

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

import mozcodec

ORIENTATION = 0x0112


def exif_of(orientation: int, size: tuple[int, int] = (64, 48), thumbnail: np.ndarray | None = None) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x8769] = {0xA002: size[0], 0xA003: size[1]}
    data = exif.tobytes()[6:]
    if thumbnail is None:
        return data
    jpeg = mozcodec.encode(thumbnail, 60, profile="fastest", subsampling="4:4:4")
    order = "little" if data[:2] == b"II" else "big"

    def number(value: int, length: int) -> bytes:
        return value.to_bytes(length, order)

    first = int.from_bytes(data[4:8], order)
    link = first + 2 + 12 * int.from_bytes(data[first : first + 2], order)
    at = len(data)
    directory = number(2, 2)
    for tag, value in ((0x0201, at + 2 + 24 + 4), (0x0202, len(jpeg))):
        directory += number(tag, 2) + number(4, 2) + number(1, 4) + number(value, 4)
    return data[:link] + number(at, 4) + data[link + 4 :] + directory + number(0, 4) + jpeg


def names(data: bytes) -> list[str]:
    return [segment.name for segment in mozcodec.inspect(data).segments]


def coded(data: bytes) -> bytes:
    """Return a file from its first table on."""
    return data[data.index(b"\xff\xdb") :]


def test_what_is_given_replaces_and_the_rest_stays(small):
    data = mozcodec.encode(small, 80, exif=exif_of(6), xmp=b"<old/>", icc_profile=bytes(99), comment="old")
    data = mozcodec.edit_metadata(data, app={11: b"JP\0\1", 5: [b"one", b"two"]})
    edited = mozcodec.edit_metadata(data, exif=exif_of(1), comment=["a", b"b"])
    metadata = mozcodec.read_header(edited).metadata
    assert metadata.comments == (b"a", b"b") and metadata.xmp == b"<old/>" and metadata.icc_profile == bytes(99)
    assert coded(edited) == coded(data)
    assert sorted(set(names(edited)) - {"COM"}) == sorted(set(names(data)) - {"COM"})
    with Image.open(io.BytesIO(edited)) as image:
        assert image.getexif()[ORIENTATION] == 1
    bare = mozcodec.edit_metadata(edited, exif=None, xmp=None, icc_profile=None, comment=None, app={5: None, 11: None})
    assert mozcodec.read_header(bare).metadata == mozcodec.Metadata()
    assert mozcodec.edit_metadata(data) == data


def test_optimize_and_transform_write_one_of_each(small):
    data = mozcodec.encode(small, 90, exif=exif_of(6), comment="old", icc_profile=bytes(50))
    wanted = dataclasses.replace(mozcodec.read_header(data).metadata, exif=exif_of(1), comments=(b"new",))
    for result in (mozcodec.optimize(data, metadata=wanted), mozcodec.transform(data, metadata=wanted)):
        assert names(result).count("APP1") == names(result).count("COM") == names(result).count("APP2") == 1
        assert mozcodec.read_header(result).metadata == wanted


def test_xmp_of_any_length_comes_back(small):
    packet = b"<x:xmpmeta>" + b"y" * 200_000 + b"</x:xmpmeta>"
    data = mozcodec.encode(small, 80, xmp=packet)
    metadata = mozcodec.read_header(data).metadata
    assert metadata.extended_xmp == packet and b"HasExtendedXMP" in metadata.xmp
    assert mozcodec.read_header(mozcodec.optimize(data)).metadata == metadata
    short = mozcodec.edit_metadata(data, xmp=b"<small/>")
    assert names(short).count("APP1") == 1 and mozcodec.read_header(short).metadata.extended_xmp is None


def test_exif_over_several_segments_is_joined(small):
    exif = exif_of(3) + bytes(range(256)) * 600
    data = mozcodec.encode(small, 80, exif=exif)
    assert names(data).count("APP1") == 3
    assert mozcodec.read_header(data).metadata.exif == exif


def test_iptc_is_replaced_among_photoshops_resources(small):
    other = b"8BIM\x04\x0a\0\0\0\0\0\x03abc\0"
    data = mozcodec.edit_metadata(mozcodec.encode(small, 80), app={13: [b"Photoshop 3.0\0" + other]})
    data = mozcodec.edit_metadata(data, iptc=b"\x1c\x02\x50\0\4name")
    assert mozcodec.read_header(data).metadata.iptc == b"\x1c\x02\x50\0\4name"
    assert other in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["photoshop"][0x0404] == b"\x1c\x02\x50\0\4name"
    assert mozcodec.edit_metadata(data, iptc=None).count(b"8BIM") == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_auto_turns_as_exif_says(picture, orientation):
    pixels = picture("astronaut.png")[:48, 100:164]
    data = mozcodec.encode(pixels, 95, exif=exif_of(orientation), subsampling="4:4:4")
    upright = mozcodec.transform(data, "auto")
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    assert np.abs(mozcodec.decode(upright) - wanted).max() <= 4  # the inverse DCT rounds otherwise
    with Image.open(io.BytesIO(upright)) as image:
        exif = image.getexif()
        assert exif[ORIENTATION] == 1
        inner = exif.get_ifd(0x8769)
        assert (inner[0xA002], inner[0xA003]) == image.size


def test_a_turned_file_is_not_turned_again_and_its_thumbnail_turns(picture):
    pixels = picture("astronaut.png")[:48, 100:164]
    for thumbnail, kept in ((pixels[:16, :24].copy(), True), (pixels[:15, :21].copy(), False)):
        data = mozcodec.encode(pixels, 90, exif=exif_of(6, thumbnail=thumbnail), subsampling="4:4:4")
        turned = mozcodec.transform(data, "rotate_90")
        exif = mozcodec.read_header(turned).metadata.exif
        with Image.open(io.BytesIO(turned)) as image:
            assert image.getexif()[ORIENTATION] == 1
            found = image.getexif().get_ifd(ExifTags.IFD.IFD1)
        if kept:
            jpeg = exif[found[0x0201] : found[0x0201] + found[0x0202]]
            assert mozcodec.read_header(jpeg).shape == (24, 16)
        else:
            assert not found
            assert exif.count(b"\xff\xd8") == 0


def with_all_thumbnails(pixels: np.ndarray) -> tuple[bytes, bytes]:
    """Return an image with thumbnails in EXIF, JFIF's extension, Photoshop's resources and XMP, and that thumbnail."""
    exif = exif_of(6, thumbnail=pixels[:16, :24].copy())
    thumbnail = exif[exif.index(b"\xff\xd8") :]
    resource = b"8BIM\x04\x0c\0\0" + (28 + len(thumbnail)).to_bytes(4, "big") + bytes(28) + thumbnail
    resources = resource + bytes(len(thumbnail) % 2) + b"8BIM\x04\x04\0\0\0\0\0\4IPTC"
    packet = b"<x><xmp:Thumbnails><rdf:Alt><rdf:li>/9j/</rdf:li></rdf:Alt></xmp:Thumbnails><y/></x>"
    data = mozcodec.encode(pixels, 90, exif=exif, xmp=packet, subsampling="4:4:4")
    data = mozcodec.edit_metadata(data, app={13: b"Photoshop 3.0\0" + resources})
    extension = b"JFXX\0\x10" + thumbnail
    return data[:20] + b"\xff\xe0" + (2 + len(extension)).to_bytes(2, "big") + extension + data[20:], thumbnail


def test_no_thumbnail_shows_what_was_cropped_away(picture):
    pixels = picture("astronaut.png")[:48, 100:164]
    data, thumbnail = with_all_thumbnails(pixels)
    for unchanged in (mozcodec.optimize(data), mozcodec.transform(data, crop=(0, 0, 64, 48))):
        assert unchanged.count(thumbnail) == 3 and b":Thumbnails" in unchanged
    for options in ({"crop": (8, 8, 40, 40)}, {"crop": (8, 8, 40, 40), "operation": "rotate_90"}):
        part = mozcodec.transform(data, **options)
        metadata = mozcodec.read_header(part).metadata
        assert part.count(b"\xff\xd8") == 1
        assert (metadata.iptc, metadata.xmp) == (b"IPTC", b"<x><y/></x>")
        with Image.open(io.BytesIO(part)) as image:
            assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
            assert image.getexif()[ORIENTATION] == (1 if "operation" in options else 6)
            assert image.getexif().get_ifd(0x8769)[0xA002] == image.width == 32
    turned = mozcodec.transform(data, "rotate_90")
    # EXIF's and that of JFIF's extension are turned, the others are dropped
    assert turned.count(thumbnail) == 0 and turned.count(b"\xff\xd8") == 3
    assert b":Thumbnails" not in turned and "APP13" in names(turned)


def app0(content: bytes) -> bytes:
    return b"\xff\xe0" + (2 + len(content)).to_bytes(2, "big") + content


def test_the_thumbnails_of_jfif_stay_turn_and_do_not_show_what_was_cropped_away(picture):
    pixels = picture("astronaut.png")[:48, 100:164]
    thumbnail, colours = pixels[::8, ::8], bytes(range(256)) * 3  # 6 rows of 8
    data = mozcodec.encode(pixels, 90, subsampling="4:4:4")
    indices = thumbnail[..., 0]
    jfif = app0(data[6:18] + b"\x08\x06" + thumbnail.tobytes())
    extensions = [
        app0(b"JFXX\0\x13\x08\x06" + thumbnail.tobytes()),
        app0(b"JFXX\0\x11\x08\x06" + colours + indices.tobytes()),
    ]
    data = data[:2] + jfif + b"".join(extensions) + data[20:]
    header = len(jfif) + sum(map(len, extensions))
    assert mozcodec.optimize(data, progressive=False)[2 : 2 + header] == data[2 : 2 + header]
    assert mozcodec.transform(data, grayscale=True)[2 : 2 + header] == data[2 : 2 + header]
    turns = {
        "rotate_90": lambda a: np.rot90(a, -1), "rotate_180": lambda a: a[::-1, ::-1], "rotate_270": np.rot90,
        "flip_horizontal": np.fliplr, "flip_vertical": np.flipud, "transpose": lambda a: a.swapaxes(0, 1),
        "transverse": lambda a: np.rot90(a, 2).swapaxes(0, 1),
    }  # fmt: skip
    for operation, turn in turns.items():
        turned = mozcodec.transform(data, operation)
        size = bytes(turn(indices).shape[::-1])
        wanted = [
            jfif[4:16] + size + turn(thumbnail).tobytes(), b"JFXX\0\x13" + size + turn(thumbnail).tobytes(),
            b"JFXX\0\x11" + size + colours + turn(indices).tobytes(),
        ]  # fmt: skip
        assert turned[2 : 2 + header] == b"".join(map(app0, wanted)), operation
    part = mozcodec.transform(data, "rotate_90", crop=(0, 0, 40, 40))
    assert names(part).count("APP0") == 1 and part[2:20] == app0(jfif[4:16] + bytes(2))
    for wrong in (b"\x09\x06" + thumbnail.tobytes(), b"\0\x06" + thumbnail.tobytes(), b"\x08\x06"):  # not its size
        odd = data[:2] + app0(jfif[4:16] + wrong) + app0(b"JFXX\0\x13" + wrong) + app0(b"JFXX\0") + data[2 + header :]
        assert names(mozcodec.transform(odd, "rotate_90")).count("APP0") == 1
        assert names(mozcodec.optimize(odd)).count("APP0") == 3
    assert names(mozcodec.optimize(data, copy="none")).count("APP0") == 1
    assert "APP0" not in names(mozcodec.optimize(data, copy="none", jfif=False))


def test_a_thumbnail_that_is_not_where_exif_says_erases_nothing(picture):
    pixels = picture("astronaut.png")[:48, 100:164]
    exif = exif_of(6, thumbnail=pixels[:16, :24].copy())
    order = "little" if exif[:2] == b"II" else "big"
    at = exif.index(b"\xff\xd8")
    wrong = exif.replace(at.to_bytes(4, order), (0).to_bytes(4, order), 1)
    data = mozcodec.encode(pixels, 90, exif=wrong, subsampling="4:4:4")
    for options in ({"operation": "rotate_180"}, {"crop": (0, 0, 32, 32)}):
        found = mozcodec.read_header(mozcodec.transform(data, **options)).metadata.exif
        assert found[:4] == exif[:4] and b"\x12\x01" in found.replace(b"\x01\x12", b"\x12\x01")


def test_a_thumbnail_of_samples_is_dropped_from_a_turned_image(picture):
    pixels = picture("astronaut.png")[:48, 100:164]
    exif = exif_of(6, thumbnail=np.zeros((8, 8, 3), np.uint8))
    order = "little" if exif[:2] == b"II" else "big"
    at, size = exif.index(b"\xff\xd8"), len(exif) - exif.index(b"\xff\xd8")
    for old, new in (((0x0201, 4, 1, at), 0x0111), ((0x0202, 4, 1, size), 0x0117)):
        kinds = [value.to_bytes(length, order) for value, length in zip(old, (2, 2, 4, 4), strict=True)]
        exif = exif.replace(b"".join(kinds), new.to_bytes(2, order) + b"".join(kinds[1:]))
    exif = exif[:at] + b"s" * size
    data = mozcodec.encode(pixels, 90, exif=exif, subsampling="4:4:4")
    for options in ({"operation": "rotate_90"}, {"crop": (0, 0, 32, 32)}):
        result = mozcodec.transform(data, **options)
        with Image.open(io.BytesIO(result)) as image:
            assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert b"ssss" not in result


@pytest.mark.alone
def test_reading_is_linear_in_the_bytes_of_all_markers(small):
    chunk = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8)
    data = mozcodec.encode(small, 80, xmp=b"x" * 65000)
    at = data.index(b"\xff\xdb")
    many = b"".join([b"\xff\xe1" + (len(chunk) + 2).to_bytes(2, "big") + chunk] * 20_000)
    start = time.process_time()
    mozcodec.read_header(data[:at] + many + data[at:])
    assert time.process_time() - start < 2


XMP = (
    b'<rdf:Description tiff:Orientation="6" tiff:ImageWidth="64"><tiff:ImageLength>48</tiff:ImageLength>'
    b"<exif:PixelXDimension>64</exif:PixelXDimension>%s</rdf:Description>"
)


@pytest.mark.parametrize("more", [b"", b" " * 70_000], ids=["xmp", "extended xmp"])
def test_xmp_does_not_turn_a_turned_file_again(picture, more):
    """Pillow takes the orientation of XMP where EXIF has none."""
    pixels = picture("astronaut.png")[:48, 100:164]
    data = mozcodec.encode(pixels, 90, xmp=XMP % more, subsampling="4:4:4")
    turned = mozcodec.transform(data, "rotate_90")
    metadata = mozcodec.read_header(turned).metadata
    xmp = metadata.extended_xmp or metadata.xmp
    assert xmp == (
        b'<rdf:Description tiff:Orientation="1" tiff:ImageWidth="48"><tiff:ImageLength>64</tiff:ImageLength>'
        b"<exif:PixelXDimension>48</exif:PixelXDimension>" + more + b"</rdf:Description>"
    )
    if not more:
        with Image.open(io.BytesIO(turned)) as image:
            assert ImageOps.exif_transpose(image).size == (48, 64)
    assert mozcodec.read_header(mozcodec.transform(data)).metadata == mozcodec.read_header(data).metadata


def test_a_crop_says_its_size_and_keeps_the_orientation(picture):
    pixels = picture("astronaut.png")[:48, 100:164]
    data = mozcodec.encode(pixels, 90, exif=exif_of(6), xmp=XMP % b"", subsampling="4:4:4")
    cropped = mozcodec.transform(data, crop=(8, 8, 40, 24))
    with Image.open(io.BytesIO(cropped)) as image:
        exif = image.getexif()
        assert exif[ORIENTATION] == 6
        assert (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003]) == image.size == (32, 16)
    xmp = mozcodec.read_header(cropped).metadata.xmp
    assert b'ImageWidth="32"' in xmp and b"<tiff:ImageLength>16<" in xmp and b'Orientation="6"' in xmp


def test_iptc_of_any_length_comes_back(small):
    iptc = b"\x1c\x02\x78\x84\0\0\0\x01" + bytes(range(256)) * 600
    data = mozcodec.edit_metadata(mozcodec.encode(small, 80), iptc=iptc)
    assert names(data).count("APP13") == 3
    assert mozcodec.read_header(data).metadata.iptc == iptc
    with Image.open(io.BytesIO(mozcodec.optimize(data))) as image:
        assert image.size == small.shape[1::-1]
    assert mozcodec.optimize(data, metadata=mozcodec.Metadata(iptc=b"short")).count(b"Photoshop 3.0") == 1
    assert names(mozcodec.edit_metadata(data, iptc=None)).count("APP13") == 0


def test_a_comment_may_be_any_bytes_and_another_format_is_named(small):
    data = mozcodec.edit_metadata(mozcodec.encode(small, 80), comment=bytearray(b"text"))
    assert mozcodec.read_header(data).metadata.comments == (b"text",)
    with pytest.raises(mozcodec.NotJpegError, match="not a JPEG but PNG"):
        mozcodec.edit_metadata(b"\x89PNG\r\n\x1a\n", comment="x")


def test_a_thumbnail_may_grow_and_its_size_may_be_wrong(picture):
    """A size of 4 GB asked for as much memory."""
    rng = np.random.default_rng(0)
    thumbnail = rng.integers(0, 256, (16, 24, 3)).astype(np.uint8)
    exif = exif_of(6, thumbnail=thumbnail)
    size = len(exif) - exif.index(b"\xff\xd8")
    order = "little" if exif[:2] == b"II" else "big"
    wrong = exif.replace(size.to_bytes(4, order), (4_000_000_000).to_bytes(4, order), 1)
    assert wrong != exif
    pixels = picture("astronaut.png")[:48, 100:164]
    for content in (exif, wrong):
        data = mozcodec.encode(pixels, 90, exif=content, subsampling="4:4:4")
        for operation in ("rotate_90", "rotate_180", "transpose"):
            turned = mozcodec.transform(data, operation)
            with Image.open(io.BytesIO(turned)) as image:
                found = image.getexif().get_ifd(ExifTags.IFD.IFD1)
            jpeg = mozcodec.read_header(turned).metadata.exif[found[0x0201] :][: found[0x0202]]
            assert sorted(mozcodec.read_header(jpeg).shape) == [16, 24]
