"""The exceptions of mozcodec, and how a status of the C side becomes one of them.

::

    JpegError
     +- DamagedError      the stream is cut off, or its coded data is corrupt
     +- LimitError        a limit on pixels, memory, scans or the size of ``out`` was passed
     +- OutOfMemoryError  also a MemoryError
     +- UnsupportedError  a stream, or a combination of options, that mozcodec or libjpeg does not handle
     +- UnavailableError  not offered by this build (a system libmozjpeg)

    JpegWarning (UserWarning)  what decoding with ``on_truncated="warn"`` has to say

Options that are wrong by themselves (a quality of 0, an unknown name) raise ``ValueError`` or ``TypeError``.
"""

from typing import Any

from ._mozjpeg import ffi, lib


class JpegError(Exception):
    """libjpeg or mozcodec could not do it; the text is libjpeg's own where it spoke.

    ``message_code`` is libjpeg's number of the message (``jerror.h``), 0 where mozcodec itself complains.
    """

    def __init__(self, message: str, message_code: int = 0) -> None:
        super().__init__(message)
        self.message_code = message_code


class DamagedError(JpegError):
    """The stream is cut off, or its coded data is corrupt."""


class LimitError(JpegError):
    """A limit on pixels, memory, scans or the size of ``out`` was passed."""


class OutOfMemoryError(JpegError, MemoryError):
    """There was no memory; the next call may find some."""


class UnsupportedError(JpegError):
    """A stream, or a combination of options, that mozcodec or libjpeg does not handle."""


class UnavailableError(JpegError):
    """Not offered by this build; the text names the build option that would offer it."""


class JpegWarning(UserWarning):
    """The stream is damaged and was decoded as far as it goes."""


_KINDS: dict[int, type[JpegError]] = {
    lib.MZC_DAMAGED: DamagedError,
    lib.MZC_LIMIT: LimitError,
    lib.MZC_NO_MEMORY: OutOfMemoryError,
    lib.MZC_UNSUPPORTED: UnsupportedError,
    lib.MZC_UNAVAILABLE: UnavailableError,
}


def error_of(status: Any) -> JpegError:
    """Return the exception that says what *status* says."""
    kind = _KINDS.get(status.code, JpegError)
    return kind(ffi.string(status.message).decode("latin-1"), status.message_code)


for _kind in (JpegError, *_KINDS.values(), JpegWarning):
    _kind.__module__ = "mozcodec"  # where users find them
