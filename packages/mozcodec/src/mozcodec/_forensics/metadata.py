"""Metadata of a file, compared with its pixels."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .._containers import Part, is_cut_off, is_picture, parts_of
from .._decode import Header, decode, oriented, read_header
from .._errors import JpegError, JpegWarning
from .._inputs import Source, content_of
from .._metadata import (
    APP0,
    APP1,
    APP2,
    APP13,
    PHOTOSHOP_SIGNATURE,
    SOS,
    Segment,
    _resources,
    header_segments,
    next_marker,
    segment_end,
)
from .content_credentials import ContentCredentials, read_content_credentials
from .exif import Exif, read_exif, read_xmp

THUMBNAIL_THRESHOLD = 0.8
"""Correlation below which a thumbnail counts as one of another image: docs/forensics.md has the errors."""
_APP12 = 0xEC
_JPEG_QUALITY_RESOURCE = 0x0406  # Adobe Photoshop File Formats: image resource blocks
_THUMBNAIL_PIXELS, _IMAGE_PIXELS = 4_000_000, 1 << 27
_UNREDUCED_THUMBNAIL, _UNREDUCED_IMAGE = 400_000, 4_000_000
"""Pixels above which a thumbnail or an image is decoded at a smaller scale: the comparison needs 32."""
_COMPARED = 32
"""Longer side, in pixels, at which a thumbnail and the image are compared."""
_SMALLEST = 8
"""Side of the smallest thumbnail that is compared."""
_TURNS = {
    (0, False): "as it is", (1, False): "turned left", (2, False): "turned by 180 degrees", (3, False): "turned right",
    (0, True): "mirrored", (1, True): "mirrored and turned left", (2, True): "mirrored and turned by 180 degrees",
    (3, True): "mirrored and turned right",
}  # fmt: skip
_GENERATED = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia")
"""IPTC's digital source types of images that an algorithm made (cv.iptc.org/newscodes/digitalsourcetype)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement of the metadata about the image."""

    kind: str
    """"contradiction" (two statements of the file exclude one another), "trace" (a program other than the camera
    handled the file) or "note"."""
    subject: str
    """"thumbnail", "size", "orientation", "software", "dates", "source", "parts", "credentials" or "damage"."""
    text: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The small image in EXIF."""

    width: int
    height: int
    similarity: float | None
    """Correlation of its luma with that of the image at the same size, -1..1, the best of the eight ways to turn it;
    None where one of the two cannot be decoded or is flat, or the thumbnail is smaller than 8 x 8 pixels."""
    turn: str
    """How it must be turned to match: "as it is", "turned right" ..."""


@dataclass(frozen=True, slots=True)
class MetadataReport:
    """The metadata of a file, and where they contradict the pixels or one another."""

    width: int
    height: int
    orientation: int
    """EXIF's, 1..8; 1 if there is none."""
    exif: dict[str, str | int]
    """Selected tags by EXIF's names: Make, Model, Software, DateTime ..."""
    has_gps: bool
    xmp: dict[str, tuple[str, ...]]
    """All properties of the XMP packet by name with prefix; those of a history have a value for each step."""
    software: tuple[str, ...]
    """The programs that the file names, each once."""
    photoshop_quality: int | None
    """Photoshop's quality 0..12, as its image resource 1030 says."""
    save_for_web_quality: int | None
    """The quality 0..100 of Photoshop's Save for Web, as its APP12 segment "Ducky" says."""
    thumbnail: Thumbnail | None
    parts: tuple[Part, ...]
    """The images, gain maps and other data of the file, the first is its image."""
    content_credentials: ContentCredentials
    findings: tuple[Finding, ...]

    @property
    def contradictions(self) -> tuple[Finding, ...]:
        """The findings of that kind."""
        return tuple(one for one in self.findings if one.kind == "contradiction")


def metadata_report(data: Source) -> MetadataReport:
    """Return the metadata of a JPEG, and where they contradict the pixels.

    Compared are: EXIF's and XMP's sizes and orientation with the frame header; the thumbnail with the image; EXIF's
    make, orientation and dates with XMP's; the images that a Multi-Picture index lists with those in the file.
    Programs are collected from EXIF, XMP with its history, Photoshop's segments and C2PA. None of this proves that an
    image is genuine: anybody can write metadata. Violations of a format are findings, too; no network is
    used. Raises the errors of :func:`mozcodec.read_header`.
    """
    stream = bytes(content_of(data))
    return described(stream, read_header(stream), tuple(parts_of(stream)))


