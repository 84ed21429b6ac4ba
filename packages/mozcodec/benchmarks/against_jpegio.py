"""CPU time of reading and writing coefficients: mozcodec.jpegio compared with jpegio, which needs an older Python.

    python against_jpegio.py PYTHON FILE... [--rounds N]

PYTHON is a Python 3.10 with jpegio 0.2.8 and NumPy 1. Each round times both, one after the other, in processes that
have already imported them. Prints the median ratio of the CPU times and its range. mozcodec optimizes the Huffman
tables when it writes, jpegio uses those of the source.
"""

import argparse
import statistics
import subprocess
import sys

WORKER = """
import os, sys, time
%s
target = os.path.join(os.environ.get("TMPDIR", "/tmp"), "against-jpegio-%%d.jpg" %% os.getpid())
for line in sys.stdin:
    verb, path = line.rstrip("\\n").split(" ", 1)
    jpeg = jpegio.read(path)
    begin = time.process_time()
    for _ in range(5):
        jpegio.read(path) if verb == "read" else jpegio.write(jpeg, target)
    print((time.process_time() - begin) / 5, flush=True)
if os.path.exists(target):
    os.remove(target)
"""


def worker(python: str, imported: str) -> subprocess.Popen[str]:
    """Start a process that answers "read PATH" and "write PATH" with CPU seconds."""
    pipe = subprocess.PIPE
    return subprocess.Popen([python, "-c", WORKER % imported], stdin=pipe, stdout=pipe, text=True)


def ask(process: subprocess.Popen[str], question: str) -> float:
    """Return the CPU seconds that a worker answers."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(question + "\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="a Python that has jpegio")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    ours, theirs = worker(sys.executable, "from mozcodec import jpegio"), worker(args.python, "import jpegio")
    print("| file | verb | mozcodec, ms | jpegio, ms | ratio | range |\n|---|---|---|---|---|---|")
    for path in args.files:
        for verb in ("read", "write"):
            pairs = [(ask(ours, f"{verb} {path}"), ask(theirs, f"{verb} {path}")) for _ in range(args.rounds)]
            ratios = sorted(one / other for one, other in pairs)
            one, other = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
            middle = statistics.median(ratios)
            print(f"| {path} | {verb} | {one:.2f} | {other:.2f} | {middle:.2f} | {ratios[0]:.2f} to {ratios[-1]:.2f} |")
    for process in (ours, theirs):
        process.communicate()


if __name__ == "__main__":
    main()
