#!/usr/bin/env python3
"""Plants faults in the server, one at a time, and looks which of them the simulator finds.

A fault that no run notices is either none, or the simulator cannot reach it, or nobody looks: all
three are worth knowing. `faults.txt` says how a fault is written. Nothing is changed in the
working tree: faults are planted in a copy of it.

    check.py                     all faults
    check.py --only NAME         one of them; may be given several times
    check.py --seeds 2000        fewer seeds for each
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOUND = re.compile(r"^seed (\d+): ([a-z-]+): (.*)$", re.MULTILINE)
# A fault may make a run endless.
LONGEST_SECONDS = 300
# Most faults show within seconds, so it is the building that takes time.
QUICK = {
    "CARGO_INCREMENTAL": "1",
    "CARGO_PROFILE_RELEASE_DEBUG": "0",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
}


class Fault:
    def __init__(self, name, what, path, hunks):
        self.name, self.what, self.path, self.hunks = name, what, path, hunks
        # What is not of the machine itself is not there at level 0.
        outside = any(f"/{room}/" in path for room in ("front", "http", "ws"))
        self.level = "front" if outside else "machine"

    def plant(self, text):
        """The text with the fault in it, or None if it is not what the fault was written for."""
        for old, new in self.hunks:
            if text.count(old) != 1:
                return None
            text = text.replace(old, new)
        return text


def read_faults(path):
    """The faults of a file; its format is described at its beginning."""
    faults = []
    for block in path.read_text(encoding="utf-8").split("\n= ")[1:]:
        name, what, file, *lines = block.rstrip("\n").split("\n")
        hunks, old, new = [], "", ""
        for line in [*lines, "..."]:
            sign, rest = line[:1], line[1:] + "\n"
            if line == "...":
                hunks.append((old, new))
                old, new = "", ""
            elif sign == "-":
                old += rest
            elif sign == "+":
                new += rest
            elif sign in (" ", ""):
                old, new = old + rest, new + rest
            else:
                sys.exit(f"{path.name}: {name}: a line begins with none of ' +-': {line}")
        faults.append(Fault(name.strip(), what.strip(), file.strip(), hunks))
    return faults


def copy_workspace(to):
    """Copies what is under version control, as it is now."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def build(workspace, environment):
    command = ["cargo", "build", "--quiet", "--release", "--package", "cometd-testkit"]
    command += ["--bin", "cometd-sim"]
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)


def simulate(target, level, seeds, first):
    """The invariant that was broken and the seed of the run; None if there was none."""
    command = [target / "release" / "cometd-sim", "--seeds", str(seeds), "--first", str(first)]
    command += ["--level", level]
    try:
        run = subprocess.run(
            [*command, "--fail-fast"], capture_output=True, text=True, timeout=LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return "(no end)", "-", ""
    found = FOUND.search(run.stdout)
    if found:
        return found[2], found[1], found[3]
    if run.returncode != 0:
        return f"(exit {run.returncode})", "-", ""
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="check only this fault")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds at most")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--verbose", action="store_true", help="say what was found, too")
    arguments = parser.parse_args()
    faults = read_faults(HERE / "faults.txt")
    if arguments.only:
        unknown = set(arguments.only) - {fault.name for fault in faults}
        if unknown:
            parser.error(f"there is no {', '.join(sorted(unknown))}")
        faults = [fault for fault in faults if fault.name in arguments.only]
    missed = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as directory:
        workspace = pathlib.Path(directory) / "workspace"
        # Not the usual one: what is built with faults in it must never be taken for the real thing.
        chosen = os.environ.get("MUTATIONS_TARGET_DIR")
        target = pathlib.Path(chosen) if chosen else pathlib.Path(directory) / "target"
        environment = {**QUICK, **os.environ, "CARGO_TARGET_DIR": str(target)}
        copy_workspace(workspace)
        print("| fault | invariant | seed |\n| --- | --- | --- |", flush=True)
        for fault in faults:
            path = workspace / fault.path
            original = path.read_text(encoding="utf-8") if path.is_file() else ""
            planted = fault.plant(original)
            if planted is None:
                result = "does not apply", "-", ""
                missed += 1
            else:
                path.write_text(planted, encoding="utf-8")
                built = build(workspace, environment)
                if built.returncode != 0:
                    result = "does not compile", "-", built.stderr
                    missed += 1
                else:
                    result = simulate(target, fault.level, arguments.seeds, arguments.first)
                    if result is None:
                        result = "NOT CAUGHT", "-", ""
                        missed += 1
                path.write_text(original, encoding="utf-8")
            print(f"| {fault.name}: {fault.what} | {result[0]} | {result[1]} |", flush=True)
            if arguments.verbose and result[2]:
                print(f"    {result[2]}", file=sys.stderr, flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
