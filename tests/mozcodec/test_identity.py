"""mozcodec.encode writes cjpeg's bytes."""

import numpy as np
import pytest

import mozcodec

# cjpeg's switches and encode's keywords for the same thing.
SWITCHES: list[tuple[str, dict]] = [
    ("", {}),
    ("-baseline", {"progressive": False}),
    ("-progressive", {"progressive": True}),
    ("-optimize", {"optimize_coding": True}),
    ("-baseline -optimize", {"progressive": False, "optimize_coding": True}),
    ("-baseline -notrellis", {"progressive": False, "trellis_quant": False}),
    ("-baseline -fastcrush", {"progressive": False, "optimize_scans": False}),
    ("-quant-baseline", {"quant_baseline": True}),
    ("-fastcrush", {"optimize_scans": False}),
    ("-notrellis", {"trellis_quant": False}),
    ("-notrellis-dc", {"trellis_quant_dc": False}),
    ("-trellis-dc", {"trellis_quant_dc": True}),
    ("-notrellis -fastcrush", {"trellis_quant": False, "optimize_scans": False}),
    ("-noovershoot", {"overshoot_deringing": False}),
    ("-nojfif", {"jfif": False}),
    ("-arithmetic", {"arithmetic": True}),
    ("-arithmetic -baseline", {"arithmetic": True, "progressive": False}),
    ("-arithmetic -notrellis", {"arithmetic": True, "trellis_quant": False}),
    ("-revert", {"profile": "fastest"}),
    ("-revert -progressive", {"profile": "fastest", "progressive": True}),
    ("-revert -optimize", {"profile": "fastest", "optimize_coding": True}),
    ("-revert -arithmetic", {"profile": "fastest", "arithmetic": True}),
    ("-revert -quant-table 3", {"profile": "fastest", "quant_table": 3}),
    ("-dct int", {"dct_method": "islow"}),
    ("-dct fast", {"dct_method": "ifast"}),
    ("-dct float", {"dct_method": "float"}),
    *((f"-quant-table {k}", {"quant_table": k}) for k in range(9)),
    *((f"-tune-{tune}", {"tune": tune}) for tune in ("psnr", "hvs-psnr", "ssim", "ms-ssim")),
    *((f"-dc-scan-opt {mode}", {"dc_scan_opt_mode": mode}) for mode in range(3)),
    ("-lambda1 12 -lambda2 13.5", {"lambda_log_scale1": 12, "lambda_log_scale2": 13.5}),
    ("-trellis-dc-ver-weight 0.5", {"trellis_delta_dc_weight": 0.5}),
    ("-smooth 30", {"smoothing_factor": 30}),
    ("-restart 2 -fastcrush", {"restart_rows": 2, "optimize_scans": False}),  # with the search cjpeg's file is corrupt
    ("-restart 2 -sample 1x1", {"restart_rows": 2, "subsampling": "4:4:4"}),
    ("-restart 3b", {"restart_interval": 3}),
    ("-restart 1 -baseline", {"restart_rows": 1, "progressive": False}),
    ("-sample 1x1", {"subsampling": "4:4:4"}),
    ("-sample 2x1", {"subsampling": "4:2:2"}),
    ("-sample 2x2", {"subsampling": "4:2:0"}),
    ("-sample 1x2", {"subsampling": "4:4:0"}),
    ("-sample 4x1", {"subsampling": "4:1:1"}),
    ("-sample 2x2,1x2,2x1", {"subsampling": [(2, 2), (1, 2), (2, 1)]}),
    ("-grayscale", {"color_space": "gray"}),
    ("-rgb", {"color_space": "rgb"}),
]
QUALITIES: list[tuple[str | None, object]] = [
    (None, None),
    ("1", 1),
    ("10", 10),
    ("60", 60),
    ("77.5", 77.5),
    ("84", 84),
    ("95", 95),
    ("40,20", (40, 20)),
    ("95,60.5", (95, 60.5)),
    ("60,85", [60, 85]),
]


PICTURES = [
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "color.png", "grass.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "logo.png"),
    *("moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg"),
]


def same(programs, pixels, switches: str, text: str | None, quality, options: dict) -> bool:
    asked = programs.try_cjpeg(pixels, *switches.split(), *(["-quality", text] if text else []))
    if asked.returncode == 0:
        return mozcodec.encode(pixels, quality, **options) == asked.stdout
    with pytest.raises(mozcodec.JpegError) as refusal:  # what cjpeg refuses, encode refuses, in the same words
        mozcodec.encode(pixels, quality, **options)
    return str(refusal.value) in asked.stderr.decode()


