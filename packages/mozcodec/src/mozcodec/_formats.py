"""The names of the formats that people pass in place of a JPEG, by the bytes that files of them begin with.

Binary formats are recognised by their signature, as in ``file``'s and Pillow's lists; texts as browsers do (WHATWG MIME
Sniffing, 7.1). Only what does not begin with FF D8 is looked up, and JPEG-LS, which begins so too.
"""

import re

from ._metadata import EOI, SOS

_OFFSETS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXS ", "JPEG XS"),
    (0, b"\xff\x10\xff\x50", "JPEG XS"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"\xcf\x84", "Lepton"),
    (0, b"\x0a\x04B\xd2\xd5N", "Brunsli"),
    (0, b"\x97JB2\r\n\x1a\n", "JBIG2"),
    (0, b"FLIF", "FLIF"),
    (0, b"BPG\xfb", "BPG"),
    # cameras' raw files, before TIFF, which they resemble
    (8, b"CR\2\0", "Canon CR2"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "BigTIFF"),
    (0, b"MM\0+", "BigTIFF"),
    (128, b"DICM", "DICOM"),
    (0, b"\xff\x01Exiv2", "Exiv2 metadata (EXV)"),
    # images of editors, games and science
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP XCF"),
    (20, b"GIMP", "a GIMP brush"),
    (0, b"icns", "ICNS"),
    (0, b"DDS ", "DDS"),
    (0, b"BLP1", "BLP"),
    (0, b"BLP2", "BLP"),
    (0, b"FTEX", "FTEX"),
    (0, b"VTF\0", "VTF"),
    (0, b"\xabKTX ", "KTX"),
    (0, b"qoif", "QOI"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"#?RGBE", "Radiance HDR"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"SDPX", "DPX"),
    (0, b"XPDS", "DPX"),
    (0, b"\x80\x2a\x5f\xd7", "Cineon"),
    (0, b"SIMPLE  =", "FITS"),
    (344, b"n+1\0", "NIfTI"),
    (0, b"\x89HDF\r\n", "HDF5"),
    (0, b"MATLAB 5.0 MAT-file", "MATLAB"),
    (0, b"\x01\xda\0", "SGI"),
    (0, b"\x01\xda\1", "SGI"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\xb1\x68\xde\x3a", "DCX"),
    (0, b"DanM", "Microsoft Paint (MSP)"),
    (0, b"LinS", "Microsoft Paint (MSP)"),
    (0, b"Image type:", "IFUNC IM"),
    (0, b"PGF", "PGF"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (2048, b"PCD_IPI", "PhotoCD"),
    (0, b"AT&TFORM", "DjVu"),
    (8, b"ILBM", "IFF ILBM"),
    (8, b"PBM ", "IFF ILBM"),
    (0, b"(\0\0\0", "DIB"),
    (0, b"\x8bJNG", "JNG"),
    (0, b"\x8aMNG", "MNG"),
    (0, b"\x93NUMPY", "NPY"),
    # documents
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"{\\rtf", "RTF"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Microsoft compound file (FlashPix, DOC)"),
    # sound, films, fonts
    (8, b"AVI ", "AVI"),
    (8, b"WAVE", "WAV"),
    (8, b"ACON", "ANI"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"\0\0\1\xba", "MPEG"),
    (0, b"\0\0\1\xb3", "MPEG"),
    (0, b"FLV\1", "FLV"),
    (0, b"OggS", "Ogg"),
    (0, b"fLaC", "FLAC"),
    (0, b"ID3", "MP3"),
    (0, b"\xff\xfb", "MP3"),
    (0, b"\xff\xf3", "MP3"),
    (4, b"\x11\xaf", "FLI"),
    (4, b"\x12\xaf", "FLI"),
    (0, b"FWS", "Flash"),
    (0, b"CWS", "Flash"),
    (0, b"ZWS", "Flash"),
    (0, b"OTTO", "a font"),
    (0, b"\0\1\0\0\0", "a font"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    # archives and programs
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"PK\x05\x06", "ZIP"),
    (0, b"PK\x07\x08", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (0, b"\x04\x22\x4d\x18", "LZ4"),
    (0, b"Rar!\x1a", "RAR"),
    (0, b"RE~^", "RAR"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (257, b"ustar", "tar"),
    (0, b"\x7fELF", "ELF"),
    (0, b"MZ", "a Windows program"),
    (0, b"SQLite format 3", "SQLite"),
    # text that stands for an image
    (0, b"/9j/", "base64 text"),
    (0, b"data:image/", "a data URL"),
    (0, b"HTTP/", "an HTTP response"),
    (0, b"version https://git-lfs", "a Git LFS pointer"),
    (0, b"/* XPM */", "XPM"),
    (0, b"#define ", "XBM"),
    # few bytes, after all that begins alike
    (0, b"BA(\0\0\0", "an OS/2 bitmap array"),
    (0, b"BM", "BMP"),
    (0, b"\xff\xfe", "text in UTF-16"),
    (0, b"\xfe\xff", "text in UTF-16"),
)  # fmt: skip
_PNM = {"1": "PBM", "2": "PGM", "3": "PPM", "4": "PBM", "5": "PGM", "6": "PPM", "7": "PAM", "F": "PFM", "f": "PFM"}
_AFTER_ANYTHING = ((b"%PDF-", "PDF"),)
"""Readers accept these after up to 1,024 bytes of anything."""

_BRANDS = {
    "avif": "AVIF", "avis": "AVIF", "crx ": "Canon CR3", "mif1": "HEIF", "mif2": "HEIF", "msf1": "HEIF",
    **dict.fromkeys(("heic", "heix", "heim", "heis", "hevc", "hevx"), "HEIC"),
}
_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")

_TAGS = (
    "html|head|body|title|meta|link|style|script|div|span|table|iframe|h[1-6]|p|a|br|b|i|font|img|form|input|textarea|"
    "button|select|canvas|video|ul|ol|li|hr|center|pre|main|section|article|header|footer|nav|label"
)
_HTML = re.compile(rf"<(?:!doctype html|/?(?:{_TAGS}))(?=[\s/>]|$)".encode())
_PROLOG = re.compile(rb"\s*(?:<\?.*?\?>|<!--.*?-->|<!doctype(?:[^\[>]|\[.*?\])*>)\s*", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([a-z_][\w.-]*)")
_XMP = re.compile(rb"<\?xpacket|<x:xmpmeta|<rdf:rdf")
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def _iso_name(data: bytes) -> str | None:
    """Return the name of a file of boxes (ISO 14496-12) by its brands; the first that says more than "HEIF" counts."""
    if data[4:8] in _BOXES:
        return "MP4 or QuickTime"
    if data[4:8] != b"ftyp":
        return None
    brands = data[8:12] + data[16 : min(int.from_bytes(data[:4], "big"), 256)]
    names = [_BRANDS.get(brands[i : i + 4].decode("latin-1")) for i in range(0, len(brands), 4)]
    if names[0] is None:
        return "MP4 or QuickTime"
    return next((name for name in names if name not in (None, "HEIF")), names[0])


def _icon_name(data: bytes) -> str | None:
    """Return the name of icons and cursors; TGA files begin alike, but with zeros in place of the number of images."""
    name = {b"\0\0\1\0": "ICO", b"\0\0\2\0": "CUR"}.get(data[:4])
    return name if any(data[4:6]) else None


def _is_tga(data: bytes) -> bool:
    """Return whether *data* has a TGA header, which has no signature: types, sizes and depths must make sense."""
    return (
        len(data) >= 18
        and data[1] in (0, 1)
        and data[2] in (1, 2, 3, 9, 10, 11, 32, 33)
        and data[7] in (0, 15, 16, 24, 32)
        and (data[1] == 1) == (data[7] > 0)
        and data[16] in (1, 8, 15, 16, 24, 32)
        and any(data[12:14])
        and any(data[14:16])
    )


def _is_pcx(data: bytes) -> bool:
    return len(data) > 66 and data[0] == 10 and data[1] <= 5 and data[2] <= 1 and data[3] in (1, 2, 4, 8)


def _is_pict(data: bytes) -> bool:
    """Return whether *data* is QuickDraw's PICT: version 1 or 2 after its size and frame, perhaps behind 512 zeros."""
    return any(data[at + 10 : at + 12] in (b"\0\x11", b"\x11\1") for at in (0, 512) if not any(data[:at]))


def _text_name(data: bytes) -> str | None:
    """Return which kind of text *data* begins with, or None for what is no text."""
    text = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if _XMP.match(text):
        return "XMP"
    if not text or _BINARY.search(text[:512]):
        return None
    if _HTML.match(text):
        return "HTML"
    prolog, is_xml = 0, text.startswith(b"<?xml")
    while found := _PROLOG.match(text, prolog):
        prolog = found.end()
    root = _ROOT.match(text, prolog)
    if root is not None:
        if root[1] in (b"svg", b"html"):
            return root[1].decode().upper()
        return "HTML" if _HTML.match(text, prolog) and not is_xml else "XML"
    if is_xml:
        return "XML"
    if text.startswith((b"<!doctype", b"<!--", b"</")):
        return "HTML"
    if text.startswith((b"{", b"[")):
        return "JSON"
    try:
        text[:512].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < 509:  # not only the last character is cut
            return None
    return "text"


def _is_jpeg_ls(data: bytes) -> bool:
    """Return whether the first frame header is that of JPEG-LS (T.87), which begins as a JPEG does."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xF7:
            return True
        if marker in (SOS, EOI) or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return False
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def begins_as_jpeg(data: bytes) -> bool:
    """Return whether *data* begins with FF D8, or with FF where there is no more."""
    return data[:2] in (b"\xff\xd8", b"\xff")


def format_of(data: bytes) -> str | None:
    """Return the name of the format that *data* begins with, where it is another than JPEG and known."""
    if not data:
        return "empty"
    if data[:2] == b"\xff\xd8":
        return "JPEG-LS" if _is_jpeg_ls(data[:65536]) else None
    for offset, signature, name in _OFFSETS:
        if data[offset : offset + len(signature)] == signature:
            return name
    if data[:1] == b"P" and (pnm := _PNM.get(data[1:2].decode("latin-1"))) and data[2:3].isspace():
        return pnm
    named = _iso_name(data) or _icon_name(data)
    if named is not None:
        return named
    for signature, name in _AFTER_ANYTHING:
        if signature in data[:1024]:
            return name
    for looks_like, name in ((_is_pcx, "PCX"), (_is_tga, "TGA"), (_is_pict, "PICT")):
        if looks_like(data):
            return name
    return _text_name(data)
