"""A plugin of pytest that puts mozcodec in the place of the libraries of jpeglib's C boundary; see peer_suites.py."""

# ruff: noqa: ARG001  (the signatures are those of the library)

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
from jpeglib._bind import CJpegLib

import mozcodec
from mozcodec import Coefficients

# jpeglib writes what stands on the left into the signed shorts of ctypes
COLOR_SPACES = {1: "gray", 2: "rgb", 3: "ycbcr", 4: "cmyk", 5: "ycck"}
DCT_METHODS = {0: "islow", 1: "ifast", 2: "float"}


def _file(path: Any) -> bytes:
    return Path(path.decode() if isinstance(path, bytes) else path).read_bytes()


def _fill(target: Any, values: Any) -> None:
    array = np.ctypeslib.as_array(target)
    flat = np.asarray(values).ravel()
    array.reshape(-1)[: flat.size] = flat


def _factors(values: Any, count: int) -> list[tuple[int, int]]:
    """Return (h, v) of jpeglib's (v, h)."""
    return [(int(h), int(v)) for v, h in np.ctypeslib.as_array(values).reshape(-1, 2)[:count]]


def _markers(info: mozcodec.Inspection) -> list[tuple[int, bytes]]:
    codes = {f"APP{i}": 0xE0 + i for i in range(16)} | {"COM": 0xFE}
    return [(codes[s.name], s.data) for s in info.segments if s.name in codes]


def _huffman(tables: Any, bits: Any, values: Any) -> None:
    np.ctypeslib.as_array(bits)[..., 0] = -1
    for table in tables:
        kind = 0 if table.kind == "dc" else 1
        _fill(bits[kind][table.slot], (0, *table.counts))
        _fill(values[kind][table.slot], list(table.symbols))


