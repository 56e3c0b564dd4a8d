"""`asof serve --http` over a project with every type, for clients of it in Python."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "beside_redis"))

import servers  # noqa: E402

DEFINITIONS = """
[project]
name = "clients"

[entities.airport]
join_keys = { origin = "string" }

[entities.leg]
join_keys = { origin = "string", number = "int64" }

[views.weather]
entities = ["airport"]

[views.weather.features]
temp = "float64"
note = "string"

[views.leg]
entities = ["leg"]

[views.leg.features]
full = "bool"
seats = "int32"
distance = "int64"
share = "float32"
delay = "float64"
carrier = "string"
raw = "bytes"
left = "timestamp"
day = "date"
fare = "decimal(12,2)"
stops = "list<string>"
shape = "vector<3>"

[services.all]
features = ["weather:*", "leg:*"]
"""


@pytest.fixture(scope="session")
def address():
    with servers.asof_http(os.environ["ASOF_BINARY"], DEFINITIONS) as address:
        yield f"http://{address}"
