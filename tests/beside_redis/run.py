"""Runs a folder of tests against asof and against a real Redis, both started here, and compares all they answered.

Usage: run.py FOLDER ASOF [argument of pytest]...   with the Python that has what the tests need.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import servers


def start(binary, folder, address, answers, now, arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
    command += ["--address", address, "--answers", answers, "--now", now, *arguments]
    return subprocess.Popen(command, env=os.environ | {"ASOF_BINARY": binary}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def differences(ours, theirs):
    """Lines that say where the two differ."""
    for test in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(test), theirs.get(test)
        if mine is None or other is None:
            yield f"{test}: only one of both answered"
            continue
        if len(mine) != len(other):
            yield f"{test}: {len(mine)} answers of asof, {len(other)} of Redis"
        for at, (one, two) in enumerate(zip(mine, other)):
            if one != two:
                yield f"{test}: answer {at}\n  asof:  {one}\n  Redis: {two}"


def main():
    folder, binary, *arguments = sys.argv[1:]
    # One instant for both, or their data would differ.
    now = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0).isoformat()
    with tempfile.TemporaryDirectory() as work, servers.asof(binary) as asof, servers.redis() as redis:
        files = {name: pathlib.Path(work) / f"{name}.json" for name in ("asof", "Redis")}
        # Beside each other: what takes long is Python.
        runs = {
            "asof": start(binary, folder, asof, files["asof"], now, arguments),
            "Redis": start(binary, folder, redis, files["Redis"], now, arguments),
        }
        failed = False
        for name, run in runs.items():
            said, _ = run.communicate()
            print(said if run.returncode else f"{name}: {said.strip().splitlines()[-1]}")
            failed |= run.returncode != 0
        if failed:
            raise SystemExit(1)
        answers = {name: json.loads(file.read_text()) for name, file in files.items()}
    found = list(differences(answers["asof"], answers["Redis"]))
    compared = sum(len(said) for said in answers["Redis"].values())
    assert compared, "nothing was compared"
    if found:
        raise SystemExit("\n".join(found))
    print(f"{compared} answers of {len(answers['Redis'])} tests are equal")


main()
