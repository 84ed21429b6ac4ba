"""``detector serve``: the answers are those of the command line, hostile uploads are refused, a worker that hangs costs
one request only."""
# Over 600 lines: all tests share one running service, which takes seconds to start.

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from openapi_spec_validator import validate
from PIL import Image

import mozcodec
from detector.answer import bundle, record
from detector.answer.examine import Examiner, Options
from detector.card import Card, Data, Threshold, Thresholds
from detector.config import read_params
from detector.serve.app import OPTIONS, ROUTES, read_options
from detector.serve.guard import Access
from detector.serve.limits import SETTINGS, Limits, limits_of
from detector.serve.messages import ClosedError, Message, receive, send
from detector.serve.metrics import BUCKETS, Metrics
from detector.serve.openapi import document
from detector.serve.problem import CODES
from detector.serve.store import Result, Store, Upload, new_id
from detector.serve.upload import plain_name
from detector.weights import save_model
from tools.browser import Browser, axe_source, browser

SECONDS = 100  # for a response; the machine may be busy
MEBI = 1 << 20
TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, untrained: dict[str, torch.Tensor]) -> Path:
    """An untrained Meso4 for crops of 64 px, of synthetic data."""
    folder = tmp_path_factory.mktemp("train")
    levels = Thresholds(Threshold(0.5, 8, 8), Threshold(0.5, 8, 8))
    card = Card("meso4", {}, 64, 64, data=Data("drawn", True, "noise", {}, {}, {}), pooled=levels)
    save_model(folder, untrained, card)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, face_photograph: np.ndarray, write_video: Any) -> Path:
    """A folder with the photograph as PNG and JPEG, and as a clip."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(face_photograph).save(folder / "face.png")
    (folder / "face.jpg").write_bytes(mozcodec.encode(face_photograph, 77))
    write_video(folder / "clip.mp4", [np.roll(face_photograph, 2 * i, axis=1) for i in range(6)])
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(folder / "black.png")
    return folder


class Running:
    """A service in a process of its own."""

    def __init__(self, command: list[str], folder: Path, **environment: str) -> None:
        self.folder, self.log = folder, folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environment}
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line + self.log.read_text()
        self.port = int(found[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.wait(10 * SECONDS)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def get(self, path: str) -> bytes:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return body

    def post(self, data: bytes, name: str = "x", query: str = "", kind: str = "image/png") -> tuple[int, Any, str]:
        """Return status, JSON and the address of the result."""
        path = f"/v1/answers?name={name}{query}"
        status, headers, body = self.ask("POST", path, data, {"content-type": kind})
        return status, json.loads(body), headers.get("location", "")

    def raw(self, data: bytes, seconds: float = SECONDS) -> bytes:
        """Send bytes and return all that comes until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            connection.sendall(data)
            found = b""
            with contextlib.suppress(ConnectionResetError):
                while some := connection.recv(65536):
                    found += some
            return found

    def metric(self, name: str) -> float:
        lines = self.get("/metrics").decode().splitlines()
        return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))


def serve(trained: Path, folder: Path, *options: str, **environment: str) -> Running:
    command = [sys.executable, "-m", "detector.cli", "serve", "--train", str(trained), "--port", "0", *options]
    return Running(command, folder, **environment)


