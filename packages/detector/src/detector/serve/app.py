"""The routes of the service, and what they do."""

from __future__ import annotations

import asyncio
import http
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from evaluation.values import shown

from ..answer.page import MEANING, STYLE
from . import html
from .guard import COOKIE, Access, Guard
from .limits import Limits
from .messages import Message
from .metrics import MEDIA_TYPE, Metrics
from .openapi import document
from .pool import Pool
from .problem import MEDIA_TYPE as PROBLEM
from .problem import Problem
from .store import Result, Store, Upload, new_id
from .upload import plain_name, receive_upload

__all__ = ["OPTIONS", "Service", "make_app", "read_options"]

OPTIONS = ("prior", "frames", "robustness", "aligned", "name")
TOKEN_BYTES = 4096  # of the log-in form
LONGEST_RETRY = 120  # seconds
CLIENT_GONE = 499  # for the log; nobody receives it
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
Handler = Callable[["Service", Request], Awaitable[Response]]
log = logging.getLogger("detector.serve")


@dataclass
class Service:
    """What the handlers share. keep: folder where uploads and answers are kept, None to keep nothing on disk."""

    limits: Limits
    pool: Pool
    access: Access
    metrics: Metrics
    keep: Path | None = None
    log_names: bool = False
    store: Store = field(init=False)
    closing: bool = False

    def __post_init__(self) -> None:
        self.store = Store(self.limits, self.metrics)

    @property
    def caution(self) -> str | None:
        """What must be said before any number."""
        found: str | None = self.pool.hello.get("caution")
        return found

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Hold one of the limited places for requests that are uploaded, wait, or are worked on; Problem if there is
        none."""
        if self.closing:
            raise Problem("stopping", "the service is being stopped")
        metrics, workers = self.metrics, len(self.pool.workers)
        if metrics.admitted >= self.limits.queue + workers:
            seconds = math.ceil(metrics.mean() * (metrics.admitted + 1) / workers)
            raise Problem("busy", "too many requests wait already", min(max(seconds, 1), LONGEST_RETRY))
        metrics.admitted += 1
        try:
            yield
        finally:
            metrics.admitted -= 1

    async def work(self, request: Request, values: dict[str, Any], upload: Upload) -> Message:
        """Return a worker's reply; ConnectionResetError if the client goes away before."""
        job = asyncio.ensure_future(self.pool.run(values, upload))
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not job.done():
                raise ConnectionResetError("the client has closed the connection")
            return job.result()
        finally:
            gone.cancel()
            job.cancel()

    async def examine(self, request: Request) -> tuple[Result | None, bytes]:
        """Return the result for the file in the body of *request*, None if it has no answer, and the answer as JSON."""
        try:
            async with self.admitted():
                upload, options = await self._upload(request)
                id_ = new_id()
                values = {
                    "do": "examine", "name": upload.name, "options": options, "address": f"/v1/results/{id_}/images/",
                }  # fmt: skip
                reply = await self.work(request, values, upload)
        except Problem as problem:
            self.metrics.outcomes[problem.code] += 1
            raise
        except ConnectionResetError:
            self.metrics.outcomes["gone"] += 1
            raise
        self.metrics.outcomes["answered" if reply.values["answered"] else "no_answer"] += 1
        line = reply.parts["answer.json"] + b"\n"
        result = Result(id_, upload, options, reply.values, {**reply.parts, "answer.json": line})
        if self.keep is not None:
            await self._keep(result)
        if not reply.values["answered"]:
            return None, line
        self.store.add(result)
        return result, line

    async def _upload(self, request: Request) -> tuple[Upload, dict[str, Any]]:
        given = dict(parse_qsl(request.url.query, keep_blank_values=True))
        options = read_options(given, self.limits)  # before the body is read
        headers = {name.lower(): value for name, value in request.headers.items()}
        upload, fields = await receive_upload(headers, request.receive, given.get("name", ""), self.limits)
        if "name" in given:
            upload.name = plain_name(given["name"])
        if fields:
            options = read_options({**fields, **given}, self.limits)
        self.metrics.uploaded += upload.size
        if self.log_names:
            request.state.shown = upload.name
        return upload, options

    async def _keep(self, result: Result) -> None:
        from ..answer.bundle import plain

        assert self.keep is not None
        name, answer = plain(result.upload.name), "answer.json"
        name = f"upload-{name}" if name == answer else name
        files = {name: result.upload.read(), answer: result.parts[answer]}
        try:
            await asyncio.to_thread(write_kept, self.keep / result.id, files)
        except OSError as error:
            log.error("%s: the upload could not be kept: %s", self.keep, error.strerror)
            raise Problem(
                "not_kept", "the file was examined, but could not be kept on disk as the service is set to"
            ) from None

    async def part(self, request: Request, result: Result, do: str, name: str) -> bytes:
        """Return the part *name* of *result*, made by the job *do* when it is first asked for."""
        async with result.lock:
            if name not in result.parts:
                async with self.admitted():
                    values = {
                        "do": do, "name": result.upload.name, "options": result.options,
                        "address": f"/v1/results/{result.id}/images/", "faces": result.values["faces"],
                    }  # fmt: skip
                    reply = await self.work(request, values, result.upload)
                # the line with the setting of maps is in the bundle only
                result.parts.update({n: data for n, data in reply.parts.items() if n != "answer.json"})
                self.store.shrink()
            return result.parts[name]

    def result(self, request: Request) -> Result:
        """Return the result that the path of *request* names; Problem if there is none (any more)."""
        found = self.store.get(request.path_params["id"])
        if found is None:
            raise Problem("not_found", "there is no such result, or it has expired")
        return found


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def write_kept(folder: Path, files: dict[str, bytes]) -> None:
    """Write *files* by name to the new *folder*, which appears whole."""
    import shutil

    part = folder.with_name(f".{folder.name}.part")
    try:
        part.mkdir(mode=0o700, parents=True)
        for name, data in files.items():
            (part / name).write_bytes(data)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read_options(given: dict[str, str], limits: Limits) -> dict[str, Any]:
    """Return the options of an examination from the query or a form; Problem names what is wrong."""
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise Problem("bad_option", f"unknown option {shown(unknown[0][:50])}; allowed: {', '.join(OPTIONS)}")
    try:
        prior = float(given.get("prior", "0.5"))
    except ValueError:
        prior = math.nan
    if not 0 < prior < 1:
        raise Problem(
            "bad_option", f"prior must be a number between 0 and 1, without both, got {shown(given['prior'][:50])}"
        )
    frames = given.get("frames", str(limits.frames))
    if not (frames.isdecimal() and frames.isascii() and len(frames) < 10 and 1 <= int(frames) <= limits.frames):
        raise Problem("bad_option", f"frames must be an integer from 1 to {limits.frames}, got {shown(frames[:50])}")
    flags = {}
    for name in ("robustness", "aligned"):
        value = given.get(name, "false")
        if value not in ("true", "false"):
            raise Problem("bad_option", f"{name} must be true or false, got {shown(value[:50])}")
        flags[name] = value == "true"
    return {"prior": prior, "frames": int(frames), **flags}


