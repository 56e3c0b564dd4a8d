"""Feast's own RemoteOnlineStore over `asof serve --http`, beside Feast's own store in SQLite: what one reads back, the other does."""

import datetime
import os

import numpy
import pandas
import pytest
import servers
from feast import FeatureStore, FeatureView, Field, RepoConfig
from feast.data_source import PushMode
from feast.errors import FeatureViewNotFoundException, PushSourceNotFoundException

import feature_repo
from feature_repo import DRIVERS, HOUR

EVERY_TYPE = feature_repo.SCALARS | feature_repo.ARRAYS

STATS = """
[views.{name}.features]
conv_rate = "float32"
trips = "int64"
city = "string"
"""
# Bytes are left out: they have no form in the JSON that the remote store sends.
TYPES = {
    "a_bool": "bool", "an_int32": "int32", "an_int64": "int64", "a_float32": "float32", "a_float64": "float64",
    "a_string": "string", "bools": "list<bool>", "int32s": "list<int32>", "int64s": "list<int64>",
    "float32s": "list<float32>", "float64s": "list<float64>", "strings": "list<string>",
}
DEFINITIONS = f"""
[project]
name = "fsx"

[entities.driver]
join_keys = {{ driver_id = "int64" }}

[entities.customer]
join_keys = {{ customer = "string" }}

[views.driver_stats]
entities = ["driver"]
ttl = "24h"
source = {{ path = "FOLDER/stats.parquet", created_timestamp = "created" }}
{STATS.format(name="driver_stats")}

[views.driver_fresh]
entities = ["driver"]
ttl = "24h"
source = {{ path = "FOLDER/stats.parquet", push = "driver_push", created_timestamp = "created" }}
{STATS.format(name="driver_fresh")}

[views.driver_expired]
entities = ["driver"]
ttl = "1m"
source = {{ path = "FOLDER/stats.parquet", created_timestamp = "created" }}
{STATS.format(name="driver_expired")}

[views.every_type]
entities = ["driver"]
source = {{ path = "FOLDER/types.parquet" }}

[views.every_type.features]
{chr(10).join(f'{name} = "{dtype}"' for name, dtype in TYPES.items())}

[views.pair_stats]
entities = ["driver", "customer"]
ttl = "24h"
source = {{ path = "FOLDER/pairs.parquet" }}

[views.pair_stats.features]
score = "float64"

[views.glob_stats]
entities = []
ttl = "24h"
source = {{ path = "FOLDER/surge.parquet" }}

[views.glob_stats.features]
surge = "float64"

[services.dispatch]
features = ["driver_stats:conv_rate", "driver_stats:city", "pair_stats:score", "glob_stats:surge"]
"""
ROWS = [{"driver_id": driver} for driver in (*DRIVERS, 4040)]
PAIRS = [{"driver_id": 1001, "customer": "bob"}, {"driver_id": 1002, "customer": "h\u00e9l\u00e8ne"}, {"driver_id": 4040, "customer": ""}]


class Twins:
    """The same project with the online store of asof, and with that of SQLite."""

    def __init__(self, address, folder, now):
        self.now = now
        self.stores = {}
        for name, online in {
            "asof": {"type": "remote", "path": f"http://{address}"},
            "sqlite": {"type": "sqlite", "path": str(folder / "online.db")},
        }.items():
            config = RepoConfig(
                project="fsx", provider="local", registry=str(folder / f"{name}.registry"), online_store=online,
                offline_store={"type": "file"}, entity_key_serialization_version=3,
            )
            self.stores[name] = FeatureStore(config=config)
            objects = feature_repo.definitions(folder)
            types = [Field(name=name, dtype=dtype) for name, (dtype, _) in EVERY_TYPE.items() if name in TYPES]
            objects["every_type"] = FeatureView(
                name="every_type", entities=[objects["driver"]], ttl=datetime.timedelta(0), schema=types,
                source=objects["every_type"].batch_source,
            )
            self.stores[name].apply(list(objects.values()))

    def both(self, work):
        """What both do; they do the same."""
        ours, theirs = (work(self.stores[name]) for name in ("asof", "sqlite"))
        assert same(ours) == same(theirs)
        return ours

    def materialize(self, *views):
        for store in self.stores.values():
            store.materialize(self.now - 30 * 24 * HOUR, self.now, feature_views=list(views) or None)

    def get(self, *features, rows=ROWS, **options):
        return self.both(lambda store: store.get_online_features(features=list(features), entity_rows=rows, **options).to_dict())


