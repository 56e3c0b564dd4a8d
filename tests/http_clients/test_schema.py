"""/openapi.json against schemathesis: no 5xx on any path, nothing that the document does not say."""

import pathlib
import subprocess
import sys

import requests

SECONDS = 60


def test_whatever_is_asked_is_answered_as_the_document_says(address, tmp_path):
    row = {"origin": "JFK", "event_timestamp": "2013-03-01T12:00:00Z", "temp": 39.0}
    assert requests.post(f"{address}/v1/write/weather", json=[row], timeout=30).status_code == 200
    command = [pathlib.Path(sys.executable).with_name("schemathesis"), "run", f"{address}/openapi.json", "--no-color"]
    # Most of what it makes up names views that are not there.
    command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--max-time", str(SECONDS)]
    command += ["--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", "--max-examples", "20"]
    command += ["--seed", "1"]
    # What it keeps of a run goes with the test.
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    print(run.stdout[-3000:])
    assert run.returncode == 0, run.stdout[-20000:] + run.stderr[-2000:]
    assert "Test cases:" in run.stdout, "it tried nothing"
    assert requests.get(f"{address}/ready", timeout=30).status_code == 200, "the server is there still"
