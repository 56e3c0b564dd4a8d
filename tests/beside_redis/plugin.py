"""What the tests of a folder have in common: which server they talk to, and the list of what it answered.

By default a folder's tests start `asof serve` for themselves. With --address they talk to who listens there, with --answers they write
down what was answered; run.py does both, for asof and for a real Redis, and compares.
"""

import datetime
import json
import os
import pathlib
import shutil

import pytest
import redis

import servers

ASOF = pathlib.Path(__file__).parents[2] / "target" / "debug" / "asof"


def pytest_addoption(parser):
    parser.addoption("--address", help="HOST:PORT of the server to talk to; one of asof is started otherwise")
    parser.addoption("--answers", help="file to write all answers to")
    parser.addoption("--now", help="the instant that generated data lies around, by default the start of this hour")


def pytest_configure(config):
    config.answers = {}


def pytest_sessionfinish(session):
    path = session.config.getoption("--answers")
    if path:
        pathlib.Path(path).write_text(json.dumps(session.config.answers, indent=1))


@pytest.fixture(scope="session")
def binary():
    """The asof to run."""
    found = os.environ.get("ASOF_BINARY") or (ASOF if ASOF.exists() else shutil.which("asof"))
    assert found, "there is no asof: cargo build, or set ASOF_BINARY"
    return found


@pytest.fixture(scope="session")
def address(request):
    """HOST:PORT of the server."""
    given = request.config.getoption("--address")
    if given:
        yield given
        return
    with servers.asof(request.getfixturevalue("binary")) as started:
        yield started


@pytest.fixture(scope="session")
def now(request):
    given = request.config.getoption("--now")
    if given:
        return datetime.datetime.fromisoformat(given)
    return datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def answers(request):
    """Call it with what was answered: it is compared with what the other server answers in the same test."""
    said = request.config.answers.setdefault(request.node.name, [])
    return lambda *values: said.extend(plain(value) for value in values)


@pytest.fixture
def raw(address):
    """A plain client of an empty server."""
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port)) as client:
        client.flushall()
        yield client


def plain(value):
    """The same as text, numbers and lists, so that two runs can be compared: types stay told apart, sets and mappings lose their order."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, dict):
        return {repr(key): plain(value[key]) for key in sorted(value, key=repr)}
    if isinstance(value, (set, frozenset)):
        return ["set", *sorted(repr(element) for element in value)]
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return repr(value)