# -- for programs ------------------------------------------------------------------------------------------------------


async def post_answer(service: Service, request: Request) -> Response:
    result, line = await service.examine(request)
    if result is None:
        return Response(line, 422, media_type="application/json")
    return Response(line, 201, {"location": f"/v1/results/{result.id}"}, "application/json")


async def get_answer(service: Service, request: Request) -> Response:
    return Response(service.result(request).parts["answer.json"], media_type="application/json")


async def delete_result(service: Service, request: Request) -> Response:
    service.result(request)
    service.store.drop(request.path_params["id"])
    return Response(status_code=204)


async def get_images(service: Service, request: Request) -> Response:
    return JSONResponse({"images": _images(service.result(request))})


async def get_maps(service: Service, request: Request) -> Response:
    result = service.result(request)
    before = set(_images(result))
    await service.part(request, result, "evidence", "evidence.zip")
    return JSONResponse({"images": [path for path in _images(result) if path not in before or _is_map(path)]})


def _images(result: Result) -> list[str]:
    return [f"/v1/results/{result.id}/{name}" for name in result.parts if name.startswith("images/")]


def _is_map(path: str) -> bool:
    """Return whether *path* names a map; the name of a crop ends with the frame's number."""
    name = path.rpartition("/")[2].removesuffix(".png")
    return not (name.startswith("person-") and name.rpartition("-")[2].isdecimal())


async def get_image(service: Service, request: Request) -> Response:
    data = service.result(request).parts.get(f"images/{request.path_params['name']}")
    if data is None:
        raise Problem("not_found", "the result has no such image; images lists them, maps draws the heat maps")
    return Response(data, media_type="image/png")


async def get_annotated(service: Service, request: Request) -> Response:
    data = await service.part(request, service.result(request), "annotate", "annotated.jpg")
    return Response(data, media_type="image/jpeg")


async def get_history(service: Service, request: Request) -> Response:
    data = await service.part(request, service.result(request), "history", "history.json")
    return Response(data, media_type="application/json")


async def get_evidence(service: Service, request: Request) -> Response:
    result = service.result(request)
    data = await service.part(request, result, "evidence", "evidence.zip")
    name = f"evidence-{result.values['sha256'][:12]}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(data, headers=headers, media_type="application/zip")


async def get_health(service: Service, _request: Request) -> Response:
    ready = service.pool.ready
    state = "stopping" if service.closing else "ok" if ready and not service.pool.changed else "no worker"
    return JSONResponse({"status": state, "workers": ready}, 200 if state == "ok" else 503)


async def get_metrics(service: Service, _request: Request) -> Response:
    service.metrics.workers = service.pool.ready
    service.store.shrink()
    return Response(service.metrics.text(), headers={"content-type": MEDIA_TYPE})


