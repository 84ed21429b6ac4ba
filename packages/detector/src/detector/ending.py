"""The end of a command: everything is closed and flushed, then the process ends without C++ destructors.

The ordinary end of a process, exit(), runs the destructors of the static objects of all loaded libraries. That of
torch's thread pool, which torch.set_num_threads creates, waits for its threads, while other libraries with threads of
their own (OpenCV, OpenMP) are already being taken down. In rare cases that wait never ends: the command has finished,
but its process remains. None of these destructors is needed here, so none is run. The interpreter's own cleanup is
skipped too: with torch loaded it takes seconds on a busy machine.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

__all__ = ["run"]


def run(command: Callable[[], object]) -> NoReturn:
    """Run *command* and end the process with its exit status, as ``sys.exit(command())`` would.

    Threads that are not daemons are waited for, and functions registered with `atexit` are called.
    """
    try:
        status = command()
    except SystemExit as exit_:
        status = exit_.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # the work is done: a signal ends the rest, silently
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    code = int(status or 0)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            pass  # the reader has closed it
        except OSError as error:  # a full disk, for example
            code = code or 1
            with contextlib.suppress(OSError):
                print(f"Error: {getattr(stream, 'name', stream)}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(code & 0xFF)
