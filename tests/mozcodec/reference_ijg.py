"""IJG's own libjpeg 8d and 9f, for the tests of DCT scaling and SmartScale: ``python reference_ijg.py FOLDER``.

FOLDER holds PyPI's jpeglib, whose extension modules export the whole interface of each libjpeg. Reads a pickled list of
jobs from standard input and writes the pickled results. A process of its own, for a libjpeg that a wrong field makes
crash. Jobs: ("encode", version, pixels, options) -> bytes; ("decode", version, data) -> pixels.
"""

import contextlib
import ctypes
import io
import pickle
import sys
import tempfile
from ctypes import c_double, c_int, c_size_t, c_ubyte, c_uint, c_ushort, c_void_p
from pathlib import Path

import numpy as np


class Component(ctypes.Structure):
    """jpeg_component_info of libjpeg 8 and 9, as far as its sampling factors."""

    _fields_ = [
        *((name, c_int) for name in ("id", "index", "h", "v", "quant", "dc", "ac")),
        *((name, c_uint) for name in ("blocks_wide", "blocks_high")),
        *((name, c_int) for name in ("dct_h", "dct_v")),
        *((name, c_uint) for name in ("width", "height")),
        ("needed", c_int),
        *((name, c_int) for name in ("mcu_w", "mcu_h", "mcu_blocks", "mcu_samples", "last_col", "last_row")),
        ("table", c_void_p),
        ("dct_table", c_void_p),
    ]


def structure(version: str) -> type:
    """jpeg_compress_struct; the wheel's libjpeg 9 is built with a 32-bit UINT16, its 8 with a 16-bit one."""
    density = c_ushort if version[0] == "8" else c_uint
    fields: list[tuple] = [
        *((name, c_void_p) for name in ("err", "mem", "progress", "client_data")),
        *((name, c_int) for name in ("is_decompressor", "global_state")),
        ("dest", c_void_p),
        *((name, c_uint) for name in ("image_width", "image_height")),
        *((name, c_int) for name in ("input_components", "in_color_space")),
        ("input_gamma", c_double),
        *((name, c_uint) for name in ("scale_num", "scale_denom", "jpeg_width", "jpeg_height")),
        *((name, c_int) for name in ("data_precision", "num_components", "jpeg_color_space")),
        ("comp_info", ctypes.POINTER(Component)),
        ("quant_tables", c_void_p * 4),
        ("q_scale_factor", c_int * 4),
        ("dc_tables", c_void_p * 4),
        ("ac_tables", c_void_p * 4),
        *((name, c_ubyte * 16) for name in ("arith_dc_l", "arith_dc_u", "arith_ac_k")),
        ("num_scans", c_int),
        ("scan_info", c_void_p),
        *((name, c_int) for name in ("raw_data_in", "arith_code", "optimize_coding", "ccir601", "fancy", "smoothing")),
        ("dct_method", c_int),
        ("restart_interval", c_uint),
        *((name, c_int) for name in ("restart_in_rows", "write_jfif")),
        *((name, c_ubyte) for name in ("jfif_major", "jfif_minor", "density_unit")),
        *((name, density) for name in ("x_density", "y_density")),
        ("write_adobe", c_int),
    ]
    if version[0] == "9":
        fields.append(("color_transform", c_int))
    fields += [
        ("next_scanline", c_uint),
        *((name, c_int) for name in ("progressive", "max_h", "max_v", "min_dct_h", "min_dct_v")),
        ("imcu_rows", c_uint),
        ("comps_in_scan", c_int),
        ("current", c_void_p * 4),
        *((name, c_uint) for name in ("mcus_per_row", "mcu_rows")),
        ("blocks_in_mcu", c_int),
        ("membership", c_int * 10),
        *((name, c_int) for name in ("Ss", "Se", "Ah", "Al", "block_size")),
        ("natural_order", c_void_p),
        ("lim_Se", c_int),
        *((f"module_{i}", c_void_p) for i in range(10)),
        ("script_space_size", c_int),
    ]
    return type("CompressStruct", (ctypes.Structure,), {"_fields_": fields})


def encode(folder: Path, version: str, pixels: np.ndarray, options: dict) -> bytes:
    """cjpeg -block N -scale M/N ... of a libjpeg."""
    (path,) = (folder / "jpeglib" / "cjpeglib").glob(f"cjpeglib_{version}.*.so")
    lib = ctypes.CDLL(str(path))
    kind = structure(version)
    cinfo, error = kind(), (ctypes.c_char * 4096)()
    lib.jpeg_std_error.restype = c_void_p
    cinfo.err = lib.jpeg_std_error(error)
    here = ctypes.byref(cinfo)
    lib.jpeg_CreateCompress(here, 90 if version[0] == "9" else 80, c_size_t(ctypes.sizeof(kind)))
    buffer, size = c_void_p(), c_size_t()
    lib.jpeg_mem_dest(here, ctypes.byref(buffer), ctypes.byref(size))
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    cinfo.image_width, cinfo.image_height = width, height
    cinfo.input_components, cinfo.in_color_space = channels, 1 if channels == 1 else 2
    lib.jpeg_set_defaults(here)
    if options.get("rgb"):
        lib.jpeg_set_colorspace(here, 2)
    cinfo.dct_method, cinfo.block_size = 0, options.get("block", 8)
    cinfo.scale_num, cinfo.scale_denom = options.get("scale", (1, 1))
    lib.jpeg_set_quality(here, options.get("quality", 75), 0)
    for i in range(cinfo.num_components):
        h, v = options.get("sampling", (1, 1)) if i == 0 else (1, 1)
        cinfo.comp_info[i].h, cinfo.comp_info[i].v = h, v
    cinfo.arith_code = options.get("arithmetic", 0)
    cinfo.optimize_coding = options.get("optimize", 0)
    cinfo.restart_in_rows = options.get("restart", 0)
    if options.get("progressive"):
        lib.jpeg_simple_progression(here)
    lib.jpeg_start_compress(here, 1)
    raw = np.ascontiguousarray(pixels)
    for y in range(height):
        row = (c_void_p * 1)(raw.ctypes.data + y * width * channels)
        lib.jpeg_write_scanlines(here, row, 1)
    lib.jpeg_finish_compress(here)
    data = ctypes.string_at(buffer, size.value)
    lib.jpeg_destroy_compress(here)
    return data


def decode(version: str, data: bytes) -> np.ndarray:
    """djpeg -nosmooth, without block smoothing, which takes coefficients that no small block has for unsent ones."""
    import jpeglib

    jpeglib.version.set(version)
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(data)
        file.flush()
        pixels = jpeglib.read_spatial(file.name, flags=["-DO_BLOCK_SMOOTHING", "-DO_FANCY_UPSAMPLING"]).spatial
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def main(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    jobs = pickle.load(sys.stdin.buffer)
    results = []
    with contextlib.redirect_stdout(io.StringIO()):
        for kind, version, *rest in jobs:
            results.append(encode(folder, version, *rest) if kind == "encode" else decode(version, *rest))
    sys.stdout.buffer.write(pickle.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