@pytest.fixture(scope="module")
def service(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with small limits."""
    limits = ["--max-mib", "2", "--max-megapixels", "1", "--max-frames", "8", "--idle-seconds", "3"]
    found = serve(trained, tmp_path_factory.mktemp("serve"), *limits, "--upload-seconds", "6", "--frames", "4")
    try:
        yield found
    finally:
        assert found.stop() == 0


def predicted(trained: Path, folder: Path, *arguments: str) -> bytes:
    """Return what ``detector predict --json`` prints with *arguments*, of which files are in *folder*."""
    command = [sys.executable, "-m", "detector.cli", "predict", *arguments, "--train", str(trained), "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS)
    assert done.stdout, done.stderr
    return done.stdout


def history_of(file: Path) -> Any:
    """Return what `mozcodec.forensics` reports of *file* with the kernels of NumPy that the service has pinned."""
    code = """
from evaluation.threads import pin_numpy
pin_numpy()
import json, sys
from pathlib import Path
from mozcodec import forensics
print(json.dumps(forensics.report(Path(sys.argv[1]).read_bytes())))
"""
    command = [sys.executable, "-c", code, str(file)]
    return json.loads(subprocess.run(command, capture_output=True, timeout=SECONDS, check=True).stdout)


def form(name: str, data: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    parts = [f'--B\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields.items()]
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return b"".join(parts) + head + data + b"\r\n--B--\r\n", {"content-type": "multipart/form-data; boundary=B"}


# -- answers -----------------------------------------------------------------------------------------------------------


def test_answers_are_the_bytes_that_the_command_line_prints(service: Running, trained: Path, files: Path) -> None:
    names = ["face.png", "clip.mp4", "black.png"]  # in one process, which prints a line for each
    lines = predicted(trained, files, *names, "--frames", "4").splitlines(keepends=True)
    printed = dict(zip(names, lines, strict=True))
    printed["face.jpg"] = predicted(trained, files, "face.jpg", "--frames", "4", "--prior", "0.1")
    for name, expected in printed.items():
        query = "&prior=0.1" if name == "face.jpg" else ""
        # the file as the body, and as a form
        path, data = f"/v1/answers?name={name}{query}", (files / name).read_bytes()
        assert service.ask("POST", path, data)[2] == expected
        body, headers = form(f"C:\\pictures\\{name}", data, **({"prior": "0.1"} if query else {}))
        status, _, found = service.ask("POST", "/v1/answers", body, headers)
        assert found == expected
        assert status == (422 if name == "black.png" else 201)
        jsonschema.validate(json.loads(found), record.schema())


def test_a_result_has_crops_maps_annotated_image_history_and_evidence(
    service: Running, trained: Path, files: Path, tmp_path: Path
) -> None:
    data = (files / "face.jpg").read_bytes()
    status, answer, address = service.post(data, "face.jpg")
    assert (status, answer["verdict"]) == (201, "inconclusive")
    assert json.loads(service.get(address)) == answer
    (crop,) = json.loads(service.get(f"{address}/images"))["images"]
    assert Image.open(io.BytesIO(service.get(crop))).size == (64, 64)

    found = json.loads(service.get(f"{address}/maps"))["images"]
    assert [path.rpartition("/")[2] for path in found] == ["person-1-frame-000000-grad_cam.png"]
    assert service.get(found[0]).startswith(b"\x89PNG")
    drawn = np.asarray(Image.open(io.BytesIO(service.get(f"{address}/annotated.jpg"))), int)
    plain = mozcodec.decode(data).astype(int)
    assert drawn.shape == plain.shape
    (left, top), *_ = answer["faces"][0]["corners"]
    changed = np.abs(drawn - plain).max(axis=2) > 100  # the outline passes through the corner of the crop
    assert changed[round(top) - 3 : round(top) + 4, round(left) - 3 : round(left) + 4].any()
    assert changed.mean() < 0.2
    assert json.loads(service.get(f"{address}/history")) == history_of(files / "face.jpg")

    archive = zipfile.ZipFile(io.BytesIO(service.get(f"{address}/evidence.zip")))
    archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    predicted(trained, files, "face.jpg", "--frames", "4", "--evidence", str(tmp_path / "theirs"))
    ours = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    theirs = tmp_path / "theirs"
    assert ours == {path.relative_to(theirs): path.read_bytes() for path in theirs.rglob("*") if path.is_file()}

    assert service.ask("DELETE", address)[0] == 204
    assert service.ask("GET", address)[0] == 404


def test_a_png_has_no_history_and_a_video_is_annotated(service: Running, files: Path) -> None:
    _, _, address = service.post((files / "face.png").read_bytes())
    status, _, body = service.ask("GET", f"{address}/history")
    assert (status, json.loads(body)["code"]) == (422, "no_history")
    _, answer, address = service.post((files / "clip.mp4").read_bytes(), kind="video/mp4")
    assert answer["kind"] == "video"
    assert Image.open(io.BytesIO(service.get(f"{address}/annotated.jpg"))).size == (320, 240)


def test_the_bundle_in_memory_is_the_bundle_on_disk(trained: Path, files: Path, tmp_path: Path) -> None:
    examiner = Examiner(trained, read_params(None), Options())
    examined = examiner.under(Options(maps=True)).examine(files / "face.png", "face.png")
    list(bundle.write(tmp_path / "out", [examined], examiner.caution, trained))
    found = bundle.in_memory(examined, examiner.caution, (trained / "model.json").read_bytes())
    paths = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert found == {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in paths}


# -- what is refused ---------------------------------------------------------------------------------------------------


def png_of_zeros(width: int, height: int) -> bytes:
    """A PNG of a small file size that is large when decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size than its data have."""
    data = bytearray(mozcodec.encode(np.zeros((16, 16, 3), np.uint8), 75, profile="fastest"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_of_zeros(width: int, height: int) -> bytes:
    memory = io.BytesIO()
    Image.new("P", (width, height)).save(memory, "GIF")
    return memory.getvalue()


LIST = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
HTML = b"<!doctype html><script>alert(1)</script>"
HOSTILE: dict[str, tuple[Callable[[Path], bytes], int, str]] = {
    "a PNG bomb": (lambda _: png_of_zeros(20_000, 20_000), 422, "too_many_pixels"),
    "a GIF bomb": (lambda _: gif_of_zeros(4000, 4000), 422, "too_many_pixels"),
    "a JPEG of 10,000 pixels": (lambda _: jpeg_header(10_000, 10_000), 422, "too_many_pixels"),
    "a JPEG of 65,535 pixels": (lambda _: jpeg_header(65_535, 65_535), 422, "too_many_pixels"),
    "an empty file": (lambda _: b"", 400, "bad_request"),
    "a file over the limit": (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(2 * MEBI), 413, "too_many_bytes"),
    "HTML as JPEG": (lambda _: HTML, 415, "unsupported"),
    "a playlist that names a file": (lambda _: LIST, 415, "unsupported"),
    "a ZIP archive": (lambda _: b"PK\3\4" + bytes(100), 415, "unsupported"),
    "a truncated PNG": (lambda files: (files / "face.png").read_bytes()[:5000], 422, "the PNG file ends too early"),
    "a truncated JPEG": (lambda files: (files / "face.jpg").read_bytes()[:3000], 422, "not a readable JPEG file"),
    "a truncated clip": (lambda files: (files / "clip.mp4").read_bytes()[:500], 422, "video cannot be opened"),
    "a JPEG header only": (lambda _: b"\xff\xd8\xff\xe0", 422, "not a readable JPEG file"),
    "a TIFF header only": (lambda _: b"II*\0" + bytes(50), 422, "not an image"),
    "an MP4 of zeros": (lambda _: b"\0\0\0\x18ftypmp42" + bytes(1000), 422, "video cannot be opened"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_get_an_error_that_says_why(service: Running, files: Path, what: str) -> None:
    make, status, reason = HOSTILE[what]
    # the declared type and the suffix do not matter
    found, values, _ = service.post(make(files), "face.jpg", kind="image/jpeg")
    assert found == status, values
    assert reason in (values.get("code") or values["error"])
    assert service.metric("detector_workers") == 1


def test_a_long_video_is_refused(service: Running, write_video: Any, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "long.mp4", [np.zeros((32, 32, 3), np.uint8)] * 9)
    assert service.post(clip.read_bytes())[1]["detail"] == "the video has 9 frames; at most 8 are accepted"
    clip = write_video(tmp_path / "large.mp4", [np.zeros((1024, 1024, 3), np.uint8)])
    assert service.post(clip.read_bytes())[1]["code"] == "too_many_pixels"


def test_polyglots_are_what_their_content_is_and_never_sent_back(service: Running, files: Path) -> None:
    image = (files / "face.png").read_bytes()
    tail = b"PK\3\4" + HTML
    jpeg = (files / "face.jpg").read_bytes()
    comment = b"\xff\xfe" + struct.pack(">H", len(HTML) + 2) + HTML
    for data in (jpeg + tail, image + tail, jpeg[:2] + comment + jpeg[2:]):
        status, answer, address = service.post(data, "page.html")
        assert (status, answer["kind"], answer["size"]) == (201, "image", len(data))
        for path in json.loads(service.get(f"{address}/images"))["images"] + [f"{address}/annotated.jpg"]:
            assert b"<script" not in service.get(path)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("C:\\a\\b.jpg", "b.jpg"), ("..", "upload"), ("", "upload"),
        ("a\r\nb\0.png", "ab.png"),
        ("a" * 1000, "a" * 255), ("<b>.png", "<b>.png"), ("\u202egpj.exe", "gpj.exe"),
    ],
)  # fmt: skip
def test_names_are_labels_only(given: str, shown: str) -> None:
    assert plain_name(given) == shown


def test_a_name_is_neither_opened_nor_markup(service: Running, files: Path) -> None:
    body, headers = form("../../x<img src=y onerror=alert(1)>", (files / "black.png").read_bytes())
    status, _, found = service.ask("POST", "/v1/answers", body, headers)
    assert (status, json.loads(found)["file"]) == (422, "x<img src=y onerror=alert(1)>")
    status, _, page = service.ask("POST", "/upload", body, headers)
    assert status == 422
    assert b"<img" not in page
    assert b"No answer" in page


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"{}", "application/json", 415, "application/json"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "send image/*"),
        (b"--B--\r\n", "multipart/form-data; boundary=B", 400, "no file"),
        (b"", "multipart/form-data; boundary=B", 400, "form"),
        (b"x", "multipart/form-data", 400, "form"),
        (b"x", "multipart/form-data; boundary=" + "B" * 300, 400, "form"),
        (b"--B\r\nX: " + b"y" * 60_000 + b"\r\n\r\nz\r\n--B--\r\n", "multipart/form-data; boundary=B", 400, "header"),
        (b"--B\r\n" + b"X: y\r\n" * 1000 + b"\r\nz\r\n--B--\r\n", "multipart/form-data; boundary=B", 400, "header"),
        (b'--B\r\nContent-Disposition: form-data; name="prior"\r\n\r\n' + b"1" * 5000 + b"\r\n--B--\r\n",
         "multipart/form-data; boundary=B", 400, "1000 bytes"),
        (form("a.png", b"x")[0].replace(b"--B--\r\n", b"") * 2 + b"--B--\r\n", "multipart/form-data; boundary=B", 400,
         "one file"),
        (form("a.png", b"x")[0][:-9], "multipart/form-data; boundary=B", 400, "too early"),
        (form("a.png", b"x", colour="red")[0], "multipart/form-data; boundary=B", 422, "unknown option 'colour'"),
        (form("a.png", bytes(2 * MEBI + 1))[0], "multipart/form-data; boundary=B", 413, "2 MiB"),
    ],
)  # fmt: skip
def test_forms_that_are_refused(service: Running, body: bytes, kind: str, status: int, words: str) -> None:
    found, _, text = service.ask("POST", "/v1/answers", body, {"content-type": kind})
    assert found == status, text
    assert words in json.loads(text)["detail"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("prior=0", "prior must be"), ("prior=nan", "prior must be"), ("prior=x", "prior must be"),
        ("frames=5", "1 to 4"), ("frames=-1", "frames"), ("robustness=yes", "true or false"),
        ("colour=red", "allowed: prior, frames"),
    ],
)  # fmt: skip
def test_options_that_are_refused(service: Running, query: str, words: str) -> None:
    status, _, body = service.ask("POST", f"/v1/answers?{query}", b"x")
    assert (status, json.loads(body)["code"]) == (422, "bad_option")
    assert words in json.loads(body)["detail"]


def test_an_endless_stream_ends(service: Running) -> None:
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", service.port), SECONDS) as connection:
        connection.sendall(b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(20_000):  # 650 MB
                connection.sendall(chunk)
                sent += len(chunk)
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if connection.recv(1 << 16).startswith(b"HTTP/1.1 413"):
                        connection.setblocking(True)
                        break
                connection.setblocking(True)
    assert sent < 64 * MEBI
    assert service.metric("detector_queue") == 0


def test_slow_clients_are_told_or_cut_off(service: Running) -> None:
    head = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"

    def five_bytes_a_second() -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", service.port), SECONDS) as connection:
            connection.sendall(head)
            with contextlib.suppress(OSError):
                for _ in range(300):
                    connection.sendall(b"x")
                    connection.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        answer = connection.recv(65536)
                        break
                connection.settimeout(SECONDS)
                while part := connection.recv(65536):  # head and body can come separately
                    answer += part
        return answer

    with ThreadPoolExecutor(4) as threads:  # at the same time: each waits for its limit
        trickle = threads.submit(five_bytes_a_second)
        body_stops, head_stops, silent = (
            threads.submit(service.raw, sent) for sent in (head + b"x", b"GET / HTTP/1.1\r\nHost: loc", b"")
        )
        assert body_stops.result().startswith(b"HTTP/1.1 408")
        assert head_stops.result() == silent.result() == b""
        assert b"takes more than 6 seconds" in trickle.result()


def test_a_client_that_does_not_read_is_cut_off(service: Running) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", service.port))
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        end = time.monotonic() + 90
        with pytest.raises(OSError):
            while time.monotonic() < end:
                connection.settimeout(90)
                connection.sendall(request * 100)
    assert service.ask("GET", "/health")[0] == 200


def test_requests_that_are_no_http_are_refused(service: Running) -> None:
    assert service.raw(b"\x16\x03\x01\0\xff\r\n\r\n").startswith(b"HTTP/1.1 400")
    long_header = b"X: " + b"y" * 200_000 + b"\r\n\r\n"
    assert service.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + long_header).startswith(b"HTTP/1.1 400")
    assert b" 421 " in service.raw(b"GET / HTTP/1.0\r\n\r\n")


# -- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "8.8.8.8", "", "localhost.evil"])
def test_other_hosts_are_refused(service: Running, host: str) -> None:
    status, _, body = service.ask("GET", "/", headers={"Host": host})
    assert (status, json.loads(body)["code"]) == (421, "other_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8000"])
def test_names_of_this_machine_are_accepted(service: Running, host: str) -> None:
    assert service.ask("GET", "/health", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_other_sites_cannot_post(service: Running, headers: dict[str, str]) -> None:
    status, found, body = service.ask("POST", "/v1/answers", b"x", headers)
    assert (status, json.loads(body)["code"]) == (403, "other_site")
    assert not [name for name in found if name.startswith("access-control")]


def test_every_response_has_the_security_headers(service: Running) -> None:
    for path in ("/", "/v1/results/x", "/static/page.js", "/nothing", "/results/x"):
        headers = service.ask("GET", path)[1]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_pages_have_no_inline_script_or_style_and_name_no_other_server(service: Running, files: Path) -> None:
    _, _, address = service.post((files / "face.png").read_bytes())
    for path in ("/", address.replace("/v1", ""), "/static/page.css", "/static/page.js"):
        text = service.get(path).decode()
        assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", text)
        assert not re.search(r"(?:src|href|url\()[=\"'(]*(?:https?:)?//", text)


def test_a_token_is_needed_and_opens_api_and_page(trained: Path, files: Path, tmp_path: Path) -> None:
    running = serve(trained, tmp_path, DETECTOR_TOKEN=TOKEN)
    try:
        image = (files / "black.png").read_bytes()
        status, headers, body = running.ask("POST", "/v1/answers", image)
        assert (status, json.loads(body)["code"]) == (401, "no_token")
        assert headers["www-authenticate"].startswith("Bearer")
        assert running.ask("POST", "/v1/answers", image, {"Authorization": f"Bearer {TOKEN}x"})[0] == 401
        assert running.ask("POST", "/v1/answers", image, {"Authorization": f"Bearer {TOKEN}"})[0] == 422  # no face
        assert running.ask("GET", "/health")[0] == 200
        assert running.ask("GET", "/metrics")[0] == 401
        status, headers, _ = running.ask("GET", "/", headers={"Accept": "text/html"})
        assert (status, headers["location"]) == (303, "/login")
        typed = {"content-type": "application/x-www-form-urlencoded"}
        assert running.ask("POST", "/login", "token=wrong", typed)[0] == 401
        status, headers, _ = running.ask("POST", "/login", f"token={TOKEN}", typed)
        cookie = headers["set-cookie"]
        assert status == 303
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert TOKEN not in cookie
        assert running.ask("GET", "/", headers={"Cookie": cookie.partition(";")[0]})[0] == 200
        assert running.ask("GET", "/", headers={"Cookie": "detector_session=x"})[0] == 401
    finally:
        assert running.stop() == 0
    assert TOKEN not in running.log.read_text()


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--host", "0.0.0.0"], {}, "a token is needed"),
        (["--host", "0.0.0.0"], {"DETECTOR_TOKEN": "short"}, "at least 16"),
        (["--host", "example.org"], {"DETECTOR_TOKEN": TOKEN}, "give an IP address"),
        (["--queue", "100000"], {}, "0<=x<=1000"),
        (["--results-mib", "10"], {}, "twice --max-mib"),
    ],
)
def test_settings_that_are_refused(
    trained: Path, tmp_path: Path, options: list[str], environment: dict[str, str], words: str
) -> None:
    command = [sys.executable, "-m", "detector.cli", "serve", "--train", str(trained), "--port", "0", *options]
    env = {**os.environ, **environment}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_weights_and_a_port_in_use_end_the_start(service: Running, trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "detector.cli", "serve", "--port", str(service.port), "--train", str(trained)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert "choose another --port" in done.stderr
    (tmp_path / "weights").mkdir()
    command = [*command[:-1], str(tmp_path / "weights"), "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert "weights" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_the_error_names_the_command(tmp_path: Path, trained: Path) -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "import importlib.util; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'starlette' else found(name, *a)\n"
        f"from detector.cli import cli; cli(['serve', '--train', {str(trained)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert "pip install 'detector[serve]'" in done.stderr


# -- workers -----------------------------------------------------------------------------------------------------------

STUB = '''
import json, os, signal, socket, sys, time
from detector.serve.messages import ClosedError, Message, receive, send

if len(sys.argv) == 2:  # a worker that does what the file says
    connection = socket.socket(fileno=int(sys.argv[1]))
    receive(connection)
    if os.path.exists("changed"):
        send(connection, Message({"caution": None, "weights": "other"}))
        time.sleep(100)
    send(connection, Message({"caution": None, "weights": "first"}))
    while True:
        try:
            message = receive(connection)
        except ClosedError:
            sys.exit()
        what = os.pread(message.file, 100, 0).decode()
        os.close(message.file)
        if what == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        if what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == "junk":
            connection.sendall(b"\\0" + b"\\xff" * 100)
            continue
        if what == "bug":
            send(connection, Message({"bug": "Traceback of a bug"}))
            continue
        if what == "wait":
            while not os.path.exists("go"):
                time.sleep(0.01)
        line = json.dumps({"file": message.values["name"], "error": None, "what": what, "pid": os.getpid()})
        values = {"answered": True, "verdict": "real", "sha256": "0" * 64, "faces": []}
        send(connection, Message(values, {"answer.json": line.encode(), "answer.html": b"<p></p>"}))
else:
    from pathlib import Path
    from detector.serve.app import Service
    from detector.serve.command import run
    from detector.serve.guard import Access
    from detector.serve.limits import Limits
    from detector.serve.metrics import Metrics
    from detector.serve.pool import Pool
    from detector.serve.worker import Setup

    limits, metrics = Limits(**json.loads(sys.argv[1])), Metrics()
    pool = Pool(Setup("", None, limits), int(sys.argv[2]), metrics, (sys.executable, __file__))
    keep = Path(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else None
    run(Service(limits, pool, Access("127.0.0.1"), metrics, keep), "127.0.0.1", 0)
'''


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts services whose workers hang, crash, ... as their files say."""
    (tmp_path / "stub.py").write_text(STUB)
    started = []

    def start(workers: int = 1, keep: str = "", **limits: Any) -> Running:
        command = [sys.executable, str(tmp_path / "stub.py"), json.dumps(limits), str(workers), keep]
        started.append(Running(command, tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def until(state: Callable[[], bool]) -> None:
    """Return when *state* is true."""
    end = time.monotonic() + 10 * SECONDS
    while not state():
        assert time.monotonic() < end
        time.sleep(0.02)


def recovered(running: Running) -> Any:
    """Return the answer of a service that has just lost a worker."""
    status, values, _ = running.post(b"fine")
    assert (status, values["what"]) == (201, "fine")
    return values["pid"]


def test_a_worker_that_hangs_or_crashes_costs_one_request(stub: Callable[..., Running]) -> None:
    running = stub(seconds=10.0)
    first = recovered(running)
    status, values, _ = running.post(b"hang")
    assert (status, values["code"]) == (504, "too_slow")
    second = recovered(running)
    assert second != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    status, values, _ = running.post(b"crash")
    assert (status, values["code"]) == (422, "crash")
    assert "SIGSEGV" in values["detail"]
    assert recovered(running) != second
    status, values, _ = running.post(b"junk")
    assert (status, values["code"]) == (422, "crash")
    third = recovered(running)
    status, values, _ = running.post(b"bug")
    assert (status, values["code"]) == (500, "bug")
    assert "Traceback" not in values["detail"]
    assert recovered(running) == third
    assert "Traceback of a bug" in running.log.read_text()
    text = running.get("/metrics").decode()
    assert 'detector_worker_restarts_total{reason="too_slow"} 1' in text
    assert 'detector_worker_restarts_total{reason="crash"} 2' in text
    assert 'detector_requests_total{outcome="answered"} 5' in text


def test_more_requests_than_places_are_told_to_come_back(stub: Callable[..., Running]) -> None:
    running = stub(queue=2)
    with ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(running.ask, "POST", "/v1/answers", b"wait") for _ in range(6)]
        until(lambda: sum(one.done() for one in asked) == 3)
        assert [one.result()[0] for one in asked if one.done()] == [429] * 3
        (running.folder / "go").touch()
        found = [one.result() for one in asked]
    assert sorted(status for status, _, _ in found) == [201] * 3 + [429] * 3
    headers = next(headers for status, headers, _ in found if status == 429)
    assert 1 <= int(headers["retry-after"]) <= 120
    assert running.metric("detector_queue") == 0


def test_clients_that_leave_give_their_place_back(stub: Callable[..., Running]) -> None:
    running = stub(queue=1)
    request = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nwait"
    for number in (1, 2):  # one is worked on, one waits
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(request)
            until(lambda sent=4 * number: running.metric("detector_uploaded_bytes_total") == sent)  # type: ignore[misc]
            until(lambda: running.metric("detector_in_flight") == 1)
        until(lambda line=f'outcome="gone"}} {number}': line in running.get("/metrics").decode())  # type: ignore[misc]
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(running.post, b"fine")
        (running.folder / "go").touch()
        assert asked.result()[0] == 201


def test_too_many_connections_are_refused(stub: Callable[..., Running]) -> None:
    running = stub(clients=3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port)))
        until(lambda: running.ask("GET", "/health")[0] != 200)
        status, headers, body = running.ask("GET", "/health")
        assert (status, json.loads(body)["code"], headers["retry-after"]) == (503, "busy", "1")
    until(lambda: running.ask("GET", "/health")[0] == 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_finished_before_the_end(stub: Callable[..., Running], number: int) -> None:
    running = stub()
    worker_pid = recovered(running)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(running.ask, "POST", "/v1/answers", b"wait")
        until(lambda: running.metric("detector_in_flight") == 1)
        running.process.send_signal(number)
        until(lambda: "stopping; 1 requests are finished first" in running.log.read_text())
        (running.folder / "go").touch()
        assert running.process.wait(10 * SECONDS) == 0
        assert waiting.result()[0] == 201
    with pytest.raises(ProcessLookupError):
        os.kill(worker_pid, 0)


def test_workers_end_with_a_server_that_is_killed(trained: Path, tmp_path: Path) -> None:
    running = serve(trained, tmp_path)
    children = subprocess.run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True).stdout.split()
    assert len(children) == 1
    running.stop(signal.SIGKILL)
    state = Path(f"/proc/{children[0]}/stat")
    until(lambda: not state.exists() or "Z" in state.read_text())


