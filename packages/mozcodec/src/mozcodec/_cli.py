"""The command line ``mozcodec encode|decode|optimize|inspect|identify|forensics|sweep|tree``."""

import argparse
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ._build import build_info
from ._decode import decode
from ._errors import JpegError, JpegWarning
from ._fidelity import SSIM_WINDOW, psnr, ssim
from ._files import JPEG_SUFFIXES, PICTURE_SUFFIXES, make_parent, pixels_from, write_whole
from ._inspect import Inspection, inspect
from ._parallel import num_threads, ordered_map
from ._reading import read_source
from ._sweep import sweep
from ._switches import (
    Convert,
    add_switch,
    decode_switches,
    decoder,
    encode_options_of,
    encode_switches,
    encoder,
    file_switches,
    in_full,
    in_switches,
    limit_switches,
    limits_of,
    numbers,
    optimize_switches,
    optimizer,
)

# ---- files and folders ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one file."""

    source: Path
    before: int = 0
    after: int = 0
    skipped: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A file to convert, and the file to write."""

    source: Path
    target: Path

    def is_in_place(self) -> bool:
        """Return whether the target is the source itself."""
        return self.target.exists() and os.path.realpath(self.target) == os.path.realpath(self.source)


def _is_done(job: Job) -> bool:
    """Return whether the target exists, is not older than its source, and is another file."""
    if not job.target.is_file() or job.is_in_place():
        return False
    return job.target.stat().st_mtime_ns >= job.source.stat().st_mtime_ns


_converted = threading.local()
"""``name``: the file that this thread converts."""


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning with the file that it is about."""
    print(f"{getattr(_converted, 'name', 'mozcodec')}: warning: {message}", file=sys.stderr)


def _run_job(job: Job, convert: Convert, force: bool) -> Outcome:
    _converted.name = str(job.source)
    try:
        if not force and _is_done(job):
            return Outcome(job.source, skipped=True)
        data = read_source(job.source)
        result = convert(data, job.source.name, job.target.suffix.lower())
        make_parent(job.target)
        write_whole(job.target, result)
        return Outcome(job.source, len(data), len(result))
    except (JpegError, ValueError, TypeError, OSError, MemoryError) as error:
        return Outcome(job.source, error=f"{type(error).__name__}: {in_switches(error)}")


def _is_broken(path: Path) -> bool:
    """Return whether *path* is a link to nothing: its file is missing, which is an error and not a choice."""
    return path.is_symlink() and not path.exists()


def _num_linked_folders(folder: Path, leave_out: Path) -> int:
    """Return the number of links to folders below a folder: they are not followed, as they may lead back."""
    found = (path for path in folder.rglob("*") if path.is_symlink() and path.is_dir())
    return sum(os.path.realpath(path) != os.path.realpath(leave_out) for path in found)


def _files_in(folder: Path, below: bool, leave_out: Path) -> list[Path]:
    found = sorted(folder.rglob("*") if below else folder.iterdir())
    inside = Path(os.path.realpath(leave_out))
    return [
        path
        for path in found
        if (path.is_file() or _is_broken(path)) and not path.name.startswith(".")
        and (inside == Path(os.path.realpath(folder)) or inside not in Path(os.path.realpath(path)).parents)
    ]  # fmt: skip


def _pictures(folder: Path, below: bool, suffixes: frozenset[str], leave_out: Path) -> list[Path]:
    return [path for path in _files_in(folder, below, leave_out) if path.suffix.lower() in suffixes]


def _num_others(folder: Path, below: bool, suffixes: frozenset[str], leave_out: Path) -> int:
    """Return the number of files that a folder holds and no job takes."""
    files = _files_in(folder, below, leave_out)
    ours = suffixes | JPEG_SUFFIXES if os.path.realpath(leave_out) == os.path.realpath(folder) else suffixes
    return sum(path.suffix.lower() not in ours for path in files)


