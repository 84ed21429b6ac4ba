"""Inputs at addresses of fsspec: an S3 server on loopback (moto), and fsspec's file system in memory."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from detector import remote
from detector.cli import cli
from detector.data.index import read_index
from detector.data.png import encode_png
from detector.errors import DataError

fsspec = pytest.importorskip("fsspec", reason="pip install 'detector[remote]'")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(remote.CACHE, raising=False)


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pipe({"/data/a/1.txt": b"one", "/data/2.txt": b"two"})
    yield files
    files.store.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="pip install 'detector[remote]'")
    moto = pytest.importorskip("moto.server", reason="pip install 'moto[server,s3]'")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """s3fs's file system with an empty bucket, for which the environment has address and credentials."""
    import s3fs  # type: ignore[import-untyped]

    settings = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("bucket")
    yield files
    files.rm("bucket", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def detector(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_copy_follows_what_is_at_the_address_and_is_made_once(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    get_file = type(memory).get_file

    def noted(self: Any, path: str, *rest: Any, **options: Any) -> Any:
        copied.append(path)
        return get_file(self, path, *rest, **options)

    monkeypatch.setattr(type(memory), "get_file", noted)
    copy = remote.fetched("memory://data")
    assert contents(copy) == {"a/1.txt": b"one", "2.txt": b"two"}
    assert len(copied) == 2
    assert remote.fetched("memory://data") == copy
    assert len(copied) == 2

    (copy / "a" / "1.txt").write_bytes(b"o")
    memory.pipe("/data/3.txt", b"three")
    memory.rm("/data/2.txt")
    assert contents(remote.fetched("memory://data")) == {"a/1.txt": b"one", "3.txt": b"three"}
    assert len(copied) == 4
    assert remote.fetched("memory://data/3.txt").read_bytes() == b"three"
    assert not list(Path("out").rglob("*.part"))


def test_files_and_folders_that_take_each_others_names_are_followed(memory: Any) -> None:
    remote.fetched("memory://data")

    def becomes(files: dict[str, bytes]) -> dict[str, bytes]:
        memory.rm("/data", recursive=True)
        memory.pipe(files)
        copy = remote.fetched("memory://data")
        folders = [path for path in copy.rglob("*") if path.is_dir()]
        assert all(any(folder.iterdir()) for folder in folders)  # there are no empty folders at an address
        return contents(copy) if copy.is_dir() else {"": copy.read_bytes()}

    assert becomes({"/data/a": b"one", "/data/2.txt/b": b"two"}) == {"a": b"one", "2.txt/b": b"two"}
    assert becomes({"/data/a": b"one"}) == {"a": b"one"}
    assert becomes({"/data": b"all"}) == {"": b"all"}
    assert becomes({"/data/a": b"one"}) == {"a": b"one"}


def test_a_name_that_leaves_the_folder_is_refused(memory: Any) -> None:
    memory.store["/data/../../x"] = memory.store["/data/2.txt"]
    with pytest.raises(DataError, match=r"memory://data: cannot be read: .*has a name that a file below"):
        remote.fetched("memory://data")


@pytest.mark.usefixtures("memory")
def test_what_does_not_fit_on_the_disk_is_refused_before_anything_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "small"))
    usage = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"memory://data: .* are to be copied, but .*small.* name a folder .*CACHE"):
        remote.fetched("memory://data")
    assert not [path for path in (tmp_path / "small").rglob("*") if path.suffix in (".txt", ".part")]