def test_changed_weights_are_not_used(stub: Callable[..., Running], tmp_path: Path) -> None:
    running = stub()
    recovered(running)
    (tmp_path / "changed").touch()
    running.post(b"crash")
    until(lambda: running.ask("GET", "/health")[0] == 503 and "have changed" in running.log.read_text())
    status, values, _ = running.post(b"fine")
    assert (status, values["code"]) == (503, "no_worker")


def test_nothing_is_kept_on_disk_unless_asked(stub: Callable[..., Running], tmp_path: Path) -> None:
    running = stub(keep=str(tmp_path / "kept"))
    for name, kept in (("face.png", "face.png"), ("answer.json", "upload-answer.json")):
        _, values, address = running.post(b"fine", name)
        folder = tmp_path / "kept" / address.rpartition("/")[2]
        assert {path.name for path in folder.iterdir()} == {kept, "answer.json"}
        assert (folder / kept).read_bytes() == b"fine"
        assert json.loads((folder / "answer.json").read_text()) == values


def test_a_worker_can_write_no_file(service: Running) -> None:
    children = subprocess.run(["pgrep", "-P", str(service.process.pid)], capture_output=True, text=True).stdout.split()
    for child in children:
        limits = Path(f"/proc/{child}/limits").read_text()
        assert re.search(r"Max file size +0 +0", limits)
        assert re.search(r"Max core file size +0 +0", limits)
        assert not re.search(r"Max data size +unlimited", limits)


