"""Messages between the server and a worker over a socket: JSON and byte strings, optionally with an open file.

Nothing is unpickled: a worker decodes untrusted files, so what it sends is not trusted either.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ClosedError", "Message", "receive", "send"]

LENGTH = struct.Struct("!Q")
LARGEST = 2 << 30  # bytes of a message


class ClosedError(Exception):
    """The other side has closed the connection, or does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """Plain *values*, byte strings by name, and the descriptor of an open file or None."""

    values: dict[str, Any]
    parts: dict[str, bytes] = field(default_factory=dict)
    file: int | None = None


def send(connection: socket.socket, message: Message) -> None:
    """Send *message*; ClosedError if the other side is gone."""
    sizes = [[name, len(data)] for name, data in message.parts.items()]
    head = json.dumps({"values": message.values, "parts": sizes}).encode()
    try:
        # the descriptor travels with the first byte
        files = [] if message.file is None else [message.file]
        socket.send_fds(connection, [b"\1" if files else b"\0"], files)
        connection.sendall(LENGTH.pack(len(head)) + head)
        for data in message.parts.values():
            connection.sendall(data)
    except (BrokenPipeError, ConnectionError) as error:
        raise ClosedError(str(error)) from error


def receive(connection: socket.socket, seconds: float | None = None) -> Message:
    """Return the next message; TimeoutError after so many *seconds*, ClosedError if there is none."""
    end = None if seconds is None else time.monotonic() + seconds
    try:
        _wait(connection, end)
        data, files, _, _ = socket.recv_fds(connection, 1, 1)
        if not data:
            raise ClosedError("the connection was closed")
        (size,) = LENGTH.unpack(_exactly(connection, LENGTH.size, end))
        values = json.loads(_exactly(connection, size, end))
        sizes: list[tuple[str, int]] = [(str(name), int(size)) for name, size in values["parts"]]
        if sum(size for _, size in sizes) > LARGEST:
            raise ClosedError("the message is too large")
        parts = {name: bytes(_exactly(connection, size, end)) for name, size in sizes}
        return Message(dict(values["values"]), parts, files[0] if files else None)
    except (ConnectionError, ValueError, KeyError, TypeError) as error:
        raise ClosedError(f"not a message: {error}") from error


def _wait(connection: socket.socket, end: float | None) -> None:
    left = None if end is None else end - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _exactly(connection: socket.socket, size: int, end: float | None) -> bytearray:
    if size > LARGEST:
        raise ClosedError("the message is too large")
    data = bytearray()
    while len(data) < size:
        _wait(connection, end)
        some = connection.recv(min(size - len(data), 1 << 20))
        if not some:
            raise ClosedError("the connection was closed within a message")
        data += some
    return data
