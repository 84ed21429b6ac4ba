"""The command line: cjpeg's, djpeg's and jpegtran's bytes, complete files, correct summaries."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import mozcodec
from mozcodec._cli import main
from mozcodec._files import bytes_of, pixels_from


@pytest.fixture
def folder(tmp_path, small, small_gray):
    """Images in many formats, one of them broken, one of them deeper."""
    source = tmp_path / "in"
    (source / "deep" / "er").mkdir(parents=True)
    for name, pixels in (("a.ppm", small), ("b.pgm", small_gray), ("c.npy", small), ("deep/er/e.ppm", small[:20])):
        (source / name).write_bytes(bytes_of(pixels, "." + name.partition(".")[2]))
    Image.fromarray(small).save(source / "d.png")
    (source / "notes.txt").write_text("no image")
    return source


def test_encode_writes_cjpegs_bytes(programs, small, tmp_path):
    source, target = tmp_path / "a.ppm", tmp_path / "a.jpg"
    source.write_bytes(bytes_of(small, ".ppm"))
    (tmp_path / "scans").write_text("0 1 2: 0 0 0 0; 0: 1 63 0 0; 1: 1 63 0 0; 2: 1 63 0 0;")
    (tmp_path / "tables").write_text(" ".join(map(str, range(1, 65))) + "\n" + " ".join(["20"] * 64))
    (tmp_path / "icc").write_bytes(bytes(range(256)) * 300)
    for line in (
        "-quality 60",
        "-quality 77.5,50 -sample 2x2,1x1,1x1",
        "-quality 60 -baseline -optimize -notrellis",
        "-quality 85 -revert -progressive -nojfif -restart 3b",
        "-quality 30 -tune-ms-ssim -grayscale -dct float -smooth 10",
        "-quality 30 -quant-table 2 -quant-baseline -noovershoot -notrellis-dc -dc-scan-opt 2 -fastcrush",
        "-quality 90 -arithmetic -rgb -lambda1 12 -lambda2 13",
        f"-quality 50 -scans {tmp_path}/scans -qtables {tmp_path}/tables -qslots 0,1 -icc {tmp_path}/icc",
        "-lossless 3,1 -revert -quality 75",
    ):
        for switches in (line.split(), ["-" + word if word[0] == "-" else word for word in line.split()]):
            ours = [word for word in switches if "lossless" not in line or word.strip("-") != "revert"]
            assert main(["encode", str(source), str(target), "--force", *ours]) == 0
            assert target.read_bytes() == programs.cjpeg(small, *line.split()), line


def test_decode_writes_djpegs_file(programs, small, tmp_path):
    source, target = tmp_path / "a.jpg", tmp_path / "a.ppm"
    source.write_bytes(mozcodec.encode(small, 80))
    for line in ("", "-scale 1/2", "-scale 3/8 -nosmooth", "-dct fast", "-grayscale"):
        assert main(["decode", str(source), str(target), "--force", *line.split()]) == 0
        assert target.read_bytes() == programs.ask("djpeg", "-pnm", *line.split(), data=source.read_bytes()), line
    assert main(["decode", str(source), str(target), "--force", "-crop", "20x10+7+5"]) == 0
    part = mozcodec.decode(source.read_bytes())[5:15, 7:27]
    np.testing.assert_array_equal(pixels_from(target.read_bytes(), ""), part)


def test_optimize_writes_jpegtrans_bytes(programs, small, tmp_path):
    source, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(mozcodec.encode(small, 80, profile="fastest", comment="kept?"))
    for line in ("-copy all", "-rotate 90 -copy none", "-flip vertical -copy comments", "-crop 16x16+16+16 -copy all"):
        assert main(["optimize", str(source), str(target), "--force", *line.split()]) == 0
        assert target.read_bytes() == programs.jpegtran(source.read_bytes(), *line.split()), line


def test_the_programs_short_forms_and_spellings_are_understood(programs, small, tmp_path):
    source, target = tmp_path / "a.ppm", tmp_path / "a.jpg"
    source.write_bytes(bytes_of(small, ".ppm"))
    for line in (
        "-q 60", "-qual 60 -base -o", "-q 50 -p -r 2b -n", "-gray -q 50", "-greyscale -q 50 -dc float",
        "-revert -optimise -q 80", "-q 80 -max 10M -trellis-dc-ver-weight 0.5", "-quality 40 -notrellis-dc -b",
    ):  # fmt: skip
        assert main(["encode", str(source), str(target), "--force", *line.split()]) == 0
        assert target.read_bytes() == programs.cjpeg(small, *line.split()), line
    assert main(["encode", str(source), str(target), "--force", "-quality", "none"]) == 0
    assert target.read_bytes() == programs.cjpeg(small)
    turned = tmp_path / "b.jpg"
    for line in ("-rot 90 -c all", "-f horizontal -copy none", "-trans -c none", "-gray -c all"):
        assert main(["optimize", str(target), str(turned), "--force", *line.split()]) == 0
        assert turned.read_bytes() == programs.jpegtran(target.read_bytes(), *line.split()), line


def test_a_jpeg_keeps_its_metadata_as_cjpeg_does(programs, small, small_gray, tmp_path):
    source, target, icc = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "icc"
    icc.write_bytes(b"another profile")
    given = {"exif": b"II*\0\x08\0\0\0" + bytes(6), "icc_profile": bytes(140_000), "xmp": b"<x/>", "comment": "kept"}
    cmyk = np.dstack([small, small[..., 0]])
    for pixels, options in (
        (small, {}),
        (small, {"arithmetic": True}),
        (small_gray, {}),
        (cmyk, {"pixel_format": "cmyk", "color_space": "ycck"}),
    ):
        source.write_bytes(mozcodec.encode(pixels, 92, **given, **options))
        for line in ("-quality 60", "-quality 85 -baseline", "-quality 30 -arithmetic"):
            assert main(["encode", str(source), str(target), "--force", *line.split()]) == 0
            assert target.read_bytes() == programs.ask("cjpeg", *line.split(), data=source.read_bytes()), line
    was = mozcodec.read_header(source.read_bytes()).metadata
    for words, kept in (
        (["-copy", "none"], mozcodec.Metadata()),
        (["-copy", "icc"], mozcodec.Metadata(icc_profile=was.icc_profile)),
        (["-copy", "comments"], mozcodec.Metadata(comments=was.comments)),
        (["-icc", str(icc)], replace(was, icc_profile=b"another profile")),
        (["-scale", "16"], was),
        (["-smallest"], was),
    ):
        assert main(["encode", str(source), str(target), "--force", *words]) == 0
        assert mozcodec.read_header(target.read_bytes()).metadata == kept, words


def test_colour_markers_of_another_coding_are_not_carried_along(small, tmp_path):
    """An Adobe marker that says RGB beside YCbCr data would give wrong colours."""
    source, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(mozcodec.encode(small, 90, color_space="rgb", comment="kept"))
    assert main(["encode", str(source), str(target), "-nojfif"]) == 0
    header = mozcodec.read_header(target.read_bytes())
    assert (header.color_space, header.adobe_transform, header.jfif_version) == ("ycbcr", None, None)
    assert header.metadata.comments == (b"kept",)


def test_other_formats_keep_profile_and_orientation(small, tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(small).save(source, icc_profile=b"profile", exif=exif)
    assert main(["encode", str(source), str(target)]) == 0
    header = mozcodec.read_header(target.read_bytes())
    assert (header.orientation, header.metadata.icc_profile) == (6, b"profile")
    assert main(["encode", str(source), str(target), "--force", "-copy", "none"]) == 0
    assert target.read_bytes() == mozcodec.encode(small)
    exif[0x010E] = "n" * 70_000
    Image.fromarray(small).save(source, exif=exif)
    assert main(["encode", str(source), str(target), "--force"]) == 0
    assert b"n" * 65_000 in mozcodec.read_header(target.read_bytes()).metadata.exif  # over two segments


def test_standard_input_and_output(small):
    command = [sys.executable, "-m", "mozcodec"]
    ppm = bytes_of(small, ".ppm")
    coded = subprocess.run([*command, "encode", "-", "-", "-quality", "60"], input=ppm, capture_output=True, check=True)
    assert (coded.stdout, coded.stderr) == (mozcodec.encode(small, 60), b"")
    decoded = subprocess.run([*command, "decode", "-", "-"], input=coded.stdout, capture_output=True, check=True)
    np.testing.assert_array_equal(pixels_from(decoded.stdout, ""), mozcodec.decode(coded.stdout))


def test_a_bad_image_on_standard_input_is_a_failed_file():
    command = [sys.executable, "-m", "mozcodec", "encode", "-", "-"]
    done = subprocess.run(command, input=b"P6 4 4 255\nshort", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"mozcodec: -: ValueError: the PNM file has 5 bytes")


# ---- folders --------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_folder(folder, tmp_path, small, small_gray, capsys):
    target = tmp_path / "out"
    assert main(["encode", str(folder), str(target), "-quality", "60", "--threads", "2"]) == 0
    assert sorted(path.name for path in target.iterdir()) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    for name, pixels in (("a", small), ("b", small_gray), ("c", small), ("d", small)):
        assert (target / f"{name}.jpg").read_bytes() == mozcodec.encode(pixels, 60)
    before = sum((folder / name).stat().st_size for name in ("a.ppm", "b.pgm", "c.npy", "d.png"))
    after = sum(path.stat().st_size for path in target.iterdir())
    assert f"4 files written, {before} -> {after} bytes" in capsys.readouterr().err


def test_a_tree_is_mirrored(folder, small):
    target = folder / "mirror"  # inside the source: its files are not taken for images of the source
    assert main(["tree", str(folder), str(target)]) == 0
    assert (target / "deep" / "er" / "e.jpg").read_bytes() == mozcodec.encode(small[:20])
    assert main(["tree", str(folder), str(target), "--force"]) == 0
    assert len([path for path in target.rglob("*") if path.is_file()]) == 5


def test_what_is_done_is_not_done_again(folder, tmp_path, capsys):
    target = tmp_path / "out"
    assert main(["encode", str(folder), str(target)]) == 0
    times = {path: path.stat().st_mtime_ns for path in target.iterdir()}
    later = max(times.values()) + 10**9
    os.utime(folder / "a.ppm", ns=(later, later))
    capsys.readouterr()
    assert main(["encode", str(folder), str(target)]) == 0
    assert "1 file written" in (said := capsys.readouterr().err)
    assert "3 up to date, skipped (--force overwrites)" in said
    changed = [path.name for path in target.iterdir() if path.stat().st_mtime_ns != times[path]]
    assert changed == ["a.jpg"]


def test_files_that_fail_are_listed_and_the_rest_is_made(folder, tmp_path, small, capsys):
    (folder / "broken.jpg").write_bytes(mozcodec.encode(small)[:500])
    (folder / "floats.npy").write_bytes(bytes_of(np.zeros((4, 4), np.float32), ".npy"))
    (folder / "short.ppm").write_bytes(bytes_of(small, ".ppm")[:100])
    assert main(["encode", str(folder), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "4 files written" in said
    assert "3 failed:" in said
    assert "broken.jpg: DamagedError: Premature end of JPEG file" in said
    assert "floats.npy: TypeError: pixels must be uint8 at precision 8, got float32" in said
    assert "short.ppm: ValueError: the PNM file has" in said
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_nothing_half_written_stays(folder, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(type(tmp_path), "replace", fail)
    assert main(["encode", str(folder / "a.ppm"), str(tmp_path / "a.jpg")]) == 1
    assert not list(tmp_path.glob("*.jpg")) + list(tmp_path.glob(".*"))


def test_the_longest_names_are_written(tmp_path, small):
    source, target = tmp_path / "a.ppm", tmp_path / ("n" * 251 + ".jpg")
    source.write_bytes(bytes_of(small, ".ppm"))
    assert main(["encode", str(source), str(target)]) == 0
    assert target.read_bytes() == mozcodec.encode(small)


def test_optimising_in_place_works(tmp_path, small):
    path = tmp_path / "a.jpg"
    path.write_bytes(plain := mozcodec.encode(small, profile="fastest"))
    assert main(["optimize", str(path), str(path)]) == 0
    assert path.read_bytes() == mozcodec.optimize(plain)


def test_optimising_a_folder_keeps_every_name(tmp_path, small):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.jpeg", "b.JPG", "c.jpg"):
        (source / name).write_bytes(mozcodec.encode(small, profile="fastest"))
    assert main(["optimize", str(source), str(target)]) == 0
    assert sorted(path.name for path in target.iterdir()) == ["a.jpeg", "b.JPG", "c.jpg"]


def test_no_image_is_overwritten_with_loss_by_accident(tmp_path, small, capsys):
    path = tmp_path / "a.jpg"
    path.write_bytes(data := mozcodec.encode(small, 95))
    for source in (path, tmp_path):
        assert main(["encode", str(source), str(source), "-quality", "10"]) == 2
        assert "a.jpg: choose another DST" in capsys.readouterr().err
    assert path.read_bytes() == data
    assert main(["encode", str(path), str(path), "-quality", "10", "--force"]) == 0
    assert path.read_bytes() != data


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npy", b"\x93NUMPY", "ValueError: EOF"),
        ("a.npy", b"\x93NUMPY\x01\0", "Error"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + bytes(17), "ValueError: "),
        ("a.webp", b"hello", "ValueError: Pillow does not recognise the format"),
        ("a.ppm", b"P6 4", "ValueError: the PNM header ends before its three numbers"),
        ("a.ppm", b"P6 0 4 255\n", "ValueError: an image has at least one pixel"),
        ("a.jpg", b"\xff\xd8", "DamagedError: Premature end"),
        ("a.tif", b"II*\0", "Error"),
    ],
)
def test_strange_files_fail_alone(name, content, words, tmp_path, small, capsys):
    source = tmp_path / "in"
    source.mkdir()
    (source / name).write_bytes(content)
    (source / "good.ppm").write_bytes(bytes_of(small, ".ppm"))
    assert main(["encode", str(source), str(tmp_path / "out")]) == 1
    assert "1 file written" in (said := capsys.readouterr().err)
    assert words in said.partition(f"{name}: ")[2]


@pytest.fixture
def terminal():
    """Signals as in a terminal: what runs in a shell's background ignores Ctrl-C, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_ctrl_c_leaves_whole_files_and_says_so(tmp_path, astronaut):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(200):
        (source / f"{number:03}.ppm").write_bytes(bytes_of(astronaut, ".ppm"))
    command = [sys.executable, "-m", "mozcodec", "encode", str(source), str(target), "-quality", "90", "-arithmetic"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        while not target.exists() or len(list(target.iterdir())) < 3:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
    assert running.returncode == 130
    assert said == b"mozcodec: interrupted; the files written so far are complete\n"
    made = list(target.iterdir())
    assert 3 <= len(made) < 200
    for path in made:
        assert path.suffix == ".jpg"
        mozcodec.decode(path.read_bytes())


def test_two_images_of_one_name_are_refused(tmp_path, small, capsys):
    for suffix in (".ppm", ".npy"):
        (tmp_path / f"same{suffix}").write_bytes(bytes_of(small, suffix))
    assert main(["encode", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "same.npy and" in (said := capsys.readouterr().err)
    assert "would both be written to" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["encode", "nowhere.ppm", "x.jpg"], "nowhere.ppm does not exist"),
        (["encode", "{folder}", "{folder}/a.ppm"], "is a folder and"),
        (["encode", "{folder}/deep", "x"], "contains no image"),
        (["encode", "{folder}", "x", "-quality", "0"], "quality must be 1..100, got 0"),
        (["encode", "{folder}", "x", "-quant-table", "9"], "-quant-table must be 0..8"),
        (["encode", "{folder}", "x", "-smallest", "-scale", "4"], "cannot be combined with -scale"),
        (["decode", "{folder}", "x", "-scale", "1/3"], "-scale is M/8"),
        (["decode", "{folder}", "x", "-format", "jpg"], "-format must be ppm"),
        (["decode", "{folder}", "x", "-maxpixels", "0"], "-maxpixels must be 1.."),
        (["encode", "{folder}/a.ppm", "x.png"], "x.png would contain a JPEG: name it .jpg"),
        (["tree", "{folder}/a.ppm", "x"], "a.ppm is a file; tree takes a folder"),
        (["encode", "{folder}", "x", "--threads", "0"], "threads must be 1..1024, got 0"),
        (["optimize", "{folder}", "x", "-trim", "-perfect"], "exclude each other"),
        (["optimize", "{folder}", "x", "-dc-scan-opt", "7"], "-dc-scan-opt must be 0..2, got 7"),
        (["optimize", "{folder}", "x", "-maxscans", "0"], "-maxscans must be 1.."),
        (["optimize", "{folder}", "x", "-rotate", "90", "-transpose"], "use only one of -rotate 90, -transpose"),
    ],
)
def test_wrong_arguments_stop_before_the_first_file(folder, tmp_path, capsys, arguments, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([word.format(folder=folder) for word in arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("arguments", [["encode", "a", "b", "-quality", "high"], ["encode", "a"], ["squeeze"], []])
def test_usage_errors_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: mozcodec" in capsys.readouterr().err


# ---- inspect and sweep ----------------------------------------------------------------------------------------------


def test_inspect_describes_a_file(tmp_path, small, capsys):
    path = tmp_path / "a.jpg"
    path.write_bytes(mozcodec.encode(small, 77, comment="hello"))
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "64 x 48, ycbcr 4:2:0, progressive, 8 bits" in said
    assert "quality is 77 of table 3" in said
    assert main(["inspect", "--json", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)[str(path)]
    assert facts["comments"] == ["hello"]
    assert sum(segment[2] for segment in facts["segments"]) + 4 == path.stat().st_size
    (tmp_path / "b.jpg").write_bytes(b"no jpeg")
    assert main(["inspect", str(tmp_path / "b.jpg"), str(path)]) == 1
    assert "Not a JPEG file" in capsys.readouterr().err


def test_sweep_prints_a_table_and_keeps_the_files(tmp_path, small, capsys):
    source = tmp_path / "a.ppm"
    source.write_bytes(bytes_of(small, ".ppm"))
    out = tmp_path / "files"
    words = ["-qualities", "10-50:20", "-scales", "8,16", "-out", str(out), "-notrellis"]
    assert main(["sweep", str(source), *words]) == 0
    head, *rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert head == ["quality", "block", "scale", "bytes", "bits_per_pixel", "psnr", "ssim"]
    assert [row[:3] for row in rows] == [[q, "8", n] for n in ("8", "16") for q in ("10", "30", "50")]
    data = mozcodec.encode(small, 30, trellis_quant=False)
    assert (out / "a.q30.jpg").read_bytes() == data
    assert int(rows[1][3]) == len(data)
    error = ((mozcodec.decode(data).astype(float) - small) ** 2).mean()
    assert float(rows[1][5]) == pytest.approx(10 * np.log10(255**2 / error), abs=1e-4)
    assert rows[4][5:] == ["", ""]  # another size: nothing to compare
    assert (out / "a.q30.8-16.jpg").exists()
    assert main(["sweep", str(source), "-quality", "50", "-scale", "8"]) == 0  # the one letter makes no difference
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_limits_are_switches(tmp_path, small, capsys):
    source = tmp_path / "a.jpg"
    source.write_bytes(mozcodec.encode(small, 80))
    for verb, target in (("decode", tmp_path / "a.ppm"), ("optimize", tmp_path / "b.jpg")):
        for words, complaint in (("-maxpixels 99", "-maxpixels = 99"), ("-maxscans 1", "-maxscans = 1")):
            assert main([verb, str(source), str(target), *words.split()]) == 1
            assert complaint in capsys.readouterr().err
    assert main(["decode", str(source), str(tmp_path / "a.ppm"), "-maxmemory", "1"]) == 1
    assert "Memory limit exceeded: -maxmemory raises it" in capsys.readouterr().err


# ---- formats --------------------------------------------------------------------------------------------------------


def test_images_come_back_from_every_format(small, small_gray):
    for pixels in (small, small_gray):
        for suffix in (".ppm", ".npy", ".png", ".bmp", ".tif"):
            np.testing.assert_array_equal(pixels_from(bytes_of(pixels, suffix), f"a{suffix}"), pixels, suffix)
    deep = small.astype(np.uint16) * 16
    np.testing.assert_array_equal(pixels_from(bytes_of(deep, ".ppm"), ""), deep)


def test_samples_of_more_than_8_bits_are_written_where_the_format_holds_them(small, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    deep = small.astype(np.uint16) * 16
    for suffix in (".png", ".tif"):
        for pixels in (deep, deep[..., 0].copy()):  # Pillow has no images of 16-bit colour
            written = cv2.imdecode(np.frombuffer(bytes_of(pixels, suffix), np.uint8), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(written if written.ndim == 2 else written[..., ::-1], pixels)
    for suffix in (".bmp", ".gif", ".webp"):
        with pytest.raises(ValueError, match=r"samples of 8 bits, these have 16: write \.png"):
            bytes_of(deep, suffix)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"16-bit colour needs OpenCV; without it write \.ppm or \.npy"):
        bytes_of(deep, ".png")


def test_pnm_headers_with_comments_are_read(small):
    data = b"P6 # made by hand\n# two lines\n64\t48\n255\n" + small.tobytes()
    np.testing.assert_array_equal(pixels_from(data, ""), small)


def test_opencv_stands_in_for_pillow(small, monkeypatch):
    png = bytes_of(small, ".png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    np.testing.assert_array_equal(pixels_from(png, "a.png"), small)
    np.testing.assert_array_equal(pixels_from(bytes_of(small, ".png"), "a.png"), small)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"reading \.png needs Pillow or OpenCV: pip install pillow"):
        pixels_from(png, "a.png")


def test_alpha_is_left_out(small):
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([small, small[..., 0]])).save(buffer, "png")
    np.testing.assert_array_equal(pixels_from(buffer.getvalue(), "a.png"), small)


def test_errors_name_the_switches_of_the_command_line(tmp_path, small, capsys):
    source, target = tmp_path / "a.ppm", tmp_path / "a.jpg"
    source.write_bytes(bytes_of(small, ".ppm"))
    target.write_bytes(mozcodec.encode(small[:45, :61], 90))
    cases = (
        (("optimize", target, tmp_path / "b.jpg", "-rotate", "90"), "-trim", "trim=True"),
        (("optimize", target, tmp_path / "b.jpg", "-maxpixels", "10"), "-maxpixels = 10", "max_pixels"),
        (("encode", source, target, "-quality", "101"), "-quality must be", None),
        (("encode", source, target, "-sample", "5x1"), "-sample must be", "subsampling"),
        (("encode", source, target, "-quant-table", "9"), "-quant-table must be", "quant_table"),
        (("encode", source, target, "-block", "17"), "-block must be", "block_size"),
        (("encode", source, target, "-smooth", "101"), "-smooth must be", "smoothing_factor"),
        (("encode", source, target, "-precision", "16"), "-lossless 1..7", "lossless=1"),
        (("encode", source, target, "-widescans", "-baseline"), "-widescans cannot be combined with a", "'wide'"),
        (("encode", source, target, "-widescans", "-arithmetic"), "-widescans cannot be combined with -", "'wide'"),
        (("encode", source, target, "-distance", "1", "-fastcrush"), "allowed: -effort, -nojfif", "optimize_scans"),
        (("encode", source, target, "-distance", "1", "-baseline"), "-baseline cannot be combined with -d", None),
        (("decode", target, tmp_path / "b.ppm", "-crop", "9x9+99+0"), "-crop (99, 0, 108, 9) leaves", "region"),
        (("encode", source, target, "-maxmemory", "1"), "-maxmemory raises it", "max_memory"),
    )
    for arguments, wanted, unwanted in cases:
        assert main([str(word) for word in arguments]) in (1, 2)
        given = capsys.readouterr().err
        assert wanted in given, given
        assert unwanted is None or unwanted not in given, given


def test_a_folder_counts_what_it_leaves_out(tmp_path, small, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ppm").write_bytes(bytes_of(small, ".ppm"))
    for name in ("b.heic", "c.HEIC", "notes"):
        (tmp_path / "in" / name).write_bytes(b"x")
    assert main(["encode", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert "1 file written" in (given := capsys.readouterr().err)
    assert "3 of other formats left out" in given


def test_a_folder_names_links_to_nothing_and_counts_linked_folders(tmp_path, small, capsys):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "a.ppm").write_bytes(bytes_of(small, ".ppm"))
    (source / "again").symlink_to("sub")
    (source / "sub" / "up").symlink_to("..")
    assert main(["tree", str(source), str(tmp_path / "out")]) == 0
    assert "2 linked folders not followed" in capsys.readouterr().err
    (source / "missing.ppm").symlink_to("nowhere.ppm")
    (source / "loop.ppm").symlink_to("loop.ppm")
    assert main(["tree", str(source), str(tmp_path / "out")]) == 1
    given = capsys.readouterr().err
    assert "1 up to date" in given and "2 failed" in given
    assert "missing.ppm: FileNotFoundError" in given and "loop.ppm: OSError" in given


def test_links_devices_and_permissions_stay(folder, tmp_path, capsys):
    """A rename would replace the link, the device, and the permissions of a private file."""
    source, real, link = folder / "a.ppm", tmp_path / "real.jpg", tmp_path / "link.jpg"
    link.symlink_to(real)
    assert main(["encode", str(source), str(link)]) == 0
    assert link.is_symlink() and real.is_file()
    real.chmod(0o600)
    assert main(["encode", str(source), str(real), "-q", "10"]) == 0
    assert real.stat().st_mode & 0o777 == 0o600
    written = real.read_bytes()
    real.chmod(0o444)
    assert main(["encode", str(source), str(real), "-q", "90"]) == 1
    assert "the file is read-only" in capsys.readouterr().err and real.read_bytes() == written
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    assert main(["encode", str(source), str(pipe), "-q", "10"]) == 0
    assert reader.communicate(timeout=60)[0] == written
    assert pipe.is_fifo()


def test_a_source_may_be_a_pipe(folder, tmp_path):
    pipe, target = tmp_path / "pipe", tmp_path / "new" / "a.jpg"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", 'cat "$0" > "$1"', str(folder / "a.ppm"), str(pipe)])
    assert main(["encode", str(pipe), str(target)]) == 0
    assert writer.wait(60) == 0
    assert main(["encode", str(folder / "a.ppm"), str(tmp_path / "b.jpg")]) == 0
    assert target.read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_warnings_name_the_file_and_come_for_each(tmp_path, small, capsys):
    data = mozcodec.encode(small, 90, profile="fastest", progressive=False)
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (cut / name).write_bytes(data[: len(data) // 2])
    assert main(["decode", str(cut), str(tmp_path / "out"), "-on-truncated", "warn"]) == 0
    said = capsys.readouterr().err
    for name in ("a.jpg", "b.jpg"):
        assert f"{cut / name}: warning: Premature end of JPEG file (scan 1" in said
    assert "_switches.py" not in said


def test_errors_of_writing_name_the_target(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["encode", str(folder / "a.ppm"), str(tmp_path / "file" / "x.jpg")]) == 1
    assert "partial" not in capsys.readouterr().err