def test_a_file_that_needs_too_much_memory_is_refused(trained: Path, files: Path, tmp_path: Path) -> None:
    running = serve(trained, tmp_path, "--worker-mib", "64")
    try:
        data = png_of_zeros(6000, 6000)
        status, values, _ = running.post(data)
        assert (status, values["code"]) in ((422, "too_much_memory"), (422, "crash")), values
        status, values, _ = running.post((files / "black.png").read_bytes())
        assert (status, values["error"]) == (422, "no face found")
    finally:
        assert running.stop() == 0


# -- parts -------------------------------------------------------------------------------------------------------------


def test_messages_carry_values_parts_and_files(tmp_path: Path) -> None:
    a, b = socket.socketpair()
    with a, b, (tmp_path / "x").open("wb+") as file:
        file.write(b"content")
        file.flush()
        send(a, Message({"n": 1}, {"p": bytes(200_000)[:1000], "q": b""}, file.fileno()))
        found = receive(b, 5)
        assert (found.values, found.parts) == ({"n": 1}, {"p": bytes(1000), "q": b""})
        assert found.file is not None
        assert os.pread(found.file, 10, 0) == b"content"
        os.close(found.file)
        with pytest.raises(TimeoutError):
            receive(b, 0.05)
        a.sendall(b"\0" + struct.pack("!Q", 1 << 40))
        with pytest.raises(ClosedError, match="too large"):
            receive(b, 5)


