"""asof over HTTP beside `feast serve` on Redis, beside a bare axum handler, and beside itself with two thousand slow connections.

Usage: python3 benches/http/run.py [feast] [axum] [slow] [--seconds S] [--rounds N]

Run with a Python that has Feast (pip install 'feast[redis]==0.67.*'). Needs wrk and, for Feast, redis-server. Builds asof and the handler
in release mode. The servers take turns, round by round; medians are printed, and every round.
"""

import argparse
import contextlib
import datetime
import itertools
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "beside_redis"))

import servers  # noqa: E402

IDS = 10_000
FEATURES = [f"f{number}" for number in range(10)]
SLOW_CONNECTIONS = 2_000
DEFINITIONS = f"""
[project]
name = "bench"

[entities.id]
join_keys = {{ id = "int64" }}

[views.rows]
entities = ["id"]
source = {{ path = "FOLDER/rows.parquet" }}

[views.rows.features]
{chr(10).join(f'{name} = "float64"' for name in FEATURES)}

[services.all]
features = ["rows:*"]
"""


def built(*arguments):
    """The folder of what cargo builds in release mode."""
    subprocess.run(["cargo", "build", "--quiet", "--release", *arguments], check=True, cwd=ROOT)
    target = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps"], check=True, capture_output=True, text=True, cwd=ROOT)
    return pathlib.Path(re.search(r'"target_directory":"([^"]+)"', target.stdout)[1]) / "release"


def write_rows(folder):
    import numpy
    import pandas

    random = numpy.random.default_rng(1)
    frame = pandas.DataFrame({"id": numpy.arange(IDS, dtype="int64")})
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    frame["event_timestamp"] = pandas.Series([now - datetime.timedelta(hours=1)] * IDS, dtype="datetime64[us, UTC]")
    for name in FEATURES:
        frame[name] = random.random(IDS) * 100
    frame.to_parquet(folder / "rows.parquet")
    return now


@contextlib.contextmanager
def asof(folder):
    binary = built("--bin", "asof") / "asof"
    with servers.asof_http(binary, DEFINITIONS.replace("FOLDER", str(folder)), "--import-folder", folder) as address:
        body = b'{"start_ts": "2000-01-01T00:00:00", "end_ts": "2100-01-01T00:00:00"}'
        urllib.request.urlopen(urllib.request.Request(f"http://{address}/materialize", body), timeout=60).read()
        yield f"http://{address}"


@contextlib.contextmanager
def feast(folder, now):
    """`feast serve` as it starts by itself, over a Redis of its own."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64

    with servers.redis() as redis, socket.socket() as free:
        repo = folder / "repo"
        repo.mkdir()
        config = (
            f"project: bench\nprovider: local\nregistry: {repo}/registry.db\nentity_key_serialization_version: 3\n"
            f"online_store:\n  type: redis\n  connection_string: {redis}\noffline_store:\n  type: file\n"
        )
        (repo / "feature_store.yaml").write_text(config)
        store = FeatureStore(str(repo))
        entity = Entity(name="id", join_keys=["id"], value_type=ValueType.INT64)
        source = FileSource(name="rows", path=str(folder / "rows.parquet"), timestamp_field="event_timestamp")
        schema = [Field(name=name, dtype=Float64) for name in FEATURES]
        store.apply([entity, FeatureView(name="rows", entities=[entity], ttl=datetime.timedelta(days=365), schema=schema, source=source)])
        store.materialize(now - datetime.timedelta(days=1), now)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [pathlib.Path(sys.executable).with_name("feast"), "--chdir", repo, "serve", "--port", str(port), "--host", "127.0.0.1"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until = time.monotonic() + 60
                while True:
                    with contextlib.suppress(OSError):
                        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
                        break
                    assert time.monotonic() < until and process.poll() is None, "feast serve does not start"
                    time.sleep(0.2)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(30)


@contextlib.contextmanager
def axum(length):
    binary = built("-p", "asof-clients", "--example", "bare_axum") / "examples" / "bare_axum"
    with subprocess.Popen([binary, str(length)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://{process.stdout.readline().strip()}/"
        process.stdin.close()


def wrk(seconds, url, *script):
    """Requests a second, and the time in milliseconds within which 99 of 100 were answered."""
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", url]
    if script:
        command = [*command[:-1], "-s", str(pathlib.Path(__file__).with_name("request.lua")), url, "--", *map(str, script)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in said, said
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", said).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def compare(title, sides, rounds):
    """Lets both sides take turns, and says how they compare."""
    found = {name: [] for name in sides}
    for measure in sides.values():
        measure()
    for _ in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
    (one, ours), (other, theirs) = found.items()
    medians = [[statistics.median(round[at] for round in side) for at in (0, 1)] for side in (ours, theirs)]
    (rps, p99), (other_rps, other_p99) = medians
    print(f"{title}: {one} / {other} {rps:,.0f} / {other_rps:,.0f} requests a second, {rps / other_rps:.2f}x; p99 {p99:.2f} / {other_p99:.2f} ms, {p99 / other_p99:.3f}x")
    for name, side in found.items():
        print(f"    {name}: " + ", ".join(f"{rps:,.0f} ({p99:.2f} ms)" for rps, p99 in side))


@contextlib.contextmanager
def slow_connections(url):
    """Connections that send a request byte by byte, one a second, and never its end."""
    host, port = url.removeprefix("http://").split(":")
    connections = [socket.create_connection((host, int(port)), timeout=10) for _ in range(SLOW_CONNECTIONS)]
    is_done = threading.Event()

    def send():
        for at in itertools.count():
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.send(b"GET /health HTTP/1.1\r\nX: " if at == 0 else b"x")
            if is_done.wait(1):
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        is_done.set()
        sender.join()
        for connection in connections:
            connection.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=["feast", "axum", "slow", []], default=[])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    parts = arguments.parts or ["feast", "axum", "slow"]
    seconds, rounds = arguments.seconds, arguments.rounds
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="asof-bench-") as folder:
        folder = pathlib.Path(folder)
        now = write_rows(folder)
        with asof(folder) as ours:
            one = f"{ours}/features/online/77?service=all"
            if "feast" in parts:
                with feast(folder, now) as theirs:
                    for entities in (1, 100):
                        title = f"POST /get-online-features, {entities} by ten"
                        path = "/get-online-features"
                        sides = {
                            "asof": lambda entities=entities: wrk(seconds, ours + path, entities, IDS),
                            "feast serve": lambda entities=entities: wrk(seconds, theirs + path, entities, IDS),
                        }
                        compare(title, sides, rounds)
            if "axum" in parts:
                length = len(urllib.request.urlopen(one, timeout=10).read())
                with axum(length) as bare:
                    title = f"GET one entity, {length} bytes"
                    compare(title, {"asof": lambda: wrk(seconds, one), "bare axum": lambda: wrk(seconds, bare)}, rounds)
            if "slow" in parts:

                def beside():
                    with slow_connections(ours):
                        return wrk(seconds, one)

                title = f"GET one entity beside {SLOW_CONNECTIONS:,} slow connections"
                compare(title, {"beside them": beside, "alone": lambda: wrk(seconds, one)}, rounds)


main()
