"""One line on a terminal, plain lines elsewhere, and a closed stream does not stop the run."""

from __future__ import annotations

import io

import pytest

from detector import progress
from detector.progress import StatusLine, duration, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_redrawn() -> None:
    stream = Terminal()
    line = StatusLine(stream)
    line.show("1 of 3")
    line.show("2 of 3")
    line.say("a note")
    line.show("3 of 3", last=True)
    line.say("done")
    assert stream.getvalue() == "\r\x1b[K1 of 3\r\x1b[K2 of 3\na note\n\r\x1b[K3 of 3\ndone\n"


def test_elsewhere_every_text_is_a_line() -> None:
    stream = io.StringIO()
    line = StatusLine(stream)
    line.show("1 of 2")
    line.show("2 of 2", last=True)
    assert stream.getvalue() == "1 of 2\n2 of 2\n"


def test_a_stream_that_has_gone_is_no_error() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    line = StatusLine(Gone())
    line.show("1 of 2")
    line.say("still at work")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (86400 + 61, "24:01:01")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [
        # a second passes with each item: all are shown on a terminal; elsewhere start, 20 s, end
        (True, 26),
        (False, 3),
    ],
)
def test_track_gives_the_items_and_shows_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: int
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    clock = iter(float(t) for t in range(1000))
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(track("abcdefghijklmnopqrstuvwxy", 25, "letters")) == list("abcdefghijklmnopqrstuvwxy")
    texts = [text for text in stream.getvalue().replace("\n", "\r\x1b[K").split("\r\x1b[K") if text]
    assert len(texts) == shown
    assert texts[0] == "letters: 0/25, 0:01"
    assert texts[-1] == "letters: 25/25, 0:26"
    # a time is taken before the first item too: the 20th is taken at 21 s
    assert "letters: 20/25, 0:21, 0:05 left" in texts
    assert stream.getvalue().endswith("\n")