def result(size: int = 10) -> Result:
    upload = Upload("x")
    upload.write(bytes(size))
    return Result(new_id(), upload, {}, {}, {})


def test_the_store_is_limited_in_number_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    store = Store(Limits(results=3, results_bytes=100, result_seconds=60), metrics)
    made = [result() for _ in range(5)]
    for one in made:
        store.add(one)
    assert [store.get(one.id) is not None for one in made] == [False, False, True, True, True]
    assert (metrics.results, metrics.results_bytes) == (3, 30)
    store.add(result(90))
    assert [store.get(one.id) is not None for one in made] == [False, False, False, False, True]
    later = made[-1].made + 61
    monkeypatch.setattr("detector.serve.store.time.monotonic", lambda: later)
    assert store.get(made[-1].id) is None
    assert metrics.results == 0


def test_an_upload_is_sealed() -> None:
    upload = Upload("x")
    upload.write(b"abc")
    upload.seal()
    assert upload.file is not None
    with pytest.raises(PermissionError):
        os.pwrite(upload.file, b"d", 0)
    assert upload.read() == b"abc"


def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics()
    for seconds in (0.1, 0.2, 1000):
        metrics.observe(seconds)
    metrics.outcomes["answered"] += 3
    lines = metrics.text().splitlines()
    sample = re.compile(r'^[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+]+$')
    assert all(line.startswith("# ") or sample.match(line) for line in lines), lines
    counts = [int(line.rpartition(" ")[2]) for line in lines if line.startswith("detector_job_seconds_bucket")]
    assert counts == [1] + [2] * (len(BUCKETS) - 1) + [3]  # cumulative; bounds are inclusive
    assert "detector_job_seconds_count 3" in lines
    assert 'detector_requests_total{outcome="answered"} 3' in lines


