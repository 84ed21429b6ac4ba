"""Errors that a client is told: `Problem` with its HTTP status, as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import http
import json

__all__ = ["CODES", "MEDIA_TYPE", "Problem"]

MEDIA_TYPE = "application/problem+json"

# code of every problem -> HTTP status
CODES = {
    "bad_request": 400,
    "no_token": 401,
    "other_site": 403,
    "not_found": 404,
    "bad_method": 405,
    "slow_upload": 408,
    "too_many_bytes": 413,
    "unsupported": 415,
    "other_host": 421,
    "too_many_pixels": 422,
    "too_many_frames": 422,
    "too_much_memory": 422,
    "crash": 422,
    "bad_option": 422,
    "no_history": 422,
    "busy": 429,
    "bug": 500,
    "stopping": 503,
    "no_worker": 503,
    "too_slow": 504,
    "not_kept": 507,
}


class Problem(Exception):  # noqa: N818 (the word of RFC 9457)
    """A request that is not answered: a *code* of `CODES`, the *detail* for people, and seconds to *retry* after."""

    def __init__(self, code: str, detail: str, retry: int | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.retry = code, detail, retry
        self.status = CODES[code]

    def body(self) -> bytes:
        """Return the problem as JSON."""
        title = http.HTTPStatus(self.status).phrase
        about = {"type": "about:blank", "title": title, "status": self.status}
        return json.dumps({**about, "code": self.code, "detail": self.detail}).encode()

    def headers(self) -> dict[str, str]:
        """Return the headers of the response beyond its type."""
        found = {} if self.retry is None else {"retry-after": str(self.retry)}
        if self.code == "no_token":
            found["www-authenticate"] = 'Bearer realm="detector serve"'
        return found
