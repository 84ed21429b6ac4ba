"""Write cffi's glue code for csrc/mozcodec.h: ``python glue.py HEADER OUTPUT.c``. CMake runs it."""

import sys
from pathlib import Path

from cffi import FFI


def main(header: str, output: str) -> None:
    ffi = FFI()
    ffi.cdef(Path(header).read_text(encoding="utf-8"))
    ffi.set_source("mozcodec._mozjpeg", f'#include "{Path(header).name}"')
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
