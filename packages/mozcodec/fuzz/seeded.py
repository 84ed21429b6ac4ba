"""What fuzzers share whose case is a pure function of a seed and a number: their loop and their command line."""

import argparse
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable


def run(run_case: Callable[[int, int], str], cases: int, seed: int, describe: Callable[[int, int], str]) -> int:
    """Print what failed and how many cases had which result; return the number of failures.

    *run_case* takes seed and number, returns the result of the case and raises an exception if it fails; *describe*
    returns what to print beside seed and number of a case that failed.
    """
    found: Counter[str] = Counter()
    warnings.simplefilter("ignore")
    for number in range(cases):
        try:
            found[run_case(seed, number)] += 1
        except Exception as error:
            found["failed"] += 1
            print(f"seed {seed}, case {number}{describe(seed, number)}: {type(error).__name__}: {error}", flush=True)
    print(f"seed {seed}, {cases} cases: {dict(found)}", flush=True)
    return found["failed"]


def main(file: str, description: str | None, run: Callable[[int, int], int]) -> int:
    """Run the command line of the fuzzer *file*, whose *run* takes cases and seed, and return the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sanitized", action="store_true", help="build with ASan and UBSan, and run that")
    args = parser.parse_args()
    if args.sanitized:
        import options

        environment = options.sanitized(options.PACKAGE / "build" / "fuzz" / "sanitized")
        command = [sys.executable, "-P", file, "--cases", str(args.cases), "--seed", str(args.seed)]
        return subprocess.run(command, env=environment, check=False).returncode
    return 1 if run(args.cases, args.seed) else 0
