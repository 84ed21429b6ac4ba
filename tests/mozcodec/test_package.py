"""The build, the content of the wheel, the symbols of the extension, and the errors of a build that fails."""

import ast
import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import mozcodec
from tools.scripts import load

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "mozcodec"
LICENSES = ["LICENSE", "licenses/mozjpeg/LICENSE.md", "licenses/mozjpeg/README.ijg"]
VERSION = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["version"]
IJG = "this software is based in part on the work of the Independent JPEG Group"


@pytest.fixture(scope="session")
def dist(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the source distribution, built as a user would.

    The wheel is built where the editable installation was, if it was: mozjpeg's library is compiled there already.
    """
    folder = tmp_path_factory.mktemp("dist")
    installed = [f"-Cbuild-dir={path}" for path in (PACKAGE / "build").glob("*-editable")][:1]
    for options in (["--wheel", *installed], ["--sdist"]):
        command = [sys.executable, "-m", "build", *options, "--outdir", str(folder), str(PACKAGE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


def test_one_wheel_serves_every_python_from_3_11_on(dist):
    assert dist["wheel"].name.startswith(f"mozcodec-{VERSION}-cp311-abi3-")
    assert dist["wheel"].stat().st_size < 1_000_000


def test_the_wheel_carries_the_licences(dist):
    with zipfile.ZipFile(dist["wheel"]) as wheel:
        names = wheel.namelist()
        for licence in LICENSES:
            assert wheel.read(f"mozcodec-{VERSION}.dist-info/licenses/{licence}") == (PACKAGE / licence).read_bytes()
        metadata = wheel.read(f"mozcodec-{VERSION}.dist-info/METADATA").decode()
    assert "\nLicense-Expression: MIT AND BSD-3-Clause AND IJG AND Zlib\n" in metadata
    assert IJG.lower() in " ".join(metadata.split()).lower()
    assert {"mozcodec/py.typed", "mozcodec/_mozjpeg.abi3.so", "mozcodec/_mozjpeg.pyi"} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".h", ".a"))]
    assert {name.split("/")[0] for name in names} == {"mozcodec", f"mozcodec-{VERSION}.dist-info"}


def test_the_wheel_lists_what_it_holds_of_others(dist):
    """PEP 770; by its format any reader of CycloneDX finds mozjpeg and the hash of its source."""
    with zipfile.ZipFile(dist["wheel"]) as wheel:
        sbom = json.loads(wheel.read(f"mozcodec-{VERSION}.dist-info/sboms/mozcodec.cdx.json"))
        folders = {name.split("/")[3] for name in wheel.namelist() if "/licenses/licenses/" in name}
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.5")
    assert sbom["metadata"]["component"]["version"] == VERSION
    works = {work["name"]: work for work in sbom["components"]}
    assert set(works) == folders == {path.name for path in (PACKAGE / "licenses").iterdir()}
    source = (PACKAGE / "cmake" / "mozjpeg-source.txt").read_text()
    assert f"mozjpeg {works['mozjpeg']['version']}." in source
    assert works["mozjpeg"]["externalReferences"][0]["hashes"][0]["content"] in source


def test_the_sdist_carries_the_licences_and_every_source(dist):
    with tarfile.open(dist["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
        for licence in LICENSES:
            member = sdist.extractfile(f"mozcodec-{VERSION}/{licence}")
            assert member is not None
            assert member.read() == (PACKAGE / licence).read_bytes()
    sources = {str(path.relative_to(PACKAGE)) for path in (PACKAGE / "csrc").rglob("*.[ch]")}
    assert sources | {"CMakeLists.txt", "cmake/mozjpeg-source.txt", "cmake/glue.py"} <= names
    assert not [name for name in names if name.startswith(("build/", "dist/"))]


def test_mozjpegs_licences_are_those_of_the_pinned_source(programs):
    for name in ("LICENSE.md", "README.ijg"):
        assert (PACKAGE / "licenses" / "mozjpeg" / name).read_bytes() == (programs.source / name).read_bytes()


def test_licence_and_acknowledgement_are_declared():
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    annotations = tomllib.loads((PACKAGE.parents[1] / "REUSE.toml").read_text())["annotations"]
    declared = {
        name: one["SPDX-License-Identifier"]
        for one in annotations
        for name in load(PACKAGE / "cmake" / "sbom.py").WORKS
        if f"packages/mozcodec/licenses/{name}/**" in one["path"]
    }
    assert declared == load(PACKAGE / "cmake" / "sbom.py").WORKS
    every = {"MIT"}.union(*(licence.split(" AND ") for licence in declared.values()))
    assert set(project["license"].split(" AND ")) == every
    assert (PACKAGE / "LICENSE").read_text().startswith("MIT License")
    assert IJG.lower() in " ".join((PACKAGE / "README.md").read_text().split()).lower()


def test_only_the_module_entry_leaves_the_extension():
    """Pillow, OpenCV and torchvision bring a libjpeg of their own into the process."""
    done = subprocess.run(
        ["nm", "-D", "--defined-only", mozcodec._mozjpeg.__file__], capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["PyInit__mozjpeg"]


def test_the_extension_needs_no_libjpeg():
    done = subprocess.run(["readelf", "-d", mozcodec._mozjpeg.__file__], capture_output=True, text=True, check=True)
    assert "NEEDED" in done.stdout
    assert "jpeg" not in "".join(line for line in done.stdout.splitlines() if "NEEDED" in line)


def test_other_libjpegs_in_the_process_change_nothing(small, tmp_path):
    """Loaded before, with all their symbols global."""
    np.save(tmp_path / "pixels.npy", small)
    code = (
        "import os, sys; sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL); import cv2, PIL.Image; "
        "import numpy, mozcodec; pixels = numpy.load(sys.argv[1]); sys.stdout.buffer.write(mozcodec.encode(pixels, 60))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "pixels.npy")]
    assert subprocess.run(command, capture_output=True, check=True).stdout == mozcodec.encode(small, 60)


def test_build_info_says_what_the_bytes_come_from():
    info = mozcodec.build_info()
    assert (info["linking"], info["mozjpeg_version"], info["simd"]) == ("static", "5.0.0", True)
    assert info["arithmetic_encoding"] and info["arithmetic_decoding"]
    with pytest.raises(TypeError):
        info["linking"] = "system"


def test_the_public_names_are_sorted_exist_and_are_documented():
    names = mozcodec.__all__
    assert names == sorted(names)
    public = {n for n, value in vars(mozcodec).items() if not n.startswith("_") and not isinstance(value, ModuleType)}
    assert public == set(names)
    assert [name for name in names if not getattr(mozcodec, name).__doc__] == []


def test_the_c_header_has_no_preprocessor_lines():
    lines = (PACKAGE / "csrc" / "mozcodec.h").read_text().splitlines()
    assert [line for line in lines if line.lstrip().startswith("#")] == []


def test_the_exception_tree_is_the_one_drawn():
    drawn = ast.get_docstring(ast.parse((PACKAGE / "src/mozcodec/_errors.py").read_text()))
    assert drawn is not None
    for name in mozcodec.__all__:
        kind = getattr(mozcodec, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert f"{name} " in drawn or f"{name}\n" in drawn
            assert issubclass(kind, mozcodec.JpegError | UserWarning)


def configure(tmp_path: Path, *definitions: str) -> str:
    """Run CMake, which must fail, and return what it says."""
    command = ["cmake", "-S", str(PACKAGE), "-B", str(tmp_path), f"-DPython_EXECUTABLE={sys.executable}", *definitions]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return " ".join(done.stderr.split())


def test_without_nasm_the_build_stops_with_the_line_to_type(tmp_path):
    nowhere = ["-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF", "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF"]
    make, compiler = shutil.which("make"), shutil.which("cc")
    tools = [f"-DCMAKE_MAKE_PROGRAM={make}", f"-DCMAKE_C_COMPILER={compiler}", "-G", "Unix Makefiles"]
    said = configure(tmp_path, *nowhere, *tools)
    assert "nasm was not found" in said
    assert "apt-get install nasm" in said
    assert "MOZCODEC_REQUIRE_SIMD=OFF" in said


def test_without_pythons_headers_the_build_stops_with_the_line_to_type(tmp_path):
    said = configure(tmp_path, "-DPython_INCLUDE_DIR=/nowhere")
    assert "were not found (Python.h)" in said
    assert "apt-get install python3-dev" in said
    assert not list(tmp_path.rglob("jpeglib.h"))  # before anything is downloaded


def test_a_wrong_source_folder_is_named(tmp_path):
    said = configure(tmp_path, f"-DMOZCODEC_MOZJPEG_SOURCE={tmp_path}")
    assert f"MOZCODEC_MOZJPEG_SOURCE={tmp_path} holds no jpeglib.h" in said
    said = configure(tmp_path / "build", "-DMOZCODEC_MOZJPEG_SOURCE:STRING=mozjpeg")  # as scikit-build-core sets it
    assert "MOZCODEC_MOZJPEG_SOURCE=mozjpeg must be an absolute path" in said


@pytest.mark.parametrize(
    ("source", "names"), [("folder", ["jpegli", "mozjpeg", "ssimulacra2"]), ("system", ["jpegli", "ssimulacra2"])]
)
def test_the_sbom_claims_no_hash_of_a_given_source_and_no_library_of_the_system(source, names, tmp_path):
    script, made = PACKAGE / "cmake" / "sbom.py", tmp_path / "sbom.json"
    subprocess.run([sys.executable, script, "1.2.3", source, made], check=True)
    works = json.loads(made.read_text())["components"]
    assert [work["name"] for work in works] == names
    assert all("externalReferences" not in work for work in works)


def test_a_wrong_hash_stops_the_build(tmp_path):
    """A source with another hash is not built."""
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("build", "dist"))
    pin = copy / "cmake" / "mozjpeg-source.txt"
    text = pin.read_text()
    pin.write_text(text.replace("sha256:4d15", "sha256:5d15"))
    command = ["cmake", "-S", str(copy), "-B", str(tmp_path / "b"), f"-DPython_EXECUTABLE={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert "MOZCODEC_MOZJPEG_SOURCE" in done.stderr
    assert "MOZCODEC_SYSTEM_MOZJPEG" in done.stderr


def run(*command: object, **environment: str) -> str:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed_mozjpeg(programs, tmp_path_factory) -> Path:
    """A shared libmozjpeg as a distribution would install it."""
    source = programs.source
    build, prefix = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("prefix")
    choices = ["-DPNG_SUPPORTED=OFF", "-DWITH_TURBOJPEG=OFF", "-DCMAKE_POSITION_INDEPENDENT_CODE=ON"]
    run("cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release", *choices)
    run("cmake", "--build", build, "--target", "jpeg")
    for folder in ("include", "lib"):
        (prefix / folder).mkdir()
    for header in (*(source / name for name in ("jpeglib.h", "jmorecfg.h", "jerror.h")), build / "jconfig.h"):
        shutil.copy(header, prefix / "include")
    for library in build.glob("libjpeg.so*"):
        shutil.copy(library, prefix / "lib", follow_symlinks=False)
    return prefix


SYSTEM_CHECKS = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
import numpy, mozcodec
pixels = numpy.load(sys.argv[1])
info = mozcodec.build_info()
assert (info["linking"], info["simd"]) == ("system", None), info
for options in ({}, {"progressive": False}, {"tune": "ssim"}, {"precision": 12}):
    image = pixels.astype(numpy.uint16) * 16 if "precision" in options else pixels
    decoded = mozcodec.decode(mozcodec.encode(image, 77, **options), region=(3, 3, 30, 30))
    assert decoded.shape == (27, 27, 3)
data = mozcodec.encode(pixels, 77)
assert mozcodec.decode_batch([data] * 3).shape == (3, *pixels.shape)
assert len(mozcodec.optimize(mozcodec.encode(pixels, profile="fastest"))) > 0
assert (mozcodec.decode(mozcodec.write_coefficients(mozcodec.read_coefficients(data))) == mozcodec.decode(data)).all()
refused = [
    lambda: mozcodec.encode_scaled(pixels, dct_size=4),
    lambda: mozcodec.encode_smartscale(pixels, block_size=4),
    lambda: mozcodec.transform(data, "rotate_90"),
]
for call in refused:
    try:
        call()
    except mozcodec.UnavailableError as error:
        assert "MOZCODEC_SYSTEM_MOZJPEG" in str(error), error
    else:
        raise AssertionError("a system build did what its public interface cannot")
sys.stdout.buffer.write(data)
"""


@pytest.mark.slow(minutes=1)
@pytest.mark.timeout(1500)
def test_an_installed_libmozjpeg_offers_what_its_interface_can(installed_mozjpeg, small, tmp_path):
    target = tmp_path / "site"
    run(
        sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, f"-Cbuild-dir={tmp_path / 'build'}",
        PACKAGE, MOZCODEC_SYSTEM_MOZJPEG="ON", CMAKE_PREFIX_PATH=str(installed_mozjpeg), PKG_CONFIG_PATH="",
        PKG_CONFIG_LIBDIR="/nowhere",
    )  # fmt: skip
    np.save(tmp_path / "pixels.npy", small)
    command = [sys.executable, "-c", SYSTEM_CHECKS, str(tmp_path / "pixels.npy")]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"PYTHONPATH": str(target)})
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == mozcodec.encode(small, 77)  # the same source, and no other libjpeg in the process


