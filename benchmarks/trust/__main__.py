"""Tries the faults one after the other, and prints what came of each."""

import argparse
import collections
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.trust import guests, kills, machine
from benchmarks.trust.archive import Archive, BrokenPromiseError, CannotTryError, Case

PARTS = ("kills", "machine", "guests")


def main() -> None:
    """See the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--kills", type=int, default=50, help="how many processes are killed (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (0)")
    parser.add_argument("--only", default="", help="only faults that have this in their name")
    parser.add_argument("--work", type=Path, help="folder to work in; default: a temporary one")
    options = parser.parse_args()
    if wrong := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(wrong))}")
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive((options.work or Path(folder)).resolve()).make()
        made: dict[str, Iterable[Case]] = {
            "kills": kills.cases(archive, options.kills, options.seed),
            "machine": machine.cases(archive),
            "guests": guests.cases(archive),
        }
        wanted = [case for part in options.parts or PARTS for case in made[part] if options.only in case.name]
        sys.exit(1 if attempt(wanted) else 0)


def attempt(cases: Iterable[Case]) -> int:
    """Tries all; prints a line for each, and returns how many promises were broken."""
    counts: collections.Counter[str] = collections.Counter()
    for case in cases:
        begun = time.monotonic()
        try:
            result, seen = "kept", case.check()
        except CannotTryError as reason:
            result, seen = "not tried", str(reason)
        except BrokenPromiseError as reason:
            result, seen = "BROKEN", str(reason)
        counts[result] += 1
        print(f"{result:9} {time.monotonic() - begun:6.1f} s  {case.name}: {seen}", flush=True)
    print(", ".join(f"{counts[name]} {name}" for name in ("kept", "BROKEN", "not tried") if counts[name]))
    return counts["BROKEN"]


if __name__ == "__main__":
    main()