def described(stream: bytes, header: Header, parts: tuple[Part, ...]) -> MetadataReport:
    """Return :func:`metadata_report` of a file whose header and parts are known."""
    exif = Exif() if header.metadata.exif is None else read_exif(header.metadata.exif)
    xmp = {} if header.metadata.xmp is None else read_xmp(header.metadata.xmp)
    segments = list(header_segments(stream))
    photoshop, save_for_web = _photoshop_qualities(segments)
    credentials = read_content_credentials(stream, segments, next(iter(xmp.get("dcterms:provenance", ())), None))
    thumbnail, findings = _thumbnail(stream, exif)
    software = _software(exif, xmp, photoshop, save_for_web, credentials)
    findings += _sizes(header, exif, xmp) + _orientations(exif, xmp)
    findings += _programs(segments, exif, software) + _dates(exif, xmp) + _source(exif, xmp)
    findings += _parts(stream, segments, parts) + _credentials(credentials)
    findings += [Finding("note", "damage", problem) for problem in exif.problems]
    return MetadataReport(
        width=header.width,
        height=header.height,
        orientation=header.orientation,
        exif=exif.values,
        has_gps=exif.has_gps,
        xmp=xmp,
        software=software,
        photoshop_quality=photoshop,
        save_for_web_quality=save_for_web,
        thumbnail=thumbnail,
        parts=parts,
        content_credentials=credentials,
        findings=tuple(findings),
    )


# ---- the thumbnail --------------------------------------------------------------------------------------------------


def _thumbnail(data: bytes, exif: Exif) -> tuple[Thumbnail | None, list[Finding]]:
    if exif.thumbnail is None:
        return None, []
    try:
        small, small_is_whole, (width, height) = _gray(exif.thumbnail, _THUMBNAIL_PIXELS, _UNREDUCED_THUMBNAIL)
    except JpegError as error:
        return None, [Finding("note", "thumbnail", f"the thumbnail cannot be decoded: {error}")]
    try:
        image, is_whole, _ = _gray(data, _IMAGE_PIXELS, _UNREDUCED_IMAGE)
    except JpegError as error:
        return Thumbnail(width, height, None, "as it is"), [Finding("note", "damage", f"the image: {error}")]
    if min(small.shape) < _SMALLEST:
        text = f"the thumbnail of {width} x {height} pixels is too small to be compared with the image"
        return Thumbnail(width, height, None, "as it is"), [Finding("note", "thumbnail", text)]
    match = _best_match(small, image)
    turn = _TURNS[match.turns, match.mirrored]
    found = Thumbnail(width, height, match.similarity, turn)
    if match.similarity is None:
        text = "the thumbnail or the image has one colour only: they cannot be compared"
        return found, [Finding("note", "thumbnail", text)]
    if match.similarity < THUMBNAIL_THRESHOLD:
        correlation = f"correlation {match.similarity:.2f}"
        if not (is_whole and small_is_whole):
            what = "thumbnail" if is_whole else "image"
            text = f"the {what} is damaged; the thumbnail's {correlation} with the image means nothing"
            return found, [Finding("note", "damage", text)]
        text = f"the thumbnail shows another image, or another part of it: {correlation}"
        return found, [Finding("contradiction", "thumbnail", text)]
    findings = [Finding("note", "thumbnail", f"the thumbnail {match.part}")] if match.part else []
    if (match.turns, match.mirrored) == (0, False):
        return found, findings
    if stored := _stated_turn(match, exif):
        return found, [*findings, Finding("note", "thumbnail", f"the thumbnail matches {turn}: {stored}")]
    text = f"the thumbnail matches {turn}, which no stated orientation explains: one of the two was turned since"
    return found, [*findings, Finding("contradiction", "thumbnail", text)]


def _stated_turn(match: "_Match", exif: Exif) -> str:
    """Return which stated orientation makes the thumbnail match as it does; "" if none does."""
    probe = np.arange(4, dtype=np.uint8).reshape(2, 2)
    shown = oriented(_turned(probe, match.turns, match.mirrored), _allowed(exif.values.get("Orientation")))
    if np.array_equal(shown, probe):
        return "it is stored upright, as EXIF's orientation shows the image"
    own = exif.thumbnail_orientation
    if own is not None and np.array_equal(shown, oriented(probe, _allowed(own))):
        return f"its own orientation of {own} says so"
    return ""


