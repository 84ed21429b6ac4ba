"""The Independent JPEG Group's libjpeg as a reference: it wrote SmartScale and DCT scaling and reads them.

The wheel of ``jpeglib`` (package index) holds every version of libjpeg as an extension module that exports the whole C
API. It is called here through ctypes; ``jpeglib`` itself is never imported. libjpeg's own error handler ends the
process, so the calls are made in one of their own: ``python ijg.py VERSION`` executes pickled calls, :class:`Reference`
sends them.
"""

import ctypes
import importlib.util
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

GRAY, RGB, YCC, BG_RGB, BG_YCC = 1, 2, 3, 6, 7
Pointer, Int, UInt, Byte = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_ubyte
Short = ctypes.c_uint  # the wheel was built with a UINT16 of 32 bits


def library_path(version):
    spec = importlib.util.find_spec("jpeglib")
    if spec is None or spec.origin is None:
        raise RuntimeError("the tests against libjpeg 8 and 9 need the package jpeglib: pip install jpeglib==1.0.2")
    return Path(spec.origin).parent / "cjpeglib" / f"cjpeglib_{version}.abi3.so"


class Component(ctypes.Structure):
    """``jpeg_component_info`` of libjpeg 7 and later."""

    _fields_ = [
        *((name, Int) for name in ("component_id", "component_index", "h_samp_factor", "v_samp_factor")),
        *((name, Int) for name in ("quant_tbl_no", "dc_tbl_no", "ac_tbl_no")),
        *((name, UInt) for name in ("width_in_blocks", "height_in_blocks")),
        *((name, Int) for name in ("DCT_h_scaled_size", "DCT_v_scaled_size")),
        *((name, UInt) for name in ("downsampled_width", "downsampled_height")),
        *((name, Int) for name in ("component_needed", "MCU_width", "MCU_height", "MCU_blocks", "MCU_sample_width")),
        *((name, Int) for name in ("last_col_width", "last_row_height")),
        ("quant_table", ctypes.POINTER(Short)),
        ("dct_table", Pointer),
    ]


COMMON = [
    *((name, Pointer) for name in ("err", "mem", "progress", "client_data")),
    *((name, Int) for name in ("is_decompressor", "global_state")),
]
TABLES = [(name, Pointer * 4) for name in ("quant_tbl_ptrs", "dc_huff_tbl_ptrs", "ac_huff_tbl_ptrs")]
CONDITIONING = [(name, Byte * 16) for name in ("arith_dc_L", "arith_dc_U", "arith_ac_K")]
SCAN = [
    ("cur_comp_info", Pointer * 4),
    *((name, UInt) for name in ("MCUs_per_row", "MCU_rows_in_scan")),
    ("blocks_in_MCU", Int),
    ("MCU_membership", Int * 10),
    *((name, Int) for name in ("Ss", "Se", "Ah", "Al", "block_size")),
    ("natural_order", Pointer),
    ("lim_Se", Int),
]


def compress_struct(version):
    fields = [
        *COMMON,
        ("dest", Pointer),
        *((name, UInt) for name in ("image_width", "image_height")),
        *((name, Int) for name in ("input_components", "in_color_space")),
        ("input_gamma", ctypes.c_double),
        *((name, UInt) for name in ("scale_num", "scale_denom", "jpeg_width", "jpeg_height")),
        *((name, Int) for name in ("data_precision", "num_components", "jpeg_color_space")),
        ("comp_info", ctypes.POINTER(Component)),
        TABLES[0],
        ("q_scale_factor", Int * 4),
        *TABLES[1:],
        *CONDITIONING,
        ("num_scans", Int),
        ("scan_info", Pointer),
        *((name, Int) for name in ("raw_data_in", "arith_code", "optimize_coding", "CCIR601_sampling")),
        *((name, Int) for name in ("do_fancy_downsampling", "smoothing_factor", "dct_method")),
        ("restart_interval", UInt),
        *((name, Int) for name in ("restart_in_rows", "write_JFIF_header")),
        *((name, Byte) for name in ("JFIF_major_version", "JFIF_minor_version", "density_unit")),
        *((name, Short) for name in ("X_density", "Y_density")),
        ("write_Adobe_marker", Int),
        *([("color_transform", Int)] if version.startswith("9") else []),
        ("next_scanline", UInt),
        *((name, Int) for name in ("progressive_mode", "max_h", "max_v", "min_DCT_h", "min_DCT_v")),
        ("total_iMCU_rows", UInt),
        ("comps_in_scan", Int),
        *SCAN,
        *((name, Pointer) for name in ("master", "main", "prep", "coef", "marker", "cconvert", "downsample", "fdct")),
        *((name, Pointer) for name in ("entropy", "script_space")),
        ("script_space_size", Int),
    ]
    return type("jpeg_compress_struct", (ctypes.Structure,), {"_fields_": fields})


