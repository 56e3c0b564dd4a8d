"""What `asof export --layout feast` leaves in a Redis is what Feast leaves there of the same files, byte for byte, and Feast reads it."""

import json
import subprocess

import pytest

from feature_repo import ARRAYS, DRIVERS, SCALARS
from test_feast import FRESH, PAIRS, ROWS, STATS, Repository

VIEWS = ["driver_stats", "driver_fresh", "every_type", "pair_stats", "glob_stats"]
STATS_OF_ASOF = """
entities = ["driver"]
ttl = "24h"
source = {{ path = "{folder}/stats.parquet", event_timestamp = "event_timestamp", created_timestamp = "created" }}
features = {{ conv_rate = "float32", trips = "int64", city = "string" }}
"""


def type_of_asof(dtype):
    """How asof calls a type of Feast's."""
    if hasattr(dtype, "base_type"):
        return f"list<{type_of_asof(dtype.base_type)}>"
    return "timestamp" if dtype.name == "UNIX_TIMESTAMP" else dtype.name.lower()


def definitions(folder):
    """The repository as asof.toml says it."""
    every_type = "\n".join(f'{name} = "{type_of_asof(dtype)}"' for name, (dtype, _) in (SCALARS | ARRAYS).items())
    return f"""
[project]
name = "fsx"

[entities.driver]
join_keys = {{ driver_id = "int64" }}

[entities.customer]
join_keys = {{ customer = "string" }}

[views.driver_stats]{STATS_OF_ASOF.format(folder=folder)}
[views.driver_fresh]{STATS_OF_ASOF.format(folder=folder)}
[views.pair_stats]
entities = ["driver", "customer"]
ttl = "24h"
source = {{ path = "{folder}/pairs.parquet", event_timestamp = "event_timestamp" }}
features = {{ score = "float64" }}

[views.glob_stats]
entities = []
ttl = "24h"
source = {{ path = "{folder}/surge.parquet", event_timestamp = "event_timestamp" }}
features = {{ surge = "float64" }}

[views.every_type]
entities = ["driver"]
source = {{ path = "{folder}/types.parquet", event_timestamp = "event_timestamp" }}
[views.every_type.features]
{every_type}
"""


@pytest.fixture
def asof(binary, tmp_path):
    """Runs asof on a project over the same files."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "asof.toml").write_text(definitions(tmp_path))

    def run(*words):
        ran = subprocess.run([binary, "--project", project, "--format", "json", *words], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def hashes(raw):
    return {key: raw.hgetall(key) for key in raw.scan_iter()}


def read(repository):
    """Everything that Feast reads of those views, event times as well."""
    every_type = [f"every_type:{name}" for name in SCALARS | ARRAYS]
    return [
        repository.get(*STATS, *FRESH, full_names=True),
        repository.get(*every_type),
        repository.get("pair_stats:score", "glob_stats:surge", rows=PAIRS),
    ]


def test_an_export_is_what_feast_writes_and_reads(address, raw, tmp_path, now, asof, answers):
    repository = Repository(address, tmp_path, now)
    repository.materialize(*VIEWS)
    of_feast, read_of_feast = hashes(raw), read(repository)
    raw.flushall()
    asof("apply")
    asof("import", "--all")
    said = asof("export", "--redis", f"redis://{address}", "--layout", "feast")
    assert said["entities"] == len(of_feast) and said["values_left_out"] == 0, said
    of_asof = hashes(raw)
    assert of_asof.keys() == of_feast.keys()
    for key, fields in of_feast.items():
        different = {name: (of_asof[key].get(name), value) for name, value in fields.items() if of_asof[key].get(name) != value}
        assert not different and len(of_asof[key]) == len(fields), (key, different)
    assert repr(read(repository)) == repr(read_of_feast)
    answers(of_asof)


def test_what_feast_wrote_comes_back(address, raw, tmp_path, now, asof):
    Repository(address, tmp_path, now).materialize(*VIEWS)
    asof("apply")
    said = {view["view"]: view for view in asof("import", "--redis", f"redis://{address}", "--layout", "feast")}
    assert {name: view["rows_written"] for name, view in said.items()} == {
        "driver_stats": len(DRIVERS), "driver_fresh": len(DRIVERS), "every_type": len(DRIVERS), "pair_stats": 12, "glob_stats": 1,
    }
    # The files hold those rows, and older ones: the former are known, whatever was imported first.
    before = asof("get", "--features", "every_type:*,driver_stats:*", "driver_id=1001")
    raw.flushall()
    asof("export", "--redis", f"redis://{address}", "--layout", "feast")
    asof("import", "--redis", f"redis://{address}", "--layout", "feast")
    assert asof("get", "--features", "every_type:*,driver_stats:*", "driver_id=1001") == before
