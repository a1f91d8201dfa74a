#!/usr/bin/env python3
"""Puts the same load on several Bayeux servers, in turns, and tables what it cost them. See README.md."""

import argparse
import collections
import contextlib
import datetime
import json
import os
import pathlib
import platform
import queue
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RIVALS = HERE / "rivals"
JAVA = RIVALS / "java"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
# Copies: the adapters' examples have the same names.
BINARIES = TARGET / "compare"

SERVER_CORE, LOAD_CORE = "0", "1"
# What all others are a multiple of.
LIMIT = "limit"
WEBSOCKET, LONG_POLLING = TRANSPORTS = ("websocket", "long-polling")
# Scenarios of 10,000 clients, with two connections each in the worst case.
OPEN_FILES = 65_536
# For a server to listen, and to end once it is told to.
START_SECONDS, STOP_SECONDS = 60, 5
# For a load to get all its clients ready and to end, beyond what it takes by itself.
SLACK_SECONDS = 180

TESTBED = ["--max-queue", "0", "--timeout", "30000", "--max-sessions-per-browser", "-1"]
JAVA_CLASSES = f"{JAVA}/target/cometd-java-0.jar:{JAVA}/target/dependency/*"

SCENARIOS = {
    "fanout-paced": "fanout --clients 1000 --payload 128 --rate 10000",
    # The same with less time between two publishes, in which others use the caches.
    "fanout-20k": "fanout --clients 1000 --payload 128 --rate 20000",
    "fanout-40k": "fanout --clients 1000 --payload 128 --rate 40000",
    "fanout-max": "fanout --clients 1000 --payload 128 --rate max",
    "rooms-paced": "rooms --channels 100 --clients 1000 --payload 128 --rate 10000",
    "echo-max": "echo --clients 100 --rate max",
    # The shape of CometD's own load test, at a rate that slow servers can hold, too; then at the load's own.
    "cometd-10k": "cometd --rate 10000",
    "cometd-30k": "cometd --rate 30000",
    "cometd": "cometd",
    "cometd-max": "cometd --rate max",
    "hold": "hold --clients 10000",
    "churn": "churn --clients 100 --rate max",
}


@dataclass
class Server:
    """A server: how it is started, for each transport that it can do, and what builds it."""

    commands: dict
    build: str


def both(*command):
    return {transport: list(map(str, command)) for transport in TRANSPORTS}


SERVERS = {
    LIMIT: Server({each: [str(BINARIES / f"limit-{each}")] for each in TRANSPORTS}, "limits"),
    "limit-smol": Server({LONG_POLLING: [str(BINARIES / "limit-long-polling-smol")]}, "limits"),
    "cometd-hyper": Server(both(BINARIES / "testbed-hyper", *TESTBED), "hyper"),
    "cometd-smol": Server(both(BINARIES / "testbed-smol", *TESTBED), "smol"),
    "cometd-java": Server(both("java", "-cp", JAVA_CLASSES, "CometD"), "java"),
    "cometd-nodejs": Server({LONG_POLLING: ["node", str(RIVALS / "cometd-nodejs.mjs")]}, "node"),
    "faye": Server(both("node", RIVALS / "faye.mjs"), "node"),
}


class Failed(Exception):
    """Why there is no result."""


# What is needed


def run(*command, cwd=ROOT):
    print("$", *command, flush=True)
    subprocess.run(command, cwd=cwd, check=True)


def cargo(*arguments):
    run("cargo", "build", "--release", "--target-dir", str(TARGET), *arguments)


def keep(built, name):
    BINARIES.mkdir(parents=True, exist_ok=True)
    shutil.copy2(TARGET / "release" / built, BINARIES / name)


def build_load():
    cargo("-p", "cometd-testkit", "--features", "load", "--bin", "cometd-load")
    keep("cometd-load", "cometd-load")


def build_limits():
    cargo("--manifest-path", str(HERE / "limits" / "Cargo.toml"))
    for limit in [*TRANSPORTS, "long-polling-smol"]:
        keep(f"limit-{limit}", f"limit-{limit}")


def build_testbed(adapter):
    cargo("-p", f"cometd-{adapter}", "--example", "testbed")
    keep("examples/testbed", f"testbed-{adapter}")


