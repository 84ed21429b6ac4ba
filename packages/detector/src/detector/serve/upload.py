"""Receives a file from a client into memory: the body itself, or one part of ``multipart/form-data``.

The parser is that of python-multipart; Starlette's own form reader would write files to disk.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.message import Message as Header
from typing import Any

from .limits import MEBI, Limits
from .problem import Problem
from .store import Upload

__all__ = ["FIELDS", "plain_name", "receive_upload"]

FIELDS = 10  # of a form beside the file
FIELD_BYTES = 1000  # of one of them
FRAMING = 64 << 10  # bytes of a multipart body beside the file
NAME = 255  # characters of a file's name
FILE = "file"  # the field of the file
NOT_FILES = ("text/", "application/json", "application/x-www-form-urlencoded", "application/xml", "multipart/")

Receive = Callable[[], Awaitable[Any]]


def plain_name(name: str) -> str:
    """Return the last part of the path *name* without control characters, at most `NAME` characters.

    It is only a label in the answer: no file of this name is ever opened.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(one for one in last if one.isprintable())[-NAME:]
    return shown if shown.strip(". ") else "upload"


async def receive_upload(
    headers: dict[str, str], receive: Receive, name: str, limits: Limits
) -> tuple[Upload, dict[str, str]]:
    """Return the file in the body of a request, and the other fields of its form.

    *headers* have lower-case names; *name* is that of a file that is the body itself. Problem if there is no file, it
    is too large, comes too slowly, or is declared as something that is neither image nor video.
    """
    kind, parameters = _content_type(headers.get("content-type", ""))
    form = kind == "multipart/form-data"
    if not form and kind.startswith(NOT_FILES):
        raise Problem("unsupported", f"a body of type {kind}: send image/*, video/*, a form, or no type")
    most = limits.num_bytes + (FRAMING if form else 0)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(limits)
    chunks = _chunks(receive, most, limits)
    upload = Upload(plain_name(name))
    try:
        fields: dict[str, str] = {}
        if form:
            fields = await _read_form(chunks, parameters.get("boundary", ""), upload, limits)
        else:
            async for chunk in chunks:
                upload.write(chunk)
        if not upload.size:
            raise Problem("bad_request", "the file is empty")
        upload.seal()
    except BaseException:
        upload.close()
        raise
    return upload, fields


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    header = Header()
    header["content-type"] = re.sub(r"[\r\n]", " ", value) or "application/octet-stream"
    parameters = header.get_params(failobj=[], header="content-type") or []
    return header.get_content_type() if value else "application/octet-stream", {
        name.lower(): text for name, text in parameters[1:] if isinstance(text, str)
    }


async def _chunks(receive: Receive, most: int, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the chunks of a body of at most so many bytes, which must keep coming."""
    end = time.monotonic() + limits.upload_seconds
    total, more = 0, True
    while more:
        seconds = min(limits.idle_seconds, end - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), max(seconds, 0))
        except TimeoutError:
            if time.monotonic() >= end:
                raise Problem("slow_upload", f"the upload takes more than {limits.upload_seconds:g} seconds") from None
            raise Problem("slow_upload", f"no byte came for {limits.idle_seconds:g} seconds") from None
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client has closed the connection")
        body, more = message.get("body", b""), message.get("more_body", False)
        total += len(body)
        if total > most:
            raise _too_large(limits)
        if body:
            yield body


def _too_large(limits: Limits) -> Problem:
    return Problem("too_many_bytes", f"the file is larger than {limits.num_bytes / MEBI:g} MiB, which is the limit")


async def _read_form(chunks: AsyncIterator[bytes], boundary: str, upload: Upload, limits: Limits) -> dict[str, str]:
    """Write the file of a form to *upload* and return its other fields."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    form = _Form(upload, limits)
    try:
        parser = MultipartParser(boundary.encode("latin-1"), form.callbacks())  # type: ignore[arg-type]
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, UnicodeEncodeError) as error:
        raise Problem("bad_request", f"not a readable form: {error}") from None
    if not boundary or not form.ended:
        raise Problem("bad_request", "the form has no boundary or ends too early")
    if not form.files:
        raise Problem("bad_request", f'the form has no file; its field is named "{FILE}"')
    return form.fields


class _Form:
    """The parts of a form as they are parsed."""

    def __init__(self, upload: Upload, limits: Limits) -> None:
        self.upload, self.limits = upload, limits
        self.fields: dict[str, str] = {}
        self.files = 0
        self.ended = False
        self.headers: dict[str, bytes] = {}
        self.field = self.value = b""
        self.name = ""
        self.content: bytearray | None = None  # of a field; None in the file

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self.begin, "on_part_data": self.data, "on_part_end": self.part_end,
            "on_header_field": self.header_field, "on_header_value": self.header_value,
            "on_header_end": self.header_end, "on_headers_finished": self.headers_finished, "on_end": self.end,
        }  # fmt: skip

    def begin(self) -> None:
        self.headers, self.field, self.value = {}, b"", b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        self.headers[self.field.decode("latin-1").lower()] = self.value
        self.field, self.value = b"", b""

    def headers_finished(self) -> None:
        given = _disposition(self.headers.get("content-disposition", b""))
        self.name = given.get("name", "")
        if "filename" in given:
            self.files += 1
            if self.files > 1 or self.name != FILE:
                raise Problem("bad_request", f'a form holds one file, in the field "{FILE}"; send further ones alone')
            self.upload.name = plain_name(given["filename"])
            self.content = None
            return
        if len(self.fields) >= FIELDS:
            raise Problem("bad_request", f"a form has at most {FIELDS} fields")
        self.content = bytearray()

    def data(self, data: bytes, start: int, end: int) -> None:
        if self.content is None:
            if self.upload.size + end - start > self.limits.num_bytes:
                raise _too_large(self.limits)
            self.upload.write(memoryview(data)[start:end])
            return
        self.content += data[start:end]
        if len(self.content) > FIELD_BYTES:
            raise Problem("bad_request", f"a field of the form has more than {FIELD_BYTES} bytes")

    def part_end(self) -> None:
        if self.content is not None:
            self.fields[self.name] = self.content.decode("utf-8", "replace")

    def end(self) -> None:
        self.ended = True


def _disposition(value: bytes) -> dict[str, str]:
    """Return the parameters of Content-Disposition, percent-encoded quotes and line ends decoded as browsers encode
    them (the WHATWG's multipart/form-data)."""
    text = value.decode("utf-8", "replace")
    found = {}
    for name, quoted, bare in re.findall(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', text):
        found[name.lower()] = re.sub(r'\\(["\\])', r"\1", quoted) if quoted or not bare else bare
    for code, one in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        found = {name: given.replace(code, one) for name, given in found.items()}
    return found
