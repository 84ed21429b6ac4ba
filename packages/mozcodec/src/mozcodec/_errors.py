"""The exceptions of mozcodec, and how a status of the C side becomes one of them.

::

    JpegError
     +- DamagedError      the stream is cut off or corrupt; ``damage`` says where
     +- LimitError        a limit on pixels, memory, scans or the size of ``out`` was exceeded
     +- NotJpegError      the data is of another format, which the text names
     +- OutOfMemoryError  also a MemoryError
     +- UnsupportedError  a stream or a combination of options that mozcodec or libjpeg does not support
     +- UnavailableError  not available in this build (a system libmozjpeg)

    JpegWarning (UserWarning)  a stream was decoded although it is damaged or odd; ``damage`` says where

Invalid options (a quality of 0, an unknown name) raise ``ValueError`` or ``TypeError``.
"""

from dataclasses import dataclass
from typing import Any

from ._mozjpeg import ffi, lib


@dataclass(frozen=True, slots=True)
class Damage:
    """Where the first damage of a stream was found, and how much was decoded before it."""

    message: str
    scan: int
    """Number of the scan, from 1; 0 in the header."""
    rows: int
    """Rows of pixels decoded before it in that scan; in a file of several scans the earlier scans cover the rest."""
    mcus: int
    """MCUs decoded before it in that scan, whole rows of them."""
    offset: int | None
    """How many bytes of the data had been read; None where that is not known."""


class JpegError(Exception):
    """Base class of mozcodec's exceptions; the text is libjpeg's own message where it comes from libjpeg.

    ``message_code`` is libjpeg's number of the message (``jerror.h``), 0 for messages of mozcodec.
    """

    def __init__(self, message: str, message_code: int = 0) -> None:
        super().__init__(message)
        self.message_code = message_code


class DamagedError(JpegError):
    """The stream is cut off or corrupt. ``damage`` is a :class:`mozcodec.Damage`, or None."""

    damage: Damage | None = None
    offset: int | None = None
    """How many bytes had been read when decoding stopped; None where that is not known."""


class LimitError(JpegError):
    """A limit on pixels, memory, scans or the size of ``out`` was exceeded."""


class NotJpegError(JpegError):
    """The data is not a JPEG, but of another format, which the text names where it is known."""


class OutOfMemoryError(JpegError, MemoryError):
    """There was not enough memory."""

    def __new__(cls, *args: object) -> "OutOfMemoryError":
        """Make an instance: ``MemoryError.__new__``, which is found otherwise, refuses this class.

        tblib, and with it Dask, makes exceptions of other processes that way.
        """
        return Exception.__new__(cls, *args)


class UnsupportedError(JpegError):
    """mozcodec or libjpeg does not support this stream or this combination of options."""


class UnavailableError(JpegError):
    """Not available in this build; the text names the build option that provides it."""


class JpegWarning(UserWarning):
    """A stream was decoded although it is damaged or odd. ``damage`` is None for an oddity that changes no pixel."""

    damage: Damage | None = None


_KINDS: dict[int, type[JpegError]] = {
    lib.MZC_DAMAGED: DamagedError,
    lib.MZC_LIMIT: LimitError,
    lib.MZC_NO_MEMORY: OutOfMemoryError,
    lib.MZC_NOT_JPEG: NotJpegError,
    lib.MZC_UNSUPPORTED: UnsupportedError,
    lib.MZC_UNAVAILABLE: UnavailableError,
}


def damage_of(status: Any, message: str) -> Damage:
    """Return where *status* says that the first damage is."""
    return Damage(
        message=message,
        scan=status.damage_scan,
        rows=status.damage_rows,
        mcus=status.damage_mcus,
        offset=None if status.damage_offset < 0 else int(status.damage_offset),
    )


def error_of(status: Any) -> JpegError:
    """Return the exception for *status*."""
    kind = _KINDS.get(status.code, JpegError)
    message = ffi.string(status.message).decode("latin-1")
    if message == "Memory limit exceeded":
        message += ": max_memory raises it"
    error = kind(message, status.message_code)
    if isinstance(error, DamagedError) and status.damage_known:
        error.damage = damage_of(status, message)
        error.offset = None if status.error_offset < 0 else int(status.error_offset)
    return error


for _kind in (JpegError, *_KINDS.values(), JpegWarning, Damage):
    _kind.__module__ = "mozcodec"  # where users find them