def test_a_host_is_known_by_name_or_address() -> None:
    everywhere = Access("0.0.0.0", ("faces.example",))
    assert all(map(everywhere.knows_host, ("faces.example", "10.1.2.3:80", "[fe80::1]:80", "localhost")))
    assert not any(map(everywhere.knows_host, ("evil.example", "", "[", ":80")))
    assert not Access("10.0.0.1").knows_host("10.0.0.2")


def test_options_of_the_command_give_the_limits() -> None:
    assert limits_of({row.option: row.default for row in SETTINGS}) == Limits()
    assert all(row.low <= row.default <= row.high for row in SETTINGS)
    assert {row.field for row in SETTINGS} == set(Limits.__slots__)


def test_the_document_describes_every_route_and_every_error(service: Running, files: Path) -> None:
    found = json.loads(service.get("/openapi.json"))
    assert found == json.loads(json.dumps(document(Limits(num_bytes=2 * MEBI, frames=4))))
    validate(found)  # openapi-spec-validator
    described = {(path, method.upper()) for path, item in found["paths"].items() for method in item}
    machine = {(path, method) for path, method, _, page in ROUTES if not page and path != "/static/{name}"}
    assert described == machine
    names = {row["name"] for row in found["paths"]["/v1/answers"]["post"]["parameters"]}
    assert names == set(OPTIONS)
    statuses = {int(status) for item in found["paths"].values() for one in item.values() for status in one["responses"]}
    assert set(CODES.values()) - {405} <= statuses | {200}
    assert read_options({}, Limits())["prior"] == 0.5

    # a response of each kind conforms to the schema of its status and type
    _, _, address = service.post((files / "face.png").read_bytes())
    for path, status in ((address, 200), (f"{address}/images", 200), ("/health", 200), ("/v1/results/x", 404)):
        code, headers, body = service.ask("GET", path)
        assert code == status
        template = "/health" if path == "/health" else "/v1/results/{id}" + ("/images" if "images" in path else "")
        content = found["paths"][template]["get"]["responses"][str(status)]["content"]
        schema = {**content[headers["content-type"]]["schema"], "components": found["components"]}
        jsonschema.validate(json.loads(body), schema, jsonschema.Draft202012Validator)