def decompress_struct(version):
    fields = [
        *COMMON,
        ("src", Pointer),
        *((name, UInt) for name in ("image_width", "image_height")),
        *((name, Int) for name in ("num_components", "jpeg_color_space", "out_color_space")),
        *((name, UInt) for name in ("scale_num", "scale_denom")),
        ("output_gamma", ctypes.c_double),
        *((name, Int) for name in ("buffered_image", "raw_data_out", "dct_method", "do_fancy_upsampling")),
        *((name, Int) for name in ("do_block_smoothing", "quantize_colors", "dither_mode", "two_pass_quantize")),
        *((name, Int) for name in ("desired_number_of_colors", "enable_1pass", "enable_external", "enable_2pass")),
        *((name, UInt) for name in ("output_width", "output_height")),
        *((name, Int) for name in ("out_color_components", "output_components", "rec_outbuf_height")),
        ("actual_number_of_colors", Int),
        ("colormap", Pointer),
        ("output_scanline", UInt),
        ("input_scan_number", Int),
        ("input_iMCU_row", UInt),
        ("output_scan_number", Int),
        ("output_iMCU_row", UInt),
        ("coef_bits", Pointer),
        *TABLES,
        ("data_precision", Int),
        ("comp_info", ctypes.POINTER(Component)),
        *((name, Int) for name in ("is_baseline", "progressive_mode", "arith_code")),
        *CONDITIONING,
        ("restart_interval", UInt),
        ("saw_JFIF_marker", Int),
        *((name, Byte) for name in ("JFIF_major_version", "JFIF_minor_version", "density_unit")),
        *((name, Short) for name in ("X_density", "Y_density")),
        ("saw_Adobe_marker", Int),
        ("Adobe_transform", Byte),
        *([("color_transform", Int)] if version.startswith("9") else []),
        ("CCIR601_sampling", Int),
        ("marker_list", Pointer),
        *((name, Int) for name in ("max_h", "max_v", "min_DCT_h", "min_DCT_v")),
        ("total_iMCU_rows", UInt),
        ("sample_range_limit", Pointer),
        ("comps_in_scan", Int),
        *SCAN,
        ("unread_marker", Int),
        *((name, Pointer) for name in ("master", "main", "coef", "post", "inputctl", "marker", "entropy", "idct")),
        *((name, Pointer) for name in ("upsample", "cconvert", "cquantize")),
    ]
    return type("jpeg_decompress_struct", (ctypes.Structure,), {"_fields_": fields})