async def get_openapi(service: Service, _request: Request) -> Response:
    return JSONResponse(document(service.limits))


# -- for people --------------------------------------------------------------------------------------------------------


async def start_page(service: Service, _request: Request) -> Response:
    return HTMLResponse(html.start_page(service.caution, service.limits, str(service.keep) if service.keep else None))


async def upload(service: Service, request: Request) -> Response:
    result, line = await service.examine(request)
    if result is None:
        answer = json.loads(line)
        page = html.error_page("No answer", f"{answer['file']}: {answer['error']}", service.caution)
        return HTMLResponse(page, 422)
    return RedirectResponse(f"/results/{result.id}", 303)


async def result_page(service: Service, request: Request) -> Response:
    result = service.result(request)
    if request.query_params.get("maps") == "1":
        await service.part(request, result, "evidence", "evidence.zip")
    answer = result.parts["answer.html"].decode()
    maps, minutes = "evidence.zip" in result.parts, service.limits.result_seconds / 60
    return HTMLResponse(html.result_page(result.id, service.caution, answer, result.values, MEANING, maps, minutes))


async def delete_page(service: Service, request: Request) -> Response:
    service.store.drop(request.path_params["id"])
    return RedirectResponse("/", 303)


async def login_page(service: Service, _request: Request) -> Response:
    return HTMLResponse(html.login_page(False)) if service.access.token else RedirectResponse("/", 303)


async def login(service: Service, request: Request) -> Response:
    body = b""
    async with asyncio.timeout(service.limits.idle_seconds):
        async for chunk in request.stream():
            body += chunk
            if len(body) > TOKEN_BYTES:
                raise Problem("too_many_bytes", "this is not the form of the log-in page")
    token = dict(parse_qsl(body.decode("utf-8", "replace"))).get("token", "")
    if not service.access.has_token(token):
        return HTMLResponse(html.login_page(True), 401)
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, service.access.session, httponly=True, samesite="strict", path="/")
    return response


@cache
def _static(name: str) -> bytes:
    data = (Path(__file__).parent / "static" / name).read_bytes()
    return STYLE.encode() + data if name == "page.css" else data


async def static(_service: Service, request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise Problem("not_found", "there is no such page")
    return Response(_static(name), media_type=STATIC[name])


# path, method, handler, whether errors are shown as pages
ROUTES: tuple[tuple[str, str, Handler, bool], ...] = (
    ("/v1/answers", "POST", post_answer, False),
    ("/v1/results/{id}", "GET", get_answer, False),
    ("/v1/results/{id}", "DELETE", delete_result, False),
    ("/v1/results/{id}/images", "GET", get_images, False),
    ("/v1/results/{id}/images/{name}", "GET", get_image, False),
    ("/v1/results/{id}/maps", "GET", get_maps, False),
    ("/v1/results/{id}/annotated.jpg", "GET", get_annotated, False),
    ("/v1/results/{id}/history", "GET", get_history, False),
    ("/v1/results/{id}/evidence.zip", "GET", get_evidence, False),
    ("/health", "GET", get_health, False),
    ("/metrics", "GET", get_metrics, False),
    ("/openapi.json", "GET", get_openapi, False),
    ("/", "GET", start_page, True),
    ("/upload", "POST", upload, True),
    ("/results/{id}", "GET", result_page, True),
    ("/results/{id}/delete", "POST", delete_page, True),
    ("/login", "GET", login_page, True),
    ("/login", "POST", login, True),
    ("/static/{name}", "GET", static, False),
)


async def _handled(service: Service, request: Request, handler: Handler) -> Response:
    try:
        return await handler(service, request)
    except (Problem, ConnectionResetError):
        raise
    except Exception:
        log.exception("an error in the program")
        raise Problem("bug", "an error in the program; the log of the service has its traceback") from None


def _endpoint(service: Service, path: str, handler: Handler, page: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.state.route = path
        try:
            return await _handled(service, request, handler)
        except Problem as problem:
            if not page:
                return Response(problem.body(), problem.status, problem.headers(), PROBLEM)
            title = http.HTTPStatus(problem.status).phrase
            text = html.error_page(title, problem.detail, service.caution)
            return HTMLResponse(text, problem.status, problem.headers())
        except ConnectionResetError:
            return Response(status_code=CLIENT_GONE)

    return endpoint


async def _no_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "bad_method" if error.status_code == 405 else "not_found"
    problem = Problem(code, "the path has another method" if code == "bad_method" else "there is no such page")
    return Response(problem.body(), problem.status, {**dict(error.headers or {}), **problem.headers()}, PROBLEM)


def make_app(service: Service) -> Guard:
    """Return the ASGI application of *service*."""
    routes = [
        Route(path, _endpoint(service, path, handler, page), methods=[method]) for path, method, handler, page in ROUTES
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    return Guard(app, service.access, service.metrics)