def read_jpeg_info(cls: Any, srcfile: str, *, block_dims: Any, image_dims: Any, num_components: Any, samp_factor: Any,
                   jpeg_color_space: Any, marker_lengths: Any, marker_types: Any, huffman_bits: Any,
                   huffman_values: Any, num_scans: Any, flags: Any) -> None:  # fmt: skip
    data = _file(srcfile)
    info, header = mozcodec.inspect(data), mozcodec.read_header(data)
    most = [max(f[i] for f in header.sampling_factors) for i in (0, 1)]
    _fill(block_dims, [(-(-header.height * v // (8 * most[1])), -(-header.width * h // (8 * most[0])))
                       for h, v in header.sampling_factors])  # fmt: skip
    _fill(image_dims, (header.height, header.width))
    num_components[0], num_scans[0] = header.num_components, len(info.scans)
    _fill(samp_factor, [(v, h) for h, v in header.sampling_factors])
    code = {name: code for code, name in COLOR_SPACES.items()}[str(header.color_space)]
    jpeg_color_space[0] = jpeg_color_space[1] = code
    for i, (marker, content) in enumerate(_markers(info)):
        marker_types[i], marker_lengths[i] = marker, len(content)
    _huffman(info.huffman_tables, huffman_bits, huffman_values)
    flags[0] = cls.MASKS["PROGRESSIVE_MODE"] if header.progressive else 0


def read_jpeg_markers(cls: Any, srcfile: str, markers: Any) -> None:
    content = b"".join(data for _, data in _markers(mozcodec.inspect(_file(srcfile))))
    ctypes.memmove(markers, content, len(content))


def read_jpeg_dct(cls: Any, srcfile: str, Y: Any, Cb: Any, Cr: Any, K: Any, qt: Any, quant_tbl_no: Any,
                  path: Any = None) -> None:  # fmt: skip
    data = _file(srcfile)
    coefficients, info = mozcodec.read_coefficients(data), mozcodec.inspect(data)
    for target, blocks in zip((Y, Cb, Cr, K), coefficients.components, strict=False):
        _fill(target, blocks)
    for slot, table in info.quant_tables.items():
        _fill(qt[slot], table)
    for i, component in enumerate(info.components):
        quant_tbl_no[i] = component.quant_slot


def _options(cls: Any, flags: Any, progressive: bool | None = None) -> dict[str, Any]:
    told = {flag.lstrip("+-").upper(): not flag.startswith("-") for flag in flags or ()}
    options: dict[str, Any] = {"profile": "fastest"}
    if told.get("PROGRESSIVE_MODE", progressive):
        options["progressive"] = True
    if "TRELLIS_QUANT" in told:
        options["trellis_quant"] = told["TRELLIS_QUANT"]
    return options


def _write(path: str, data: bytes, markers: list[tuple[int, bytes]]) -> None:
    """Write the file with the given segments behind those of the encoder."""
    own = {s.name for s in mozcodec.inspect(data).segments}
    app: dict[int, list[bytes]] = {}
    for marker, content in markers:
        if marker != 0xFE and f"APP{marker - 0xE0}" not in own:
            app.setdefault(marker - 0xE0, []).append(content)
    Path(path).write_bytes(mozcodec.edit_metadata(data, app=app) if app else data)


def _given_markers(count: int, types: Any, lengths: Any, markers: Any) -> list[tuple[int, bytes]]:
    if not count:
        return []
    content, result, at = bytes(markers), [], 0
    for marker, length in zip(list(types)[:count], list(lengths)[:count], strict=True):
        result.append((int(marker), content[at : at + length]))
        at += length
    return result


def write_jpeg_dct(cls: Any, srcfile: str, dstfile: str, Y: Any, Cb: Any, Cr: Any, K: Any, image_dims: Any,
                   block_dims: Any, in_color_space: int, in_components: int, samp_factor: Any, qt: Any, quality: int,
                   quant_tbl_no: Any, num_markers: int, marker_types: Any, marker_lengths: Any, markers: Any,
                   flags: Any) -> None:  # fmt: skip
    blocks = [np.ctypeslib.as_array(c).reshape(*np.shape(c)[:2], 8, 8) for c in (Y, Cb, Cr, K) if c is not None]
    count = len(blocks)
    if qt is None:
        made = mozcodec.encode(np.zeros((8, 8, 3), np.uint8), None if quality < 0 else quality, quant_table=0,
                               profile="fastest")  # fmt: skip
        tables = list(mozcodec.inspect(made).quant_tables.values())
    else:
        tables = list(np.ctypeslib.as_array(qt).reshape(-1, 8, 8))
    slots = [0, 1, 1, 0][:count]
    if quant_tbl_no is not None and quant_tbl_no[0] >= 0:
        slots = [max(int(n), 0) for n in list(quant_tbl_no)[:count]]
    height, width = list(image_dims)[:2]
    coefficients = Coefficients(
        width=width,
        height=height,
        color_space=COLOR_SPACES[in_color_space],
        sampling_factors=tuple(_factors(samp_factor, count)),
        components=tuple(blocks),
        quant_tables=tuple(tables[min(slot, len(tables) - 1)] for slot in slots),
    )
    data = mozcodec.write_coefficients(coefficients, **_options(cls, flags))
    _write(dstfile, data, _given_markers(num_markers, marker_types, marker_lengths, markers))


def _pixels(data: bytes, color_space: int, dct_method: Any, flags: Any) -> Any:
    told = {flag.lstrip("+-").upper(): not flag.startswith("-") for flag in flags or ()}
    name = COLOR_SPACES.get(color_space, "rgb")
    return mozcodec.decode(
        data,
        name,
        dct_method=DCT_METHODS.get(dct_method, "islow"),
        fancy_upsampling=told.get("DO_FANCY_UPSAMPLING", True),
        block_smoothing=told.get("DO_BLOCK_SMOOTHING", True),
        on_truncated="ok",
    )


def read_jpeg_spatial(cls: Any, srcfile: str, spatial: Any, colormap: Any, in_colormap: Any, out_color_space: int,
                      dither_mode: Any, dct_method: Any, flags: Any, path: Any = None) -> None:  # fmt: skip
    _fill(spatial, _pixels(_file(srcfile), out_color_space, dct_method, flags))


def write_jpeg_spatial(cls: Any, dstfile: str, spatial: Any, image_dims: Any, jpeg_color_space: Any,
                       num_components: Any, dct_method: Any, samp_factor: Any, qt: Any, quality: Any,
                       quant_tbl_no: Any, base_quant_tbl_idx: Any, smoothing_factor: Any, num_markers: int,
                       marker_types: Any, marker_lengths: Any, markers: Any, num_scans: int, scan_script: Any,
                       huffman_bits: Any, huffman_values: Any, progressive_mode: Any, dst_unquantized: Any,
                       flags: Any) -> None:  # fmt: skip
    height, width = list(image_dims)[:2]
    image = np.ctypeslib.as_array(spatial).reshape(-1)[: height * width * num_components[0]]
    image = image.reshape(height, width, num_components[0])
    source, target = (COLOR_SPACES[code] for code in list(jpeg_color_space)[:2])
    options = _options(cls, flags, progressive_mode)
    if source != target or source in ("rgb", "cmyk"):
        options["color_space"] = target
    if dct_method is not None:
        options["dct_method"] = DCT_METHODS[dct_method]
    if samp_factor is not None:
        options["subsampling"] = _factors(samp_factor, num_components[1])
    options["quant_table"] = base_quant_tbl_idx or 0
    if smoothing_factor is not None:
        options["smoothing_factor"] = smoothing_factor
    if qt is not None:
        options["quant_tables"] = list(np.ctypeslib.as_array(qt).reshape(-1, 8, 8))
        if quant_tbl_no is not None:
            options["quant_slots"] = [int(n) for n in list(quant_tbl_no)[: num_components[1]]]
    if scan_script is not None:
        rows = np.ctypeslib.as_array(scan_script)[:num_scans]
        options["scan_script"] = [([int(n) for n in r[5 : 5 + r[0]]], *(int(n) for n in r[1:5])) for r in rows]
    if dst_unquantized is not None:
        raise NotImplementedError("mozcodec has no coefficients before quantization")
    given = None if quality is None or int(quality) < 0 else int(quality)
    data = mozcodec.encode(image, given, pixel_format=source, **options)
    _write(dstfile, data, _given_markers(num_markers, marker_types, marker_lengths, markers))


def _after_scan(data: bytes, end: int) -> bytes:
    return data[:end] + b"\xff\xd9"


def read_jpeg_progressive(cls: Any, srcfile: str, spatial: Any, colormap: Any, in_colormap: Any, out_color_space: int,
                          dither_mode: Any, dct_method: Any, scan_script: Any, huffman_bits: Any, huffman_values: Any,
                          qt: Any, quant_tbl_no: Any, flags: Any, path: Any = None) -> None:  # fmt: skip
    data = _file(srcfile)
    info = mozcodec.inspect(data)
    images = []
    for s, scan in enumerate(info.scans):
        part = _after_scan(data, scan.offset + scan.size)
        images.append(_pixels(part, out_color_space, dct_method, flags))
        until = mozcodec.inspect(part)
        count = len(scan.components)
        row = [-1] * 17
        row[:5] = [count, *scan.spectral_selection, *scan.approximation]
        row[5 : 5 + count] = scan.components
        row[9 : 9 + count] = [dc for dc, _ in scan.huffman_slots]
        row[13 : 13 + count] = [ac for _, ac in scan.huffman_slots]
        _fill(scan_script[s], row)
        _huffman(until.huffman_tables, huffman_bits[s], huffman_values[s])
        for i, component in enumerate(scan.components):
            quant_tbl_no[s][i] = until.components[component].quant_slot
        for slot, table in until.quant_tables.items():
            _fill(qt[s][slot], table)
    _fill(spatial, np.stack(images))


for _name in ("read_jpeg_info", "read_jpeg_markers", "read_jpeg_dct", "write_jpeg_dct", "read_jpeg_spatial",
              "write_jpeg_spatial", "read_jpeg_progressive"):  # fmt: skip
    setattr(CJpegLib, _name, classmethod(getattr(sys.modules[__name__], _name)))