def test_a_system_build_refuses_another_libjpeg(tmp_path):
    """libjpeg-turbo's header has no mozjpeg parameters; a header of three lines stands for it."""
    for folder in ("include", "lib"):
        (tmp_path / folder).mkdir()
    (tmp_path / "include" / "jpeglib.h").write_text("struct jpeg_compress_struct { int nothing; };\n")
    (tmp_path / "lib" / "libjpeg.a").write_bytes(b"!<arch>\n")
    said = configure(
        tmp_path / "build", "-DMOZCODEC_SYSTEM_MOZJPEG=ON", f"-DCMAKE_PREFIX_PATH={tmp_path}",
        "-DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON",
    )  # fmt: skip
    assert "the installed libjpeg is not mozjpeg" in said


GUIDE = PACKAGE.parents[1] / "docs" / "mozcodec"
SESSIONS = [page for page in (PACKAGE / "README.md", *sorted(GUIDE.glob("*.md"))) if ">>> " in page.read_text()]


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.stem)
def test_the_session_of_a_page_runs_as_printed(page):
    done = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert done.failed == 0
    assert done.attempted > 6


def test_the_readmes_command_has_what_it_needs(tmp_path):
    """Alone, mozcodec reads no PNG: the line that installs it brings Pillow."""
    block = re.search(r"```\n(pip install .*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)[1]
    install, encode = (line.partition("#")[0].split() for line in block.splitlines())
    assert install[2] == "'./packages/mozcodec[pillow]'"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "photo.png")
    run(sys.executable, "-m", "mozcodec", *(str(tmp_path / word) if "photo" in word else word for word in encode[1:]))
    assert mozcodec.decode((tmp_path / "photo.jpg").read_bytes()).shape == (8, 8, 3)