def test_the_log_has_neither_names_nor_ids(service: Running, files: Path) -> None:
    _, _, address = service.post((files / "face.png").read_bytes(), "secretname.png")
    service.get(address)
    text = service.log.read_text()
    assert "POST /v1/answers 201" in text
    assert "GET /v1/results/{id} 200" in text
    assert "secretname" not in text
    assert address.rpartition("/")[2] not in text


# -- load --------------------------------------------------------------------------------------------------------------


def memory(pid: int) -> int:
    """Return the resident bytes of a process and its children."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *children)]
    return sum(pages) * resource.getpagesize()


def load(running: Running, data: bytes, clients: int, answers: int, expected: bytes | None = None) -> dict[int, int]:
    """Let *clients* post *data* until there are so many *answers*, which must be *expected*; return the responses by
    status."""
    counts: dict[int, int] = {}
    lock = threading.Lock()

    def client(_: int) -> None:
        while counts.get(201, 0) < answers:
            status, headers, body = running.ask("POST", "/v1/answers?name=face.png", data)
            with lock:
                counts[status] = counts.get(status, 0) + 1
            assert status != 201 or expected is None or body == expected
            if status == 429:
                time.sleep(min(float(headers["retry-after"]), 0.5))

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))
    return counts


def test_many_clients_at_once_get_answers_or_429(stub: Callable[..., Running]) -> None:
    running = stub(queue=8, results=20)
    load(running, b"fine", 50, 100)
    before = memory(running.process.pid)
    counts = load(running, b"fine", 50, 300)
    assert set(counts) <= {201, 429}
    assert memory(running.process.pid) - before < 16 * MEBI
    assert running.metric("detector_results") == 20


@pytest.mark.slow(minutes=3)
def test_fifty_clients_at_once_get_the_answers_of_the_command_line(trained: Path, files: Path, tmp_path: Path) -> None:
    running = serve(trained, tmp_path, "--results", "20", "--frames", "16")
    try:
        data = (files / "face.png").read_bytes()
        expected = predicted(trained, files, "face.png")
        load(running, data, 50, 50, expected)
        before = memory(running.process.pid)
        counts = load(running, data, 50, 250, expected)
        grown = memory(running.process.pid) - before
        print(f"responses by status: {counts}; memory {before / MEBI:.0f} MiB, grown by {grown / MEBI:.1f} MiB")
        assert set(counts) <= {201, 429}
        assert grown < 32 * MEBI
    finally:
        assert running.stop() == 0


# -- in Chromium -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if browser() is None:
        pytest.skip("no Chromium is installed")
    with Browser() as found:
        found.send("Log.enable")
        yield found


SCHEMES: dict[str, dict[str, Any]] = {
    "light": {}, "dark": {"dark": True}, "phone": {"width": 360, "height": 740, "mobile": True},
}  # fmt: skip


def choose(chromium: Browser, file: Path) -> None:
    """Choose *file* in the form, as a person does in the dialog."""
    node = chromium.send("Runtime.evaluate", expression="document.getElementById('file')")["result"]["objectId"]
    chromium.send("DOM.setFileInputFiles", objectId=node, files=[str(file)])


def wait_for(chromium: Browser, expression: str) -> Any:
    end = time.monotonic() + SECONDS
    while not (found := chromium.run(expression)):
        assert time.monotonic() < end, chromium.run("document.body.innerText")
        time.sleep(0.1)
    return found


def visit(service: Running, chromium: Browser, path: str = "/", **how: Any) -> None:
    chromium.errors.clear()
    chromium.open(f"http://127.0.0.1:{service.port}{path}", **how)


def axe(chromium: Browser) -> list[Any]:
    try:
        source = axe_source()
    except OSError as error:
        pytest.skip(f"no axe-core: {error}")
    chromium.run(f"{source}; 0")
    found: list[Any] = chromium.run(
        "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))]))"
    )
    return found


def test_a_chosen_file_is_examined_and_shown(service: Running, chromium: Browser, files: Path) -> None:
    visit(service, chromium)
    assert "synthetic data" in chromium.run("document.querySelector('h1 + .caution').textContent")
    choose(chromium, files / "face.jpg")
    chromium.run("document.querySelector('#form button').click()")
    wait_for(chromium, "location.pathname.startsWith('/results/') && document.readyState === 'complete'")
    # the caution is before every number
    text = chromium.run("document.body.innerText")
    assert text.index("synthetic data") < min(text.index(word) for word in ("score", "face.jpg", "1 face"))
    assert "written by mozjpeg, quality 77" in text
    assert "inconclusive" in text
    wait_for(chromium, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert chromium.run("document.querySelector('.annotated img').naturalWidth") == 320
    chromium.run("document.getElementById('maps').click()")
    wait_for(chromium, "location.search === '?maps=1' && document.readyState === 'complete'")
    assert "grad_cam" in chromium.run("document.body.innerText")
    fetched = "fetch(document.querySelector('a[download]').href).then(r => r.arrayBuffer()).then(b => b.byteLength)"
    size = chromium.run(fetched)
    assert size > 10_000
    assert chromium.errors == []
    chromium.run("document.querySelector('nav button').click()")
    wait_for(chromium, "location.pathname === '/'")


GIVE = {
    "drop": "new DragEvent('drop', {dataTransfer: list})",
    "paste": "new ClipboardEvent('paste', {clipboardData: list})",
}


@pytest.mark.parametrize("how", GIVE)
def test_a_dropped_or_pasted_image_is_examined(service: Running, chromium: Browser, files: Path, how: str) -> None:
    visit(service, chromium)
    data = list((files / "face.png").read_bytes())
    file = f"new File([new Uint8Array({data})], 'given.png')"
    chromium.run(f"var list = new DataTransfer(); list.items.add({file}); document.dispatchEvent({GIVE[how]}); 0")
    wait_for(chromium, "location.pathname.startsWith('/results/') && document.readyState === 'complete'")
    assert chromium.run("document.querySelector('h2').textContent") == "given.png"


def test_errors_are_shown_on_the_page(service: Running, chromium: Browser, files: Path, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_bytes(HTML)
    (tmp_path / "large.png").write_bytes(bytes(3 * MEBI))
    cases = {
        tmp_path / "page.jpg": "neither an image nor a video",
        tmp_path / "large.png": "larger than 2 MiB",
        files / "black.png": "No answer: no face found",
    }
    visit(service, chromium)
    for file, words in cases.items():
        choose(chromium, file)
        chromium.run("document.querySelector('#form button').click()")
        found = wait_for(chromium, f"document.getElementById('error').textContent.includes({words!r}) && 'shown'")
        assert found == "shown"
        assert chromium.run("document.getElementById('error').getAttribute('role')") == "alert"
    assert axe(chromium) == []


def test_the_page_works_without_script(service: Running, chromium: Browser, files: Path) -> None:
    visit(service, chromium)
    choose(chromium, files / "face.png")
    chromium.run("document.getElementById('form').submit()")  # calls no handler: the browser itself sends the form
    wait_for(chromium, "location.pathname.startsWith('/results/') && document.readyState === 'complete'")
    assert chromium.run("document.querySelector('h2').textContent") == "face.png"


def test_the_keyboard_reaches_every_control(service: Running, chromium: Browser) -> None:
    visit(service, chromium)
    reached = []
    for _ in range(12):
        chromium.press("Tab")
        reached.append(chromium.run("document.activeElement.id || document.activeElement.tagName"))
        if reached[-1] != "BODY":
            assert chromium.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    controls = ["file", "SUMMARY", "BUTTON"]
    assert [one for one in reached if one in controls][:3] == controls


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_and_nothing_is_cut_off(
    service: Running, chromium: Browser, files: Path, scheme: str
) -> None:
    _, _, address = service.post((files / "face.jpg").read_bytes(), "a-long-name-" * 10 + ".jpg")
    for path in ("/", address.replace("/v1", ""), "/results/nothing"):
        visit(service, chromium, path, **SCHEMES[scheme])
        chromium.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        assert chromium.run("document.documentElement.scrollWidth <= innerWidth"), path
        assert axe(chromium) == [], path
    if scheme == "dark":
        colour = chromium.run("getComputedStyle(document.body).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", colour)[:3])) < 200
