"""Debian's prometheus scrapes `asof serve`, and its query API answers every expression of the dashboard.

Usage: run.py ASOF
"""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "beside_redis"))

import servers  # noqa: E402

PATIENCE_S = 60
# Rates need two scrapes and more.
SCRAPES = 4
DEFINITIONS = """
[project]
name = "scraped"

[entities.airport]
join_keys = { origin = "string" }

[views.weather]
entities = ["airport"]
freshness_sla = "1h"

[views.weather.features]
temp = "float64"
"""


def post(address, path, body):
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode())
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def traffic(address, hour):
    """What makes every metric say something, mistakes included."""
    row = {"origin": "JFK", "event_timestamp": f"2024-03-01T{hour % 24:02}:00:00Z", "temp": 1.0}
    post(address, "/v1/write/weather", [row])
    post(address, "/v1/get", {"features": ["weather:temp"], "entities": [{"origin": "JFK"}, {"origin": "X"}]})
    post(address, "/v1/get", {"features": ["no:such"], "entities": []})


@contextlib.contextmanager
def prometheus(config, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def query(url, expression):
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}", timeout=10) as answer:
        answer = json.load(answer)
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def expressions():
    """Those of the dashboard, with what Grafana puts into them."""
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    return [target["expr"].replace("$__rate_interval", "1m") for panel in dashboard["panels"] for target in panel["targets"]]


def exposed(address):
    """The metrics that the server has, as it describes them."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        return set(re.findall(r"^# TYPE (\S+) ", answer.read().decode(), re.MULTILINE))


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="asof-prometheus-") as folder, servers.asof_http(binary, DEFINITIONS) as address:
        config = pathlib.Path(folder) / "prometheus.yml"
        text = (ROOT / "deploy" / "prometheus.yml").read_text()
        assert "127.0.0.1:6566" in text and "15s" in text
        config.write_text(text.replace("127.0.0.1:6566", address).replace("15s", "500ms"))
        with prometheus(config, folder) as (url, process):
            until, hour = time.monotonic() + PATIENCE_S, 0
            while True:
                assert time.monotonic() < until, f"no scrape came: {process.poll()}"
                traffic(address, hour := hour + 1)
                with contextlib.suppress(OSError):
                    scraped = query(url, 'count_over_time(up{job="asof"}[1m])')
                    if scraped and int(scraped[0]["value"][1]) >= SCRAPES:
                        break
                time.sleep(0.2)
            assert query(url, "up")[0]["value"][1] == "1"
            asked = expressions()
            empty = [expression for expression in asked if not query(url, expression)]
            assert not empty, f"nothing comes of {empty}"
            assert float(query(url, "asof_http_requests_total{path='/v1/get',status='200'}")[0]["value"][1]) >= 1
            assert query(url, "feature_missing_rate{view='weather'}")[0]["value"][1] == "0.5"
        metrics, words = exposed(address), set(re.findall(r"[a-z_]+", " ".join(asked)))
        suffixes = ("", "_total", "_bucket")
        unshown = [name for name in metrics if not any(name + suffix in words for suffix in suffixes)]
        assert not unshown, f"the dashboard does not show {unshown}"
    print(f"{len(asked)} expressions over {len(metrics)} metrics answered by {subprocess.run(['prometheus', '--version'], capture_output=True, text=True).stdout.splitlines()[0]}")


main()
