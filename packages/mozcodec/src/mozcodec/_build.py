"""Properties of this build of mozcodec."""

from functools import cache
from importlib.metadata import version
from types import MappingProxyType

from ._engine import CPU_NAME
from ._mozjpeg import ffi, lib


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


@cache
def build_info() -> MappingProxyType[str, object]:
    """Return the properties of this build.

    ``linking`` is "static" (the pinned mozjpeg, byte identity is guaranteed) or "system" (an installed libmozjpeg, it
    is not). ``simd`` is None where only the installed library knows. ``engine`` is the form of mozcodec's engine that
    this process runs: "v3" (x86-64-v3), "baseline", or None if the build has none; the environment variable
    ``MOZCODEC_CPU`` selects it before the import. Byte identity is tested on Linux x86-64.
    """
    info = ffi.new("mzc_build *")
    lib.mzc_build_info(info)
    return MappingProxyType(
        {
            "version": version("mozcodec"),
            "mozjpeg_version": _version(info.library_version),
            "linking": "static" if info.is_static else "system",
            "simd": None if info.simd < 0 else bool(info.simd),
            "engine": CPU_NAME,
            "arithmetic_encoding": bool(info.arithmetic_encoding),
            "arithmetic_decoding": bool(info.arithmetic_decoding),
            "jpeg_lib_version": info.jpeg_lib_version,
            "struct_sizes": (info.compress_struct_size, info.decompress_struct_size),
        }
    )