def build_node():
    run("npm", "ci", cwd=RIVALS)


def build_java():
    run("mvn", "-q", "-B", "package", cwd=JAVA)


BUILDS = {
    "limits": build_limits,
    "hyper": lambda: build_testbed("hyper"),
    "smol": lambda: build_testbed("smol"),
    "node": build_node,
    "java": build_java,
}


def build(servers):
    """Builds the load and the servers; says which servers there cannot be."""
    build_load()
    missing = {}
    for name in dict.fromkeys(SERVERS[server].build for server in servers):
        try:
            BUILDS[name]()
        except (OSError, subprocess.CalledProcessError) as error:
            missing |= {each: str(error) for each in servers if SERVERS[each].build == name}
    return missing


# What is measured on


def said(*command):
    """The first line of what a command says, or nothing if there is no such command."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return (done.stdout + done.stderr).partition("\n")[0].strip()


def cpu_model():
    names = re.findall(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def siblings():
    """Hardware threads that share a core with the server's; the load should not be among them."""
    path = pathlib.Path(f"/sys/devices/system/cpu/cpu{SERVER_CORE}/topology/thread_siblings_list")
    return path.read_text().strip() if path.exists() else "unknown"


def commit():
    changed = ", with changes" if said("git", "status", "--porcelain", "-uno") else ""
    return f"{said('git', 'rev-parse', 'HEAD')}{changed}"


def npm_packages():
    return json.loads((RIVALS / "package.json").read_text())["dependencies"]


def maven_packages():
    pairs = re.findall(r"<(cometd|jetty)\.version>(.*?)<", (JAVA / "pom.xml").read_text())
    return {f"{name} (Java)": version for name, version in pairs}


def crates():
    lock = (HERE / "limits" / "Cargo.lock").read_text()
    pairs = re.findall(r'name = "(hyper|tokio|tungstenite)"\nversion = "(.*?)"', lock)
    return {f"{name} (limit)": version for name, version in pairs}


def environment():
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_model(),
        "kernel": platform.release(),
        "siblings of core 0": siblings(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "rustc": said("rustc", "--version"),
        "node": said("node", "--version"),
        "java": said("java", "-version"),
        **npm_packages(),
        **maven_packages(),
        **crates(),
    }


# A run


def read_lines(stream, first):
    """What follows the first line is read, too: a pipe that is full would hold the server up."""
    first.put(stream.readline())
    for _ in stream:
        pass


def listening(process):
    """The address in the line that a server prints once it listens."""
    first = queue.Queue()
    threading.Thread(target=read_lines, args=(process.stdout, first), daemon=True).start()
    try:
        line = first.get(timeout=START_SECONDS)
    except queue.Empty:
        raise Failed("it does not listen") from None
    found = re.fullmatch(r"listening on (http://\S+)\n", line)
    if not found:
        raise Failed(f"instead of its address it says {line.strip()!r}")
    return found[1]


def stop(process):
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def pinned(core, command, **options):
    """A process on one core, which does not outlive the block."""
    process = subprocess.Popen(["taskset", "-c", core, *command], text=True, **options)
    try:
        yield process
    finally:
        stop(process)


