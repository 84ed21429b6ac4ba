"""A second network on this machine, for tests of programs on several machines."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

needs_network = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip"), reason="makes a network, which needs root and iproute2"
)


@contextmanager
def second_network() -> Iterator[tuple[str, str, Callable[[bool], None]]]:
    """Yield an address of this machine, a network namespace that reaches it, and a function that turns the connection
    between them on and off. The address of the namespace is the next one, the interface there that of `interface`."""
    name, number = f"detector-{os.getpid()}", os.getpid() % 250
    here, there, link = f"10.213.{number}.1", f"10.213.{number}.2", f"dt{os.getpid()}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this environment does not allow network namespaces: {error.stderr.decode().strip()}")
    try:
        try:
            ip("link", "add", f"{link}a", "type", "veth", "peer", "name", f"{link}b", "netns", name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this environment does not allow network interfaces: {error.stderr.decode().strip()}")
        ip("addr", "add", f"{here}/30", "dev", f"{link}a")
        ip("link", "set", f"{link}a", "up")
        for words in (("addr", "add", f"{there}/30", "dev", f"{link}b"), ("link", "set", f"{link}b", "up"),
                      ("link", "set", "lo", "up")):  # fmt: skip
            ip("-n", name, *words)
        yield here, name, lambda on: ip("link", "set", f"{link}a", "up" if on else "down")
    finally:
        ip("netns", "del", name)