def differing(programs, pictures: dict, switches: list, qualities: list) -> list:
    """Return the cases (image, switches, quality) whose bytes differ; print how many were asked."""
    cases = [(name, s, q) for name in pictures for s in switches for q in qualities]
    print(f"{len(cases)} cases against cjpeg")
    return [
        (name, line, text)
        for name, (line, options), (text, quality) in cases
        if not same(programs, pictures[name], line, text, quality, options)
    ]


def every_quality() -> list:
    return [(str(q), q) for q in range(1, 101)]


def test_every_quality_gives_cjpegs_bytes(programs, small, small_gray):
    assert differing(programs, {"rgb": small, "gray": small_gray}, SWITCHES[:1], every_quality()) == []


def test_every_switch_gives_cjpegs_bytes(programs, small, small_gray):
    qualities = [QUALITIES[i] for i in (0, 3, 5, 7)]
    assert differing(programs, {"rgb": small, "gray": small_gray}, SWITCHES, qualities) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (17, 1), (7, 5), (16, 16), (33, 31), (2, 300)])
@pytest.mark.parametrize("channels", [1, 3])
def test_odd_sizes_give_cjpegs_bytes(programs, astronaut, shape, channels):
    pixels = np.ascontiguousarray(astronaut[: shape[0], : shape[1]])
    pictures = {"odd": pixels if channels == 3 else np.ascontiguousarray(pixels[..., 1])}
    assert differing(programs, pictures, SWITCHES[:2], [("10", 10), ("77", 77), ("85", 85), ("95", 95)]) == []


def test_own_tables_slots_and_scans_give_cjpegs_bytes(programs, small, tmp_path):
    tables = [np.arange(1, 65).reshape(8, 8), np.full((8, 8), 40)]
    (tmp_path / "tables").write_text("\n".join(" ".join(map(str, t.ravel())) for t in tables))
    script = "# DC first\n0 1 2: 0 0 0 1;\n0: 1 5 0 2; 1: 1-63 0 1; 2: 1 63 0 1;\n0: 6 63 0 2; 0: 1 63 2 1;\n"
    script += "0 1 2: 0 0 1 0; 1: 1 63 1 0; 2: 1 63 1 0; 0: 1 63 1 0;\n"
    (tmp_path / "scans").write_text(script)
    files = ["-qtables", tmp_path / "tables", "-qslots", "1,0", "-scans", tmp_path / "scans"]
    asked = programs.cjpeg(small, "-quality", "60,30", *files)
    assert mozcodec.encode(small, (60, 30), quant_tables=tables, quant_slots=[1, 0], scan_script=script) == asked


def test_restart_intervals_end_at_65535_as_in_cjpeg(programs, small):
    """A DRI marker holds 16 bits: 8 MCUs a row x 20,000 rows becomes 65,535, whatever the rest of the division."""
    for more, options in (("-baseline", {"progressive": False}), ("-fastcrush", {"optimize_scans": False})):
        for engine in ("auto", "library"):
            asked = programs.cjpeg(small, *f"-quality 77 -sample 1x1 -restart 20000 {more}".split())
            mine = mozcodec.encode(small, 77, subsampling="4:4:4", restart_rows=20_000, engine=engine, **options)
            assert mine == asked
            assert mozcodec.read_header(mine).restart_interval == 65_535
    # with the scan search and subsampled chroma cjpeg's file is corrupt: ours counts rows of the whole image
    without, data = (mozcodec.encode(small, 77, subsampling="4:2:0", **more) for more in ({}, {"restart_rows": 20_000}))
    assert mozcodec.read_header(data).restart_interval == 65_535
    np.testing.assert_array_equal(mozcodec.decode(data), mozcodec.decode(without))


@pytest.mark.trial(minutes=3)
def test_every_quality_gives_cjpegs_bytes_on_19_images(programs, picture):
    pictures = {name: picture(name) for name in PICTURES}
    assert differing(programs, pictures, SWITCHES[:1], every_quality()) == []


@pytest.mark.slow(minutes=1)
def test_every_switch_gives_cjpegs_bytes_on_4_images(programs, picture):
    pictures = {name: picture(name) for name in ("clock_motion.png", "color.png", "page.png", "chelsea.png")}
    assert differing(programs, pictures, SWITCHES, QUALITIES) == []
