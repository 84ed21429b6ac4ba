"""The OpenAPI document of the HTTP API, written by hand; the tests compare it with the routes and their responses."""

from __future__ import annotations

import json
from typing import Any

from .. import __version__
from ..answer.record import schema
from .limits import MEBI, Limits
from .problem import CODES, MEDIA_TYPE

__all__ = ["document"]

JSON = "application/json"


def document(limits: Limits) -> dict[str, Any]:
    """Return the document (OpenAPI 3.1) of a service with these *limits*."""
    result = "/v1/results/{id}"
    busy = ("busy", "crash", "too_slow", "too_many_pixels", "too_much_memory", "stopping", "no_worker", "bug")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "detector serve",
            "version": __version__,
            "description": "Examines images and videos for forged faces. The answers are those of `detector predict`.",
        },
        "paths": {
            "/v1/answers": {"post": _post(limits)},
            result: {
                "get": _operation("answer", "The answer again.", {JSON: _ref("Answer")}, id_=True),
                "delete": _operation("delete", "Remove the result from memory.", {}, id_=True, status=204),
            },
            f"{result}/images": {
                "get": _operation(
                    "images", "Addresses of crops, and of maps made so far.", {JSON: _ref("Images")}, id_=True
                )
            },
            f"{result}/images/{{name}}": {
                "get": _operation("image", "A crop or a map.", {"image/png": {}}, id_=True, name=True)
            },
            f"{result}/maps": {
                "get": _operation(
                    "maps", "Draw heat maps; addresses of all maps.", {JSON: _ref("Images")}, busy, id_=True
                )
            },
            f"{result}/annotated.jpg": {
                "get": _operation(
                    "annotated", "The image with outlined faces.", {"image/jpeg": {}}, busy, id_=True
                )
            },
            f"{result}/history": {
                "get": _operation(
                    "history", "The full report of mozcodec.forensics on a JPEG.", {JSON: {"type": "object"}},
                    ("no_history", *busy), id_=True,
                )
            },
            f"{result}/evidence.zip": {
                "get": _operation(
                    "evidence", "The bundle of `detector predict --evidence`.", {"application/zip": {}}, busy, id_=True
                )
            },
            "/health": {"get": _health()},
            "/metrics": {"get": _operation("metrics", "Counters for Prometheus.", {"text/plain": {"type": "string"}})},
            "/openapi.json": {"get": _operation("openapi", "This document.", {JSON: {"type": "object"}})},
        },
        "components": {
            "schemas": {**_answer(), "Problem": _problem(), "Images": _images(), "Health": _health_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }  # fmt: skip


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer() -> dict[str, Any]:
    """Return the schema of the answer and of what it refers to, as components."""
    given = json.loads(json.dumps(schema()).replace("#/$defs/face", "#/components/schemas/Face"))
    face = given.pop("$defs")["face"]
    given.pop("$schema")
    return {"Answer": given, "Face": face}


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "RFC 9457, with a code for programs.",
        "required": ["type", "title", "status", "code", "detail"],
        "additionalProperties": False,
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"enum": list(CODES)},
            "detail": {"type": "string"},
        },
    }


def _images() -> dict[str, Any]:
    addresses = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "required": ["images"],
        "additionalProperties": False,
        "properties": {"images": addresses},
    }


def _health_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status", "workers"],
        "additionalProperties": False,
        "properties": {"status": {"enum": ["ok", "no worker", "stopping"]}, "workers": {"type": "integer"}},
    }


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    """Return the responses for the problems *codes* by status."""
    found: dict[str, Any] = {}
    for code in (*codes, "no_token", "other_host"):
        status = str(CODES[code])
        if status in found:
            found[status]["description"] += f", {code}"
            continue
        found[status] = {"description": code, "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}
        if code in ("busy", "stopping"):
            found[status]["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
            }
    return found


def _operation(
    id_of: str,
    summary: str,
    content: dict[str, Any],
    problems: tuple[str, ...] = (),
    id_: bool = False,
    name: bool = False,
    status: int = 200,
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": summary}
    if content:
        response["content"] = {kind: {"schema": one} if one else {} for kind, one in content.items()}
    codes = ("not_found", *problems) if id_ else problems
    parameters = [
        {"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
        for one, there in (("id", id_), ("name", name))
        if there
    ]
    return {
        "operationId": id_of,
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {str(status): response, **_problems(codes)},
    }


def _health() -> dict[str, Any]:
    content = {JSON: {"schema": _ref("Health")}}
    return {
        "operationId": "health",
        "summary": "Whether the service can examine files. Needs no token.",
        "security": [],
        "responses": {
            "200": {"description": "It can.", "content": content},
            "503": {"description": "It cannot: no worker runs, or the service is being stopped.", "content": content},
            "421": _problems(())["421"],
        },
    }


def _post(limits: Limits) -> dict[str, Any]:
    flag = {"type": "string", "enum": ["true", "false"], "default": "false"}
    prior = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.5}
    frames = {"type": "integer", "minimum": 1, "maximum": limits.frames, "default": limits.frames}
    options = {
        "prior": ("Probability of a forgery before the score is known, between 0 and 1.", prior),
        "frames": ("Frames scored of a video.", frames),
        "robustness": ("Also score the image after recompression.", flag),
        "aligned": ("Treat the image as an aligned crop.", flag),
    }  # fmt: skip
    queries = {**options, "name": ("Name of the file in the answer.", {"type": "string"})}
    binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            **{name: rule for name, (_, rule) in options.items()},
        },
    }
    codes = (
        "bad_request", "other_site", "slow_upload", "too_many_bytes", "unsupported", "too_many_pixels",
        "too_many_frames", "too_much_memory", "crash", "bad_option", "busy", "bug", "stopping", "no_worker", "too_slow",
        "not_kept",
    )  # fmt: skip
    responses = _problems(codes)
    responses["422"]["content"][JSON] = {"schema": _ref("Answer")}
    no_answer = "application/json: the file was examined and has no answer; "
    responses["422"]["description"] = no_answer + responses["422"]["description"]
    responses["201"] = {
        "description": "The answer, a line of `detector predict --json`.",
        "headers": {"Location": {"description": "Where it can be read again.", "schema": {"type": "string"}}},
        "content": {JSON: {"schema": _ref("Answer")}},
    }
    return {
        "operationId": "examine",
        "summary": f"Examine an image or a video of at most {limits.num_bytes / MEBI:g} MiB.",
        "parameters": [
            {"name": name, "in": "query", "description": words, "schema": rule}
            for name, (words, rule) in queries.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/octet-stream": binary,
                "image/*": binary,
                "video/*": binary,
            },
        },
        "responses": responses,
    }