USER = """
import numpy as np
import mozcodec
image = np.zeros((64, 80, 3), np.uint8)
data = mozcodec.encode(image, 77, subsampling="4:2:0", comment="hello")
view: memoryview = mozcodec.encode(image, 77, out=bytearray(9999))
planes: tuple[np.ndarray, ...] = mozcodec.decode(data, "planes")
pixels: np.ndarray = mozcodec.decode(data, "gray", scale=4, region=(0, 0, 8, 8), on_truncated="warn", max_pixels=None)
sizes = [(point.quality, len(point.data)) for point in mozcodec.sweep(image, [10, 20], scales=(8, 16), arithmetic=True)]
quality: int = mozcodec.encode_to_target(image, bytes=5000, smallest=True).quality
distance: float = mozcodec.encode_to_target(image, bytes=5000, effort=1).distance
coefficients = mozcodec.read_coefficients(data)
written: bytes = mozcodec.write_coefficients(coefficients, metadata=mozcodec.read_header(data).metadata)
options: mozcodec.EncodeOptions = {"progressive": False}
files: list[bytes] = list(mozcodec.encode_many([image], 60, **options))
"""


@pytest.mark.slow(minutes=0.5)
def test_a_users_script_passes_strict_mypy_and_its_slips_do_not(tmp_path):
    (tmp_path / "good.py").write_text(USER)
    slips = ["encode(image, qualty=7)", "encode(image, tune='sim')", "decode(data, scale='2')"]
    (tmp_path / "bad.py").write_text(USER + "".join(f"mozcodec.{slip}\n" for slip in slips))
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path)]
    done = [
        subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True, check=False, cwd=tmp_path)
        for name in ("good.py", "bad.py")
    ]
    assert done[0].returncode == 0, done[0].stdout
    wrong = {line.split(":")[1] for line in done[1].stdout.splitlines() if ": error:" in line}
    first = USER.count("\n") + 1
    assert wrong == {str(first + i) for i in range(len(slips))}