def load(options, scenario, transport, url, pid, file):
    command = [str(BINARIES / "cometd-load"), *SCENARIOS[scenario].split(), "--url", url]
    command += ["--transport", transport, "--pid", str(pid), "--json", str(file), "--quiet"]
    command += ["--warmup", str(options.warmup), "--duration", str(options.duration)]
    with pinned(LOAD_CORE, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _, errors = process.communicate(timeout=options.warmup + options.duration + SLACK_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed("the load does not come to an end") from None
        if process.returncode != 0:
            last = (errors.strip() or f"code {process.returncode}").splitlines()[-1]
            raise Failed(f"the load ends with: {last}")
    return json.loads(file.read_text())


def check_alive(server):
    """What the load says of a server that is not there any more tells less than that."""
    if server.poll() is not None:
        raise Failed(f"the server fell over, with code {server.returncode}")


def serve_and_load(options, scenario, transport, name, stem):
    command = [*SERVERS[name].commands[transport], "--listen", "127.0.0.1:0"]
    with open(stem.with_suffix(".log"), "w") as log:
        with pinned(SERVER_CORE, command, stdout=subprocess.PIPE, stderr=log) as server:
            url = listening(server)
            try:
                result = load(options, scenario, transport, url, server.pid, stem.with_suffix(".json"))
            except Failed:
                check_alive(server)
                raise
            check_alive(server)
    return result


def measure(options, scenario, transport, name, turn):
    """One run, with a server of its own. Whatever becomes of it, there is a result."""
    stem = options.out / "raw" / f"{scenario}-{transport}-{name}-{turn}"
    print(f"{scenario}, {transport}, {name}, turn {turn}", end="", file=sys.stderr, flush=True)
    try:
        result = serve_and_load(options, scenario, transport, name, stem)
        cost = figure(result, "server.cpu_us_per_delivery")
        outcome = "done" if cost is None else f"{cost:.2f} µs per delivery"
    except (Failed, OSError, ValueError) as error:
        result = {"failed": str(error)}
        stem.with_suffix(".json").write_text(json.dumps(result))
        outcome = f"failed: {error}"
    print(f": {outcome}", file=sys.stderr, flush=True)
    return result


# What it comes to

# What a column shows, and how many of the figure's units are one of the column's.
FIGURES = {
    "CPU, µs per delivery": ("server.cpu_us_per_delivery", 1),
    "deliveries per s": ("traffic.deliveries_per_second", 1),
    "p50, ms": ("latency_us.p50", 1000),
    "p99, ms": ("latency_us.p99", 1000),
    "max, ms": ("latency_us.max", 1000),
    "RSS per session, KiB": ("server.rss_kib_per_session", 1),
    "CPU, µs until a session is ready": ("ready.server_cpu_us_per_session", 1),
}
CHECKS = ("lost", "duplicated", "out_of_order")
OTHER_CHECKS = ("sessions_lost", "failed_publishes")


def figure(result, path):
    """A figure of a result, or nothing where it could not be known: there are no latencies without deliveries."""
    if path.startswith(("traffic", "latency")) and not (result.get("traffic") or {}).get("deliveries"):
        return None
    for key in path.split("."):
        result = (result or {}).get(key)
    return result


def summarize(runs):
    """The runs of a server: the median and range of each figure, and the sums of what must not be."""
    good = [run for run in runs if "failed" not in run]
    figures = {}
    for path, _ in FIGURES.values():
        values = [value for run in good if (value := figure(run, path)) is not None]
        if values:
            figures[path] = {
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
            }
    checks = {}
    for check in CHECKS + OTHER_CHECKS:
        checks[check] = sum(figure(run, f"checks.{check}") or 0 for run in good)
    troubles = collections.Counter()
    for run in good:
        troubles.update(figure(run, "checks.troubles") or {})
    return {
        "runs": len(runs),
        "failures": [run["failed"] for run in runs if "failed" in run],
        "figures": figures,
        "checks": checks,
        "troubles": dict(troubles),
        "bottleneck": sum(bool(figure(run, "generator.bottleneck")) for run in good),
    }


def compare_to_limit(servers):
    limits = servers.get(LIMIT, {}).get("figures", {})
    for name, server in servers.items():
        for path, values in server["figures"].items():
            limit = limits.get(path, {}).get("median")
            values["ratio"] = values["median"] / limit if limit and name != LIMIT else None
    return servers


def short(value):
    decimals = sum(abs(value) < bound for bound in (100, 10, 1))
    return f"{value:,.{decimals}f}"


def cell(values, unit):
    if values is None:
        return "–"
    text, low, high = (short(values[key] / unit) for key in ("median", "min", "max"))
    if low != high:
        text += f" ({low}–{high})"
    return text + (f" ×{short(values['ratio'])}" if values["ratio"] is not None else "")


def notes(server):
    found = []
    if server["failures"]:
        reasons = "; ".join(dict.fromkeys(server["failures"]))
        found.append(f"{len(server['failures'])} of {server['runs']} runs failed: {reasons}")
    for check in OTHER_CHECKS:
        if count := server["checks"][check]:
            found.append(f"{count} {check.replace('_', ' ')}")
    found += [f"{count} × {trouble}" for trouble, count in server["troubles"].items()]
    if server["bottleneck"]:
        found.append(f"the load was the bottleneck in {server['bottleneck']}")
    return ", ".join(found).replace("|", "/")


def rows(servers):
    """Of the figures, those that any server has."""
    every = servers.values()
    known = [name for name, (path, _) in FIGURES.items() if any(path in each["figures"] for each in every)]
    yield ["server", *known, "lost / duplicated / out of order", "notes"]
    for name, server in servers.items():
        good = server["runs"] > len(server["failures"])
        checks = " / ".join(str(server["checks"][check]) for check in CHECKS) if good else "–"
        cells = [cell(server["figures"].get(path), unit) for path, unit in map(FIGURES.get, known)]
        yield [name, *cells, checks, notes(server)]


def table(lines):
    """A table in Markdown, which reads well as it is, too."""
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    padded = ([word.ljust(width) for word, width in zip(line, widths)] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def section(scenario, transport, servers):
    title = f"## {scenario}, {transport}\n\n`{SCENARIOS[scenario]} --transport {transport}`"
    return f"{title}\n\n{table(rows(servers))}\n"


def report(options, measured_on, missing, summary):
    """Written after each scenario, so that an interrupted comparison has what it got to."""
    whole = {
        "environment": measured_on,
        "options": {name: getattr(options, name) for name in ("turns", "warmup", "duration")},
        "missing": missing,
        "scenarios": summary,
    }
    (options.out / "summary.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    text = [
        "# Servers side by side\n",
        f"Medians of {options.turns} turns of {options.duration:g} s after {options.warmup:g} s of warm-up, "
        "their range, and the multiple of the limit.\n",
        *(f"- {name}: {value}" for name, value in measured_on.items()),
        *(f"- there is no {name}: {reason}" for name, reason in missing.items()),
        "",
        *(section(each["scenario"], each["transport"], each["servers"]) for each in summary),
    ]
    (options.out / "summary.md").write_text("\n".join(text))


# The command line


def names(known):
    def parse(text):
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"of {', '.join(known)} there is no {', '.join(unknown)}")
        return chosen

    return parse


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    for option, known in {"servers": SERVERS, "scenarios": SCENARIOS, "transports": TRANSPORTS}.items():
        parser.add_argument(f"--{option}", type=names(list(known)), default=list(known), metavar="A,B")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--warmup", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--duration", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out", metavar="DIR")
    parser.add_argument("--built", action="store_true", help="build and install nothing")
    parser.add_argument("--list", action="store_true", help="say what there is to compare, and stop")
    return parser.parse_args()


def list_all():
    for name, server in SERVERS.items():
        print(f"{name:13} {', '.join(server.commands)}")
    for name, arguments in SCENARIOS.items():
        print(f"{name:13} {arguments}")


def raise_open_files():
    """For the children, too. Only root can go beyond the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        print(f"there can be only {hard} open files: hold may fail", file=sys.stderr)


def compare(options, scenario, transport, servers):
    able = [name for name in servers if transport in SERVERS[name].commands]
    runs = {name: [] for name in able}
    for turn in range(1, options.turns + 1):
        for name in able:
            runs[name].append(measure(options, scenario, transport, name, turn))
    servers = compare_to_limit({name: summarize(runs[name]) for name in able})
    print(f"\n{section(scenario, transport, servers)}", flush=True)
    return {"scenario": scenario, "transport": transport, "servers": servers}


def main():
    options = parse_options()
    if options.list:
        return list_all()
    # What ends this script ends its children: by an exception, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise_open_files()
    missing = {} if options.built else build(options.servers)
    servers = [name for name in options.servers if name not in missing]
    (options.out / "raw").mkdir(parents=True, exist_ok=True)
    measured_on = environment()
    for name, value in measured_on.items():
        print(f"{name}: {value}")
    for name, reason in missing.items():
        print(f"there is no {name}: {reason}")
    summary = []
    for scenario in options.scenarios:
        for transport in options.transports:
            summary.append(compare(options, scenario, transport, servers))
            report(options, measured_on, missing, summary)
    print(f"{options.out / 'summary.md'} has all of it")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