def same(answer):
    """Columns have no order of their own. In JSON a float32 has the digits that tell it from others, of which
    Feast's client makes a float64, and an infinity is a string, which it leaves one."""

    def text(value):
        value = float("inf") if value == "Infinity" else value
        return repr(numpy.float32(value)) if isinstance(value, float) else repr(value)

    return {name: [text(value) for value in values] for name, values in sorted(answer.items())}


@pytest.fixture
def twins(tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    feature_repo.write_files(tmp_path, now)
    # The server imports what Feast's own store materializes.
    with servers.asof_http(os.environ["ASOF_BINARY"], DEFINITIONS.replace("FOLDER", str(tmp_path)), "--import-folder", tmp_path) as address:
        yield Twins(address, tmp_path, now)


def test_what_was_materialized_is_read_back(twins):
    assert twins.get("driver_stats:trips")["trips"] == [None] * 5
    twins.materialize("driver_stats", "driver_fresh", "pair_stats", "glob_stats")
    assert twins.get("driver_stats:conv_rate", "driver_stats:trips", "driver_stats:city")["trips"] == [101, 102, 103, 103, None]
    several = twins.get("driver_stats:trips", "pair_stats:score", "glob_stats:surge", rows=PAIRS)
    assert several["score"] == [501.5, 503.0, None] and several["surge"] == [1.25] * 3


def test_materializing_incrementally(twins):
    # asof imports all that the source has gained, and Feast's store what is not later than the end.
    twins.stores["asof"].materialize_incremental(twins.now - 4 * HOUR, feature_views=["driver_stats"])
    for store in twins.stores.values():
        store.materialize_incremental(twins.now, feature_views=["driver_stats"])
    assert twins.get("driver_stats:trips")["trips"][0] == 101


def test_every_type_with_nulls(twins):
    twins.materialize("every_type")
    scalars = [name for name in TYPES if name in feature_repo.SCALARS]
    got = twins.get(*[f"every_type:{name}" for name in scalars])
    assert got["an_int64"] == [2**53, -(2**53), None, 0, None]
    assert got["a_string"][1] == "h\u00e9llo \u4e16\u754c"
    # Of a list without elements Feast's client does not know the type.
    lists = [name for name in TYPES if name not in scalars]
    assert twins.get(*[f"every_type:{name}" for name in lists], rows=ROWS[:1])["strings"] == [["a", "", "\u4e16"]]


def test_services_and_full_names(twins):
    twins.materialize("driver_stats", "pair_stats", "glob_stats")

    def serve(store):
        service = store.get_feature_service("dispatch")
        return store.get_online_features(features=service, entity_rows=PAIRS, full_feature_names=True).to_dict()

    assert twins.both(serve)["pair_stats__score"] == [501.5, 503.0, None]


def test_what_was_pushed_is_served(twins):
    row = {"driver_id": 1001, "event_timestamp": twins.now, "created": twins.now, "conv_rate": 0.25, "trips": 7, "city": "x"}
    frame = pandas.DataFrame([row]).astype({"conv_rate": "float32"})
    for store in twins.stores.values():
        store.push("driver_push", frame, to=PushMode.ONLINE)
    assert twins.get("driver_fresh:trips", "driver_fresh:conv_rate", "driver_fresh:city")["trips"] == [7] + [None] * 4
    for store in twins.stores.values():
        store.write_to_online_store("driver_stats", df=frame)
    assert twins.get("driver_stats:trips")["trips"][0] == 7


def test_a_value_that_is_too_old_is_not_served(twins):
    twins.materialize("driver_expired")
    answer = twins.stores["asof"].get_online_features(features=["driver_expired:trips"], entity_rows=ROWS[:1])
    assert answer.to_dict()["trips"] == [None]


def test_errors_are_those_of_feast(twins):
    for store in twins.stores.values():
        with pytest.raises(FeatureViewNotFoundException):
            store.get_online_features(features=["nope:x"], entity_rows=ROWS)
        with pytest.raises(PushSourceNotFoundException):
            store.push("nope", pandas.DataFrame([{"driver_id": 1}]))