def _jobs(source: Path, target: Path, suffix: str | None, below: bool, suffixes: frozenset[str]) -> list[Job]:
    """Return the sources and their targets; *suffix* None keeps the source's."""
    if not source.exists():
        raise ValueError(f"{source} does not exist")
    if not source.is_dir():  # a file, or a pipe
        if below:
            raise ValueError(f"{source} is a file; tree takes a folder, use encode for a file")
        return [Job(source, target / f"{source.stem}{suffix or source.suffix}" if target.is_dir() else target)]
    if target.exists() and not target.is_dir():
        raise ValueError(f"{source} is a folder and {target} is a file")
    pictures = _pictures(source, below, suffixes, target)
    if not pictures:
        raise ValueError(f"{source} contains no image ({', '.join(sorted(suffixes))})")
    jobs = [Job(path, (target / path.relative_to(source)).with_suffix(suffix or path.suffix)) for path in pictures]
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.target in taken:
            both = f"{taken[job.target]} and {job.source}"
            raise ValueError(f"{both} would both be written to {job.target}: rename one of them")
        taken[job.target] = job.source
    return jobs


def _progress(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    shown = sys.stderr.isatty() and total > 1
    for number, outcome in enumerate(outcomes, 1):
        if shown:
            print(f"\r{number}/{total} {number * 100 // total} %", end="", file=sys.stderr, flush=True)
        yield outcome
    if shown:
        print(file=sys.stderr)


def _summary(outcomes: Sequence[Outcome], seconds: float, others: int = 0, linked: int = 0) -> int:
    """Print the summary, and return the exit status."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    skipped = sum(outcome.skipped for outcome in outcomes)
    before, after = sum(o.before for o in outcomes), sum(o.after for o in outcomes)
    made = len(outcomes) - len(failed) - skipped
    words = [f"{made} {'file' if made == 1 else 'files'} written"]
    if made:
        words.append(f"{before} -> {after} bytes ({after / max(before, 1):.1%})")
    if skipped:
        words.append(f"{skipped} up to date, skipped (--force overwrites)")
    if others:
        words.append(f"{others} of other formats left out")
    if linked:
        words.append(f"{linked} linked {'folder' if linked == 1 else 'folders'} not followed")
    print(f"{', '.join(words)}, {seconds:.2f} s", file=sys.stderr)
    if failed:
        print(f"{len(failed)} failed:", file=sys.stderr)
        for outcome in failed:
            print(f"  {outcome.source}: {outcome.error}", file=sys.stderr)
    return 1 if failed else 0


def _one_stream(args: argparse.Namespace, convert: Convert, suffix: str) -> int:
    """Convert one stream from or to standard input and output, or a file; prints no summary."""
    data = read_source(args.source)
    target, _converted.name = Path(args.target), args.source
    try:
        result = convert(data, args.source, suffix if args.target == "-" else target.suffix.lower())
    except (JpegError, ValueError, TypeError, MemoryError) as error:
        print(f"mozcodec: {args.source}: {type(error).__name__}: {in_switches(error)}", file=sys.stderr)
        return 1
    if args.target == "-":
        sys.stdout.buffer.write(result)
        sys.stdout.flush()
    else:
        make_parent(target)
        write_whole(target, result)
    return 0


def _check_targets(jobs: Sequence[Job], args: argparse.Namespace) -> None:
    """Refuse a lossy overwrite of the source, and JPEG under another format's name."""
    for job in jobs:
        if job.target.suffix.lower() in PICTURE_SUFFIXES - JPEG_SUFFIXES:
            raise ValueError(f"{job.target} would contain a JPEG: name it .jpg")
        if args.run is _encode_command and job.is_in_place() and not args.force:
            raise ValueError(f"refusing a lossy overwrite of {job.source}: choose another DST, or use --force")


def _convert_files(
    args: argparse.Namespace, convert: Convert, suffix: str | None, suffixes: frozenset[str]
) -> int:
    if "-" in (args.source, args.target):
        return _one_stream(args, convert, suffix or "")
    source = Path(args.source)
    jobs = _jobs(source, Path(args.target), suffix, getattr(args, "below", False), suffixes)
    if args.run is not _decode_command:
        _check_targets(jobs, args)
    start = time.perf_counter()
    is_folder = source.is_dir()
    work = partial(_run_job, convert=convert, force=args.force or not is_folder)  # folders skip what is up to date
    outcomes = list(_progress(ordered_map(work, jobs, num_threads(args.threads)), len(jobs)))
    below, target = getattr(args, "below", False), Path(args.target)
    others = _num_others(source, below, suffixes, target) if is_folder else 0
    linked = _num_linked_folders(source, target) if is_folder and below else 0
    return _summary(outcomes, time.perf_counter() - start, others, linked)


# ---- commands -------------------------------------------------------------------------------------------------------


def _encode_command(args: argparse.Namespace) -> int:
    return _convert_files(args, encoder(args), ".jpg", PICTURE_SUFFIXES)


def _decode_command(args: argparse.Namespace) -> int:
    suffix = f".{args.format.lstrip('.').lower()}"
    if suffix not in PICTURE_SUFFIXES - JPEG_SUFFIXES:
        raise ValueError(f"-format must be ppm, pgm, npy, png, bmp, tif, webp or gif, got {args.format}")
    return _convert_files(args, decoder(args), suffix, JPEG_SUFFIXES)


def _optimize_command(args: argparse.Namespace) -> int:
    return _convert_files(args, optimizer(args), None, JPEG_SUFFIXES)


def _facts(inspection: Inspection) -> dict[str, Any]:
    header, quality = inspection.header, inspection.quality
    return {
        "width": header.width,
        "height": header.height,
        "color_space": header.color_space,
        "subsampling": header.subsampling,
        "precision": header.precision,
        "progressive": header.progressive,
        "arithmetic": header.arithmetic,
        "lossless": header.lossless,
        "block_size": header.block_size,
        "restart_interval": header.restart_interval,
        "orientation": header.orientation,
        "icc_profile_bytes": len(header.metadata.icc_profile or b""),
        "exif_bytes": len(header.metadata.exif or b""),
        "xmp_bytes": len(header.metadata.xmp or b""),
        "comments": [comment.decode("utf-8", "replace") for comment in header.metadata.comments],
        "quality": None
        if quality is None
        else {"quality": quality.quality, "quant_table": quality.quant_table, "exact": quality.exact},
        "distance": None
        if inspection.distance is None
        else {"low": inspection.distance.low, "high": inspection.distance.high,
              "corrects_luma": inspection.distance.corrects_luma},
        "components": [
            {"id": each.id, "sampling_factors": list(each.sampling_factors), "quant_slot": each.quant_slot}
            for each in inspection.components
        ],
        "quant_tables": {slot: table.tolist() for slot, table in inspection.quant_tables.items()},
        "scans": [
            {
                "components": list(scan.components),
                "Ss": scan.spectral_selection[0],
                "Se": scan.spectral_selection[1],
                "Ah": scan.approximation[0],
                "Al": scan.approximation[1],
                "bytes": scan.size,
                "huffman_slots": [list(pair) for pair in scan.huffman_slots],
            }
            for scan in inspection.scans
        ],
        "segments": [[segment.name, segment.offset, segment.size] for segment in inspection.segments],
        "trailing_bytes": inspection.trailing_bytes,
        "parts": [[part.kind, part.offset, part.size] for part in inspection.parts],
    }


def _print_facts(name: str, facts: dict[str, Any]) -> None:
    kinds = [word for word in ("progressive", "arithmetic", "lossless") if facts[word]] or ["sequential"]
    if facts["block_size"] != 8:
        kinds.append(f"SmartScale block size {facts['block_size']}")
    colours = " ".join(dict.fromkeys((facts["color_space"] or "no colour space", facts["subsampling"])))
    print(f"{name}: {facts['width']} x {facts['height']}, {colours}, {', '.join(kinds)}, {facts['precision']} bits")
    if facts["quality"] is not None:
        word = "is" if facts["quality"]["exact"] else "is near"
        print(f"  quality {word} {facts['quality']['quality']} of table {facts['quality']['quant_table']}")
    if facts["distance"] is not None:
        effort = "effort 1 or 2" if facts["distance"]["corrects_luma"] else "effort 0, or jpegli"
        print(f"  tables of distance {facts['distance']['low']:.3f}..{facts['distance']['high']:.3f} ({effort})")
    for scan in facts["scans"]:
        bits = f"Ss={scan['Ss']} Se={scan['Se']} Ah={scan['Ah']} Al={scan['Al']}"
        print(f"  scan of components {scan['components']}: {bits}, {scan['bytes']} bytes")
    for segment_name, offset, size in facts["segments"]:
        print(f"  {offset:8d} {segment_name} {size}")
    for kind, offset, size in facts["parts"][1:]:
        print(f"  {offset:8d} {kind} {size}")


def _inspect_command(args: argparse.Namespace) -> int:
    failed = 0
    everything: dict[str, Any] = {}
    for name in args.files:
        try:
            everything[name] = _facts(inspect(read_source(name)))
        except (JpegError, OSError, MemoryError) as error:
            print(f"{name}: {type(error).__name__}: {in_switches(error)}", file=sys.stderr)
            failed = 1
    if args.json:
        print(json.dumps(everything, indent=1))
    else:
        for name, facts in everything.items():
            _print_facts(name, facts)
    return failed


def _identify_command(args: argparse.Namespace) -> int:
    from ._forensics.command import run_identify

    return run_identify(args.files, args.json)


def _forensics_command(args: argparse.Namespace) -> int:
    from ._forensics.command import run_report

    return run_report(args.files, args.json, None if args.maps is None else Path(args.maps), limits_of(args))


def _closeness(data: bytes, image: np.ndarray) -> tuple[float, float] | None:
    """(PSNR, SSIM) where the file has the image's size."""
    decoded = decode(data, "gray" if image.ndim == 2 else "rgb")
    if decoded.shape != image.shape:
        return None
    return psnr(decoded, image), ssim(decoded, image) if min(image.shape[:2]) >= SSIM_WINDOW else float("nan")


def _sweep_command(args: argparse.Namespace) -> int:
    options = encode_options_of(args)
    path = Path(args.source)
    try:
        image = pixels_from(read_source(path), path.name, limits_of(args))
    except (JpegError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from error
    folder = None if args.out is None else Path(args.out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    print("quality,block,scale,bytes,bits_per_pixel,psnr,ssim")
    points = sweep(
        image, args.qualities, scales=args.scales, blocks=args.blocks, threads=num_threads(args.threads), **options
    )
    for point in points:
        close = _closeness(point.data, image)
        measured = "," if close is None else f"{close[0]:.4f},{close[1]:.6f}"
        bits = 8 * len(point.data) / (image.shape[0] * image.shape[1])
        sizes = f"{point.block_size},{point.dct_size}"
        print(f"{point.quality},{sizes},{len(point.data)},{bits:.4f},{measured}", flush=True)
        if folder is not None:
            mark = "" if sizes == "8,8" else f".{point.block_size}-{point.dct_size}"
            write_whole(folder / f"{path.stem}.q{point.quality}{mark}.jpg", point.data)
    return 0


def _add_paths(parser: argparse.ArgumentParser, source: str, target: str) -> None:
    parser.add_argument("source", metavar="SRC", help=source)
    parser.add_argument("target", metavar="DST", help=target)
    parser.add_argument("--force", action="store_true", help="overwrite existing files, the source too")
    parser.add_argument("--threads", type=int, metavar="N", help="default: the cores that this process may use")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mozcodec",
        description="Encode, decode and optimize JPEG with mozjpeg. Takes the switches of cjpeg, djpeg and jpegtran.",
    )
    info = build_info()
    version = f"mozcodec {info['version']}, mozjpeg {info['mozjpeg_version']}, {info['linking']}"
    parser.add_argument("-version", "--version", action="version", version=version)
    verbs = "encode|decode|optimize|inspect|identify|forensics|sweep|tree"
    commands = parser.add_subparsers(required=True, metavar=verbs)

    def command(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    one = command("encode", "Encode images as JPEG: a file, '-', or the images of a folder.", _encode_command)
    _add_paths(one, "image, folder or -", "JPEG, folder or -")
    file_switches(one)
    one = command("decode", "Decode JPEG to PPM, PGM, NPY, or a format of Pillow or OpenCV.", _decode_command)
    _add_paths(one, "JPEG, folder or -", "image, folder or -")
    decode_switches(one)
    one = command("optimize", "Optimize, rotate or crop a JPEG without loss.", _optimize_command)
    _add_paths(one, "JPEG, folder or -", "JPEG, folder or -")
    optimize_switches(one)
    one = command("inspect", "Print the structure of a JPEG.", _inspect_command)
    one.add_argument("files", nargs="+", metavar="JPEG", help="JPEG file, or - for standard input")
    one.add_argument("--json", action="store_true", help="print JSON, with the tables")
    one = command("identify", "Print the encoder of a JPEG and its quality.", _identify_command)
    one.add_argument("files", nargs="+", metavar="JPEG", help="JPEG file, or - for standard input")
    one.add_argument("--json", action="store_true", help="print one JSON object a line for each file")
    one = command(
        "forensics",
        "Print what a JPEG says about its history: encoder, earlier compressions, parts that differ, metadata.",
        _forensics_command,
    )
    one.add_argument("files", nargs="+", metavar="JPEG", help="JPEG file, or - for standard input")
    one.add_argument("--json", action="store_true", help="print one JSON object a line for each file")
    limit_switches(one)
    add_switch(one, "maps", metavar="FOLDER", help="write maps of the evidence as NAME.ghosts.png and NAME.grid.png")
    one = command("sweep", "Encode one image at many qualities; prints bytes, PSNR and SSIM as CSV.", _sweep_command)
    one.add_argument("source", metavar="IMAGE", help="image file")
    one.add_argument("--threads", type=int, metavar="N", help="default: the cores that this process may use")
    add_switch(one, "qualities", type=numbers, default=list(range(10, 101, 10)), metavar="N,...|A-B:STEP",
               help="qualities to encode at; default 10-100:10")
    add_switch(one, "scales", type=numbers, metavar="N,...", help="DCT sizes N of 8/N; default the block size's own")
    add_switch(one, "blocks", type=numbers, default=[8], metavar="N,...", help="block sizes 1..16; default 8")
    add_switch(one, "out", metavar="FOLDER", help="write the files to this folder")
    encode_switches(one)
    one = command("tree", "Encode a folder tree of images to another folder.", _encode_command)
    _add_paths(one, "folder", "folder")
    one.set_defaults(below=True)
    file_switches(one)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 where a file failed, 2 for wrong switches."""
    args = _parser().parse_args(in_full(sys.argv[1:] if arguments is None else arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("always", JpegWarning)  # of every file
        warnings.showwarning = _show_warning
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        status: int = args.run(args)
        return status
    except KeyboardInterrupt:
        print("mozcodec: interrupted; the files written so far are complete", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has closed the pipe; Python would report that again when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (JpegError, ValueError, TypeError, OSError) as error:
        print(f"mozcodec: {in_switches(error)}", file=sys.stderr)
        return 2 if isinstance(error, ValueError | TypeError) else 1