class Library:
    """One version of libjpeg in this process."""

    def __init__(self, version):
        self.number = int(version[0]) * 10
        self.api = ctypes.CDLL(str(library_path(version)))
        self.compress, self.decompress = compress_struct(version), decompress_struct(version)
        self.error = (ctypes.c_char * 4096)()
        self.api.jpeg_std_error.restype = Pointer
        self.api.jpeg_read_coefficients.restype = ctypes.POINTER(Pointer)

    def _created(self, struct, create):
        cinfo = struct()
        cinfo.err = self.api.jpeg_std_error(self.error)
        create(ctypes.byref(cinfo), self.number, ctypes.c_size_t(ctypes.sizeof(struct)))
        return cinfo

    def encode(
        self,
        image,
        *,
        block_size=8,
        scale=(1, 1),
        quality=75,
        progressive=False,
        arithmetic=False,
        optimize=False,
        sampling=(1, 1),
        restart_rows=0,
        color_space=None,
        color_transform=0,
        scans=None,
    ):
        """Return *image*, gray or RGB, as JPEG bytes, as ``cjpeg -block N -scale M/N -quality q`` and so on."""
        api, cinfo = self.api, self._created(self.compress, self.api.jpeg_CreateCompress)
        at = ctypes.byref(cinfo)
        data, size = Pointer(), ctypes.c_size_t()
        api.jpeg_mem_dest(at, ctypes.byref(data), ctypes.byref(size))
        pixels = np.ascontiguousarray(image)
        cinfo.image_height, cinfo.image_width = pixels.shape[:2]
        cinfo.input_components = 1 if pixels.ndim == 2 else 3
        cinfo.in_color_space = GRAY if pixels.ndim == 2 else RGB
        api.jpeg_set_defaults(at)
        if color_space is not None:
            if color_space == BG_RGB:  # no way there from RGB: the pixels are taken as they are
                cinfo.in_color_space = BG_RGB
            api.jpeg_set_colorspace(at, color_space)
        if color_transform:
            cinfo.color_transform = color_transform
        cinfo.block_size, (cinfo.scale_num, cinfo.scale_denom) = block_size, scale
        api.jpeg_set_quality(at, quality, 0)
        for i in range(cinfo.num_components):
            factors = sampling if i == 0 else (1, 1)
            cinfo.comp_info[i].h_samp_factor, cinfo.comp_info[i].v_samp_factor = factors
        cinfo.arith_code, cinfo.optimize_coding, cinfo.restart_in_rows = arithmetic, optimize, restart_rows
        if progressive:
            api.jpeg_simple_progression(at)
        if scans:  # tuples (components, Ss, Se, Ah, Al) as jpeg_scan_info
            script = (Int * (9 * len(scans)))()
            for i, (components, *parameters) in enumerate(scans):
                padded = [*components, *[0] * (4 - len(components))]
                script[9 * i : 9 * i + 9] = [len(components), *padded, *parameters]
            cinfo.scan_info, cinfo.num_scans = ctypes.cast(script, Pointer).value, len(scans)
        api.jpeg_start_compress(at, 1)
        for y in range(pixels.shape[0]):
            api.jpeg_write_scanlines(at, (Pointer * 1)(pixels.ctypes.data + y * pixels.strides[0]), 1)
        api.jpeg_finish_compress(at)
        coded = ctypes.string_at(data, size.value)
        api.jpeg_destroy_compress(at)
        return coded

    def _opened(self, data):
        cinfo = self._created(self.decompress, self.api.jpeg_CreateDecompress)
        self.api.jpeg_mem_src(ctypes.byref(cinfo), data, ctypes.c_size_t(len(data)))
        self.api.jpeg_read_header(ctypes.byref(cinfo), 1)
        return cinfo

    def decode(self, data, *, scale=None, gray=False, fancy_upsampling=True, block_smoothing=False):
        """Return the pixels, (H, W) or (H, W, 3); *scale* is (M, N) of ``djpeg -scale M/N``."""
        cinfo = self._opened(data)
        at = ctypes.byref(cinfo)
        if scale is not None:
            cinfo.scale_num, cinfo.scale_denom = scale
        if gray:
            cinfo.out_color_space = GRAY
        cinfo.do_fancy_upsampling, cinfo.do_block_smoothing = fancy_upsampling, block_smoothing
        self.api.jpeg_start_decompress(at)
        shape = (cinfo.output_height, cinfo.output_width, cinfo.output_components)
        pixels = np.empty(shape, np.uint8)
        while cinfo.output_scanline < cinfo.output_height:
            row = (Pointer * 1)(pixels.ctypes.data + cinfo.output_scanline * pixels.strides[0])
            self.api.jpeg_read_scanlines(at, row, 1)
        self.api.jpeg_finish_decompress(at)
        self.api.jpeg_destroy_decompress(at)
        return pixels[..., 0] if shape[2] == 1 else pixels

    def coefficients(self, data):
        """Return for each component (coefficients (rows, columns, 8, 8) int16, quantization table (8, 8))."""
        cinfo = self._opened(data)
        at = ctypes.byref(cinfo)
        arrays = self.api.jpeg_read_coefficients(at)
        # of jpeg_memory_mgr, the ninth function pointer
        access_type = ctypes.CFUNCTYPE(ctypes.POINTER(Pointer), Pointer, Pointer, UInt, UInt, Int)
        access = access_type(ctypes.cast(cinfo.mem, ctypes.POINTER(Pointer))[8])
        components = []
        for i in range(cinfo.num_components):
            component = cinfo.comp_info[i]
            rows, columns = component.height_in_blocks, component.width_in_blocks
            blocks = np.empty((rows, columns, 8, 8), np.int16)
            for y in range(rows):
                row = access(ctypes.addressof(cinfo), arrays[i], y, 1, 0)[0]
                blocks[y] = np.frombuffer(ctypes.string_at(row, columns * 128), np.int16).reshape(columns, 8, 8)
            components.append((blocks, np.array(component.quant_table[:64]).reshape(8, 8)))
        self.api.jpeg_destroy_decompress(at)
        return components


class Reference:
    """A :class:`Library` in a process of its own; what libjpeg refuses raises ``RuntimeError`` with its message."""

    def __init__(self, version):
        self._version = version
        self._process = None

    def _start(self):
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, __file__, self._version]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words)

    def _call(self, *call):
        if self._process is None:
            self._start()
        pickle.dump(call, self._process.stdin)
        self._process.stdin.flush()
        try:
            return pickle.load(self._process.stdout)
        except EOFError:
            self._process.wait()
            self._words.seek(0)
            words = self._words.read().decode().strip()
            self.close()
            raise RuntimeError(words) from None

    def encode(self, image, **options):
        return self._call("encode", (image,), options)

    def decode(self, data, **options):
        return self._call("decode", (data,), options)

    def coefficients(self, data):
        return self._call("coefficients", (data,), {})

    def close(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._words.close()
            self._process = None


def main(version):
    library = Library(version)
    while True:
        try:
            name, arguments, options = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(getattr(library, name)(*arguments, **options), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