def _allowed(orientation: str | int | None) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _gray(data: bytes, most_pixels: int, unreduced: int) -> tuple[NDArray[np.uint8], bool, tuple[int, int]]:
    """Return the gray pixels of a JPEG, reduced if it is large, whether it is undamaged, and its width and height."""
    with warnings.catch_warnings(record=True) as damage:
        warnings.simplefilter("always", JpegWarning)
        header = read_header(data)
        size = header.width * header.height
        scale = 1 if min(header.width, header.height) >= 1024 and header.precision == 8 else 8
        while scale > 1 and size * scale**2 > 64 * unreduced:
            scale //= 2
        scale = 8 if header.lossless else scale
        pixels = decode(data, "gray", on_truncated="warn", max_pixels=most_pixels, scale=scale)
    whole = not any(issubclass(one.category, JpegWarning) for one in damage)
    gray = np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> (header.precision - 8), np.uint8)
    return gray, whole, (header.width, header.height)


@dataclass(frozen=True, slots=True, eq=False)
class _Summed:
    """Pixels as an integral image, whose means over rectangles cost the same at every size."""

    sums: NDArray[np.float64]
    known: "dict[tuple[_Field, tuple[int, int]], NDArray[np.float64]]" = field(default_factory=dict)
    """What :meth:`averaged` returned."""

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> "_Summed":
        return cls(np.pad(pixels.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0))))

    def averaged(self, part: "_Field", shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return the means of the rectangles of a grid of *shape* over *part*; single pixels in small images."""
        if (part, shape) not in self.known:
            self.known[part, shape] = self._averaged(part, shape)
        return self.known[part, shape]

    def _averaged(self, part: "_Field", shape: tuple[int, int]) -> NDArray[np.float64]:
        sums, sizes = self.sums, (self.sums.shape[0] - 1, self.sums.shape[1] - 1)
        start, end = [], []
        for axis, (first, share, size) in enumerate(zip(part[:2], part[2:], sizes, strict=True)):
            edges = np.linspace(first * size, (first + share) * size, shape[axis] + 1).astype(int)
            start.append(np.minimum(edges[:-1], size - 1))
            end.append(np.maximum(edges[1:], start[-1] + 1))
        (top, left), (bottom, right) = start, end
        total = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
        return np.asarray(total / np.outer(bottom - top, right - left))


_Field = tuple[float, float, float, float]
"""A part of an image: its first row and column, its height and its width, as shares of the image."""
_WHOLE: _Field = (0.0, 0.0, 1.0, 1.0)
_PARTS: tuple[_Field, ...] = tuple(
    (down / 4 * (1 - size), right / 4 * (1 - size), size, size)
    for size in (0.95, 0.9)
    for down in range(5)
    for right in range(5)
)
"""Cameras make thumbnails of up to a tenth more or less than the image shows."""


@dataclass(frozen=True, slots=True)
class _Match:
    """How a thumbnail fits an image best."""

    similarity: float | None = None
    turns: int = 0
    """By how many right angles to the left it must be turned."""
    mirrored: bool = False
    """Whether it must be mirrored before."""
    part: str = ""
    """What the thumbnail shows where it is not the whole image in its proportions, in words."""


def _turned(pixels: NDArray[np.uint8], turns: int, mirrored: bool) -> NDArray[np.uint8]:
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)


def _best_match(small: NDArray[np.uint8], image: NDArray[np.uint8]) -> _Match:
    """Return the best correlation over the eight ways to turn the thumbnail, and that way.

    First the thumbnail is taken to show the whole image in its proportions, with borders where it has others. If that
    gives less than THUMBNAIL_THRESHOLD, fields of view that differ a little are tried, too, and thumbnails of other
    proportions without borders: of the whole image, or of its middle.
    """
    whole, best = _Summed.of(image), _Match()
    for is_first in (True, False):
        for mirrored in (False, True):
            for turns in range(4):
                turned = _turned(small, turns, mirrored)
                for part, pixels, fields in _views(turned, (image.shape[0], image.shape[1]), is_first):
                    found = _correlation(pixels, whole, fields)
                    # other turns must be clearly better: symmetric images match several
                    margin = 0.0 if (best.turns, best.mirrored) == (turns, mirrored) else 0.05
                    if found is not None and (best.similarity is None or found > best.similarity + margin):
                        best = _Match(found, turns, mirrored, part)
        if best.similarity is None or best.similarity >= THUMBNAIL_THRESHOLD:
            break
    return best


_View = tuple[str, NDArray[np.uint8], tuple[tuple[_Field, _Field], ...]]


def _views(turned: NDArray[np.uint8], shape: tuple[int, int], is_first: bool) -> list[_View]:
    """Return what a thumbnail may show: in words, its pixels, and pairs of the fields of it and of the image."""
    inner = _without_borders(turned, shape)
    if is_first:
        return [("", inner, ((_WHOLE, _WHOLE),))]
    others = tuple((_WHOLE, part) for part in _PARTS) + tuple((part, _WHOLE) for part in _PARTS)
    views: list[_View] = [("", inner, others)]
    if inner.shape != turned.shape:
        stretch = turned.shape[1] * shape[0] / (turned.shape[0] * shape[1])  # below 1: narrower than the image
        height, width = min(1.0, 1 / stretch), min(1.0, stretch)
        middle = ((1 - height) / 2, (1 - width) / 2, height, width)
        views += [
            ("shows the whole image in other proportions", turned, ((_WHOLE, _WHOLE),)),
            ("shows the middle of the image only", turned, ((_WHOLE, middle),)),
        ]
    return views


def _without_borders(small: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the middle of a thumbnail that has the proportions of the image: cameras add black borders."""
    height, width = small.shape
    rows = min(height, max(8, round(width * shape[0] / shape[1])))
    columns = min(width, max(8, round(height * shape[1] / shape[0])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return small[top : top + rows, left : left + columns]


def _correlation(small: NDArray[np.uint8], image: _Summed, fields: tuple[tuple[_Field, _Field], ...]) -> float | None:
    """Return the largest correlation of a field of the thumbnail with one of the image; None for flat ones."""
    height, width = small.shape
    shrink = max(1.0, max(height, width) / _COMPARED)
    shape = max(4, int(height / shrink)), max(4, int(width / shrink))
    summed, found = _Summed.of(small), []
    for of_small, of_image in fields:
        first, second = summed.averaged(of_small, shape), image.averaged(of_image, shape)
        if min(float(first.std()), float(second.std())) >= 2:
            found.append(float(np.corrcoef(first.ravel(), second.ravel())[0, 1]))
    return max(found, default=None)


# ---- size, orientation, dates ---------------------------------------------------------------------------------------


def _number(text: str | int | None) -> int | None:
    if isinstance(text, int):
        return text
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def _first(xmp: dict[str, tuple[str, ...]], *names: str) -> str | None:
    return next((xmp[name][0] for name in names if name in xmp), None)


def _sizes(header: Header, exif: Exif, xmp: dict[str, tuple[str, ...]]) -> list[Finding]:
    stated = {
        "EXIF": (_number(exif.values.get("PixelXDimension")), _number(exif.values.get("PixelYDimension"))),
        "EXIF's first directory": (_number(exif.values.get("ImageWidth")), _number(exif.values.get("ImageLength"))),
        "XMP": (_number(_first(xmp, "exif:PixelXDimension")), _number(_first(xmp, "exif:PixelYDimension"))),
        "XMP (tiff)": (_number(_first(xmp, "tiff:ImageWidth")), _number(_first(xmp, "tiff:ImageLength"))),
    }
    findings = []
    for where, size in stated.items():
        if not size[0] or not size[1] or size == (header.width, header.height):
            continue
        what = "turned" if size == (header.height, header.width) else "cropped, resized or replaced"
        own = f"{header.width} x {header.height}"
        text = f"{where} says {size[0]} x {size[1]}, the image has {own}: it was {what} since"
        # programs keep the size of the original in the TIFF tags, which are not for JPEG
        kind = "contradiction" if where in ("EXIF", "XMP") else "trace"
        findings.append(Finding(kind, "size", text))
    return findings


def _orientations(exif: Exif, xmp: dict[str, tuple[str, ...]]) -> list[Finding]:
    stated, other = exif.values.get("Orientation"), _number(_first(xmp, "tiff:Orientation"))
    findings = []
    if isinstance(stated, int) and not 1 <= stated <= 8:
        findings.append(Finding("note", "orientation", f"EXIF's orientation is {stated}, allowed are 1 to 8"))
    elif stated is not None and other is not None and stated != other:
        text = f"EXIF says orientation {stated}, XMP {other}"
        findings.append(Finding("contradiction", "orientation", text))
    return findings


def _as_date(text: str | int | None) -> str | None:
    """Return a date as 14 digits, without its zone: EXIF and XMP write it in two ways."""
    digits = "".join(c for c in str(text or "")[:19] if c.isdecimal())
    return digits if len(digits) == 14 and digits > "1" else None


def _dates(exif: Exif, xmp: dict[str, tuple[str, ...]]) -> list[Finding]:
    taken, changed = (_as_date(exif.values.get(name)) for name in ("DateTimeOriginal", "DateTime"))
    other = _as_date(_first(xmp, "exif:DateTimeOriginal"))
    findings = []
    if taken is not None and changed is not None and changed != taken:
        words = f"{exif.values['DateTime']}, taken {exif.values['DateTimeOriginal']}"
        if changed < taken:
            findings.append(Finding("contradiction", "dates", f"EXIF: changed before it was taken: changed {words}"))
        else:
            findings.append(Finding("trace", "dates", f"EXIF: changed {words}"))
    if taken is not None and other is not None and taken != other:
        text = f"EXIF says taken {exif.values['DateTimeOriginal']}, XMP {_first(xmp, 'exif:DateTimeOriginal')}"
        findings.append(Finding("contradiction", "dates", text))
    return findings


# ---- programs -------------------------------------------------------------------------------------------------------


def _photoshop_qualities(segments: list[Segment]) -> tuple[int | None, int | None]:
    """Return the quality that Photoshop's Save As and Save for Web wrote beside the image."""
    save_as = save_for_web = None
    for segment in segments:
        content = bytes(segment.data)
        if segment.marker == APP13 and content.startswith(PHOTOSHOP_SIGNATURE):
            for number, _, value in _resources(content[len(PHOTOSHOP_SIGNATURE) :]):
                if number == _JPEG_QUALITY_RESOURCE and len(value) >= 2:
                    found = int.from_bytes(value[:2], "big", signed=True) + 4  # -4..8 stand for 0..12
                    save_as = found if 0 <= found <= 12 else save_as
        # after "Ducky", records of a tag and a length of two bytes each; tag 1 is the quality
        elif segment.marker == _APP12 and content.startswith(b"Ducky\0\x01\0\x04") and len(content) >= 13:
            found = int.from_bytes(content[9:13], "big")
            save_for_web = found if found <= 100 else save_for_web
    return save_as, save_for_web


def _software(
    exif: Exif,
    xmp: dict[str, tuple[str, ...]],
    photoshop: int | None,
    save_for_web: int | None,
    credentials: ContentCredentials,
) -> tuple[str, ...]:
    names = [str(exif.values.get("Software", ""))]
    for name in ("xmp:CreatorTool", "xap:CreatorTool", "tiff:Software", "stEvt:softwareAgent"):
        names += xmp.get(name, ())
    if photoshop is not None:
        names.append(f"Photoshop, JPEG quality {photoshop} of 12")
    if save_for_web is not None:
        names.append(f"Photoshop's Save for Web, quality {save_for_web}")
    names.append(credentials.generator or "")
    return tuple(dict.fromkeys(name for name in names if name))


def _programs(segments: list[Segment], exif: Exif, software: tuple[str, ...]) -> list[Finding]:
    findings = []
    editors = ("photoshop", "lightroom", "gimp", "paint", "snapseed", "affinity", "pixelmator", "capture one", "picasa",
               "acdsee", "darktable", "canva", "facetune", "imagemagick", "irfanview", "photo gallery", "luminar",
               "fireworks", "stable diffusion", "midjourney", "dall-e", "firefly", "comfyui")  # fmt: skip
    for name in software:
        if any(word in name.lower() for word in editors):
            findings.append(Finding("trace", "software", f"written by an editor: {name}"))
    order = [
        "JFIF" if segment.marker == APP0 and bytes(segment.data[:5]) == b"JFIF\0" else "EXIF"
        for segment in segments
        if (segment.marker == APP0 and bytes(segment.data[:5]) == b"JFIF\0")
        or (segment.marker == APP1 and bytes(segment.data[:6]) == b"Exif\0\0")
    ]
    if order[:2] == ["JFIF", "EXIF"] and exif.values.get("Make"):
        text = "a JFIF segment stands before EXIF: libraries write it, cameras seldom do (EXIF is to come first)"
        findings.append(Finding("trace", "software", text))
    return findings


def _source(exif: Exif, xmp: dict[str, tuple[str, ...]]) -> list[Finding]:
    findings = []
    for value in xmp.get("Iptc4xmpExt:DigitalSourceType", ()):
        kind = value.rsplit("/", 1)[-1]
        word = "that an algorithm made or changed it" if kind in _GENERATED else "its kind of source"
        findings.append(Finding("note", "source", f"the file says {word}: {kind}"))
    comment = str(exif.values.get("UserComment", ""))
    if "Steps: " in comment and "Sampler: " in comment:
        findings.append(Finding("note", "source", "the user comment has the settings of an image generator"))
    make, other = exif.values.get("Make"), _first(xmp, "tiff:Make")
    if make and other and str(make).strip().lower() != other.strip().lower():
        findings.append(Finding("contradiction", "source", f"EXIF says made by {make}, XMP {other}"))
    return findings


# ---- parts and credentials ------------------------------------------------------------------------------------------


def _parts(data: bytes, segments: list[Segment], parts: tuple[Part, ...]) -> list[Finding]:
    listed = 0
    for segment in segments:
        if segment.marker == APP2 and bytes(segment.data[:4]) == b"MPF\0":
            listed = _listed_images(bytes(segment.data[4:]))
    images = sum(map(is_picture, parts))
    findings = []
    if listed > 1 and is_cut_off(data):
        images = max(images - 1, 1)  # the last is not whole
        text = f"the Multi-Picture index lists {listed} images, the file has {images} and is cut off"
        findings.append(Finding("note", "damage", text))
    elif listed > images:
        text = f"the Multi-Picture index lists {listed} images, the file has {images}: a program dropped the others"
        findings.append(Finding("contradiction", "parts", text))
    elif images > 1:
        sizes = ", ".join(f"{part.kind} of {part.size} bytes" for part in parts[1:] if is_picture(part))
        where = "the Multi-Picture index lists them" if listed == images else "no Multi-Picture index lists them all"
        findings.append(Finding("note", "parts", f"{images - 1} further in the file ({sizes}); {where}"))
    rest = sum(part.size for part in parts[1:] if part.kind == "data")
    if rest:
        findings.append(Finding("note", "parts", f"{rest} bytes of unknown data follow the image"))
    scan = next_marker(data, segments[-1].offset + 4 + len(segments[-1].data) if segments else 2)
    if scan < 0 or data[scan + 1] != SOS or not segment_end(data, scan):
        findings.append(Finding("note", "damage", "the file has no coded image"))
    return findings


def _listed_images(tiff: bytes) -> int:
    """Return NumberOfImages of a Multi-Picture index (CIPA DC-007, 5.2.3.2)."""
    order = "little" if tiff[:2] == b"II" else "big"
    at = int.from_bytes(tiff[4:8], order)  # type: ignore[arg-type]
    for entry in range(at + 2, at + 2 + 12 * min(int.from_bytes(tiff[at : at + 2], order), 100), 12):  # type: ignore[arg-type]
        if int.from_bytes(tiff[entry : entry + 2], order) == 0xB001:  # type: ignore[arg-type]
            return min(int.from_bytes(tiff[entry + 8 : entry + 12], order), 1000)  # type: ignore[arg-type]
    return 0


def _credentials(found: ContentCredentials) -> list[Finding]:
    if found.state == "absent":
        text = f"a C2PA manifest is said to be at {found.remote[:200]}; it was not fetched" if found.remote else ""
        return [Finding("note", "credentials", text)] if text else []
    if found.state == "invalid":
        codes = ", ".join(found.problems)
        return [Finding("contradiction", "credentials", f"the C2PA manifest is not valid: {codes}")]
    words = {
        "not validated": "a C2PA manifest is there; install mozcodec[c2pa] to validate it",
        "valid": f"the C2PA manifest is valid; its signer, {found.issuer}, is on no trust list",
        "trusted": f"the C2PA manifest is valid and signed by {found.issuer}",
    }
    return [Finding("note", "credentials", words.get(found.state, f"C2PA state {found.state}"))]