def test_an_interrupted_copy_goes_on_with_the_files_that_are_missing(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_file, copied = type(memory).get_file, []

    def fails(self: Any, path: str, to: str, **options: Any) -> Any:
        get_file(self, path, to, **options)
        copied.append(path)
        if path.endswith("1.txt"):
            Path(to).write_bytes(b"")
        return None

    monkeypatch.setattr(type(memory), "get_file", fails)
    with pytest.raises(DataError, match=r"memory://data/a/1\.txt: .* 0 bytes were received, 3 are there; run it again"):
        remote.fetched("memory://data")
    monkeypatch.setattr(type(memory), "get_file", get_file)
    assert contents(remote.fetched("memory://data")) == {"a/1.txt": b"one", "2.txt": b"two"}


def test_an_interrupted_run_copies_later_only_what_it_had_not_copied(
    memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory.pipe("/data/3.txt", b"three")
    get_file, copied = type(memory).get_file, []

    def interrupted(self: Any, path: str, *rest: Any, **options: Any) -> Any:
        if path.endswith("1.txt"):
            raise KeyboardInterrupt
        copied.append(path)
        return get_file(self, path, *rest, **options)

    def noted(self: Any, path: str, *rest: Any, **options: Any) -> Any:
        copied.append(path)
        return get_file(self, path, *rest, **options)

    monkeypatch.setattr(type(memory), "get_file", interrupted)
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        remote.fetched("memory://data")
    assert copied == ["/data/2.txt", "/data/3.txt"]
    lines = next(tmp_path.glob(f"out/fetched/*/{remote.NEW}"))
    with lines.open("a") as file:
        file.write('["a/1.txt", "3 cre')  # killed while it wrote this
    memory.pipe("/data/3.txt", b"another")
    monkeypatch.setattr(type(memory), "get_file", noted)
    copied.clear()
    assert contents(remote.fetched("memory://data")) == {"a/1.txt": b"one", "2.txt": b"two", "3.txt": b"another"}
    assert copied == ["/data/3.txt", "/data/a/1.txt"]
    assert not lines.exists()


def test_a_failed_or_interrupted_copy_ends_the_others(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began, finished = threading.Event(), []

    def one_fails(_files: Any, path: str, *_: Any, callback: Any) -> None:
        if path == "/data/2.txt":
            assert began.wait(60)
            raise KeyboardInterrupt
        began.set()
        for _piece in range(1000):  # of a large file
            callback.relative_update(1)
            time.sleep(0.01)
        finished.append(path)

    monkeypatch.setattr(type(memory), "get_file", one_fails)
    monkeypatch.setattr(remote, "AT_ONCE", 2)
    with pytest.raises(KeyboardInterrupt):
        remote.fetched("memory://data")
    assert not finished


@pytest.mark.parametrize(("value", "expected"), [("s3://b/c", True), ("gs://b", True), ("a/b", False), ("C:/x", False)])
def test_addresses_are_told_from_paths(value: str, expected: bool) -> None:
    assert remote.is_address(value) is expected


SMALL = (
    "conditions: [raw, 77]\ntrain: {steps: 4, batch_size: 8, eval_every: 4, conditions: [raw], threads: 1}\n"
    "score: {batch_size: 8}\n"
)


def test_commands_without_tasks_copy_the_shards(bucket: Any, packed_crops: dict[str, Path], tmp_path: Path) -> None:
    Path("params.yaml").write_text(SMALL)
    for name, folder in packed_crops.items():
        bucket.put(str(folder), f"bucket/crops/{name}", recursive=True)
    found = {}
    for name, place in (("here", packed_crops["faces"].parent), ("s3", "s3://bucket/crops")):
        out = tmp_path / name
        crops = [f"{place}/compressed", out / "train", "--faces", f"{place}/faces"]
        detector("train", *crops, "--history", out / "history.csv", "--checkpoints", tmp_path / "checkpoints")
        found[name] = contents(out)
    assert len(found["s3"]) >= 5
    assert found["s3"] == found["here"]
    detector("unpack", "s3://bucket/crops/faces", tmp_path / "loose")
    file = next((tmp_path / "loose").glob("*.json"))
    bucket.put(str(tmp_path / "loose"), "bucket/loose", recursive=True)
    detector("pack", file, tmp_path / "packed-here", "--root", tmp_path / "loose")
    detector("pack", f"s3://bucket/loose/{file.name}", tmp_path / "packed", "--root", "s3://bucket/loose")
    assert contents(tmp_path / "packed") == contents(tmp_path / "packed-here")


FACES = "faces: {methods: [Deepfakes, FaceSwap], size: 64, frames_real: 4, frames_fake: 2}\n"


def test_tasks_of_faces_copy_their_videos_from_s3_with_the_crops_of_a_folder(
    bucket: Any, small_tree: Path, small_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("params.yaml").write_text(FACES)
    bucket.put(str(small_tree), "bucket/videos", recursive=True)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    largest = max(path.stat().st_size for path in small_tree.rglob("*.mp4"))
    copied: list[str] = []
    receive = remote._receive

    def noted(files: Any, file: Any, path: Path, **options: Any) -> None:
        receive(files, file, path, **options)
        copied.append(file.name)
        # the copies of one clip and its mask, without a name; the videos are not in the copy of the folder
        assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and not path.is_symlink()]
        assert not [path for path in Path("out/fetched").rglob("*.mp4") if path.stat().st_size > remote.START]

    monkeypatch.setattr(remote, "_receive", noted)
    detector("faces", "s3://bucket/videos", "faces", "--executor", "serial")
    assert largest > remote.START
    assert contents(Path("faces")) == contents(small_faces)
    videos = sorted(path.relative_to(small_tree).as_posix() for path in small_tree.rglob("*.mp4"))
    assert sorted(name for name in copied if name.endswith(".mp4")) == videos  # each once
    assert not list((tmp_path / "scratch").iterdir())
    # another command that needs the whole files gets them, and tasks then read those
    monkeypatch.setattr(remote, "_receive", receive)
    assert contents(remote.fetched("s3://bucket/videos")) == contents(small_tree)
    monkeypatch.setattr(remote, "_receive", None)
    detector("faces", "s3://bucket/videos", "again", "--executor", "serial")
    assert contents(Path("again")) == contents(small_faces)


def test_faces_resumes_with_the_videos_that_are_missing(
    bucket: Any, small_tree: Path, small_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("params.yaml").write_text(FACES)
    bucket.put(str(small_tree), "bucket/videos", recursive=True)
    receive, copied = remote._receive, []

    def damaged(files: Any, file: Any, path: Path, **options: Any) -> None:
        copied.append(file.name)
        if len(copied) == 16:
            files.pipe(file.path, b"another video")  # changed while the command runs
        receive(files, file, path, **options)

    monkeypatch.setattr(remote, "_receive", damaged)
    result = CliRunner().invoke(cli, ["faces", "s3://bucket/videos", "faces", "--executor", "serial"])
    assert result.exit_code == 1 and not Path("faces").exists()
    assert re.search(r"s3://bucket/videos/\S+\.mp4: cannot be read: 13 bytes were received, ", result.output)
    before = {name for name in copied[:-1] if name.endswith(".mp4")}
    wrong, name = copied[-1], f"bucket/videos/{copied[-1]}"
    bucket.put(str(small_tree / wrong), name)
    copied.clear()

    def noted(files: Any, file: Any, path: Path, **options: Any) -> None:
        copied.append(file.name)
        receive(files, file, path, **options)

    monkeypatch.setattr(remote, "_receive", noted)
    detector("faces", "s3://bucket/videos", "faces", "--executor", "serial")
    assert contents(Path("faces")) == contents(small_faces)
    again = before & set(copied)
    assert len(before) > 8
    assert len(again) <= 1  # at most the video whose mask was damaged


@pytest.mark.parametrize("manifest", [False, True])
def test_tasks_copy_the_files_of_plain_folders_and_manifests(
    bucket: Any,
    small_tree: Path,
    face_photograph: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    manifest: bool,
) -> None:
    plain = write_plain(tmp_path / "plain", small_tree, face_photograph, manifest)
    bucket.put(str(plain), "bucket/plain", recursive=True)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    receive, copied = remote._receive, []

    def noted(files: Any, file: Any, path: Path, **options: Any) -> None:
        receive(files, file, path, **options)
        copied.append(file.name)

    monkeypatch.setattr(remote, "_receive", noted)
    detector("faces", "s3://bucket/plain", "faces", "--executor", "serial")
    media = {name: data for name, data in contents(plain).items() if name.endswith((".png", ".mp4"))}
    # each content once, as the ETags tell which files are the same, and only the start of each in the folder
    assert sorted(media[name] for name in copied if name in media) == sorted(set(media.values()))
    assert len(set(media.values())) == len(media) - 3
    assert {path.stat().st_size for path in Path("out/fetched").rglob("*") if path.suffix in (".png", ".mp4")} == {400}
    assert not list((tmp_path / "scratch").iterdir())
    detector("faces", remote.fetched("s3://bucket/plain"), "here", "--executor", "serial")
    assert contents(Path("faces")) == contents(Path("here"))
    assert len(read_index(Path("here"))) > 20


def write_plain(folder: Path, tree: Path, photograph: np.ndarray, manifest: bool = False) -> Path:
    """Write videos and images, two of them the same, in folders real and fake; with a *manifest*, elsewhere."""
    Path("params.yaml").write_text("faces: {size: 32, detector: lbp, frames_real: 2, frames_fake: 2}\n")
    names = ("a", "b") if manifest else ("real", "fake")
    for name, method in zip(names, ("original_sequences/youtube", "manipulated_sequences/Deepfakes"), strict=True):
        shutil.copytree(tree / method / "c23/videos", folder / name)
    image = np.ascontiguousarray(photograph[::2, ::2])
    for n in range(12):
        image[:4, :4] = 100 + n // 4 if n % 2 else n
        (folder / names[n % 2] / f"p{n}.png").write_bytes(encode_png(image))
    if manifest:
        files = [path.relative_to(folder) for path in sorted(folder.rglob("*.*"))]
        rows = [f"{path},{'real' if path.parts[0] == 'a' else 'fake'}" for path in files]
        (folder / "manifest.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    return folder


def test_the_same_file_in_both_classes_is_found_at_an_address(memory: Any) -> None:
    Path("params.yaml").write_text("faces: {size: 32, detector: lbp}\n")
    for name, data in {"real/1": b"one", "real/2": b"two", "fake/3": b"thr", "fake/4": b"one"}.items():
        memory.pipe(f"/plain/{name}.png", b"\x89PNG\r\n\x1a\n" + bytes(1000) + data)
    # no ETags here: files of the same size are read once to compare them
    result = CliRunner().invoke(cli, ["faces", "memory://plain", "faces", "--executor", "serial"])
    assert result.exit_code == 1
    assert re.search(r"real/1\.png and \S*fake/4\.png are the same file, labelled real and fake", result.output)


def test_no_room_for_the_copy_of_a_task_is_named(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/data/3.mp4", bytes(1000))
    copy, later = remote.placed("memory://data", {".mp4"})
    (video,) = later.values()
    assert (copy / "3.mp4").read_bytes() == bytes(400)
    with video.copied() as path:
        assert path.name == "3.mp4" and path.read_bytes() == bytes(1000)
    assert not path.is_symlink()
    usage = shutil.disk_usage(".")._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        pytest.raises(DataError, match=r"memory://data/3\.mp4: .* to be copied, but .* on a larger disk in TMPDIR"),
        video.copied(),
    ):
        pass


@pytest.mark.usefixtures("bucket")
def test_a_wrong_address_or_server_is_one_line_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    def said(address: str) -> str:
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(DataError) as caught:
            remote.fetched(address)
        text = str(caught.value)
        assert text.startswith(f"{address}: ") and len(text.splitlines()) == 1
        return text

    assert "no file or folder" in said("s3://bucket/none")
    assert "bucket does not exist" in said("s3://no-such-bucket/faces")
    assert "credentials and endpoint of s3" in said("s3://no-such-bucket/faces")
    assert "Protocol not known: gopher" in said("gopher://host/faces")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "Could not connect to the endpoint" in said("s3://bucket/faces")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert "Unable to locate credentials" in said("s3://bucket/faces")


def test_other_bytes_of_the_same_size_are_copied(bucket: Any) -> None:
    bucket.pipe({"bucket/data/1.txt": b"one", "bucket/data/2.txt": b"two"})
    copy = remote.fetched("s3://bucket/data")
    before = (copy / "2.txt").stat().st_mtime_ns
    bucket.pipe("bucket/data/1.txt", b"ONE")
    assert contents(remote.fetched("s3://bucket/data")) == {"1.txt": b"ONE", "2.txt": b"two"}
    assert (copy / "2.txt").stat().st_mtime_ns == before


def test_a_damaged_transfer_is_not_kept(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.pipe("bucket/data/1.txt", b"one")
    get_file = type(bucket)._get_file

    async def flipped(self: Any, path: str, to: str, **options: Any) -> None:
        await get_file(self, path, to, **options)
        Path(to).write_bytes(b"onE")

    monkeypatch.setattr(type(bucket), "_get_file", flipped)
    type(bucket).clear_instance_cache()  # instances have bound it
    with pytest.raises(DataError, match=r"s3://bucket/data/1\.txt: .*the MD5 of what was received"):
        remote.fetched("s3://bucket/data")
    assert not list(Path("out").rglob("1.txt"))
