"""An unmodified Feast with `online_store: type: redis`: what it reads back, and every byte it left on the server.

Run against asof and against a real Redis by beside_redis/run.py, and compared.
"""

import asyncio
import datetime
import time

import pandas
import pytest
import redis
from feast import FeatureStore, RepoConfig
from feast.data_source import PushMode

import feature_repo
from feature_repo import DRIVERS, HOUR

ROWS = [{"driver_id": driver} for driver in (*DRIVERS, 4040)]
PAIRS = [{"driver_id": 1001, "customer": "bob"}, {"driver_id": 1002, "customer": "h\u00e9l\u00e8ne"}, {"driver_id": 4040, "customer": ""}]


class Repository:
    """One project of Feast on the server."""

    def __init__(self, address, folder, now, options="", **online_store):
        self.folder, self.now = folder, now
        online = {"type": "redis", "connection_string": address + options} | online_store
        config = RepoConfig(
            project="fsx", provider="local", registry=str(folder / "registry.db"), online_store=online,
            offline_store={"type": "file"}, entity_key_serialization_version=3,
        )
        self.store = FeatureStore(config=config)
        feature_repo.write_files(folder, now)
        self.objects = feature_repo.definitions(folder)
        self.store.apply(list(self.objects.values()))

    def materialize(self, *views):
        self.store.materialize(self.now - 30 * 24 * HOUR, self.now, feature_views=list(views) or None)

    def get(self, *features, rows=ROWS, full_names=False):
        got = self.store.get_online_features(features=list(features), entity_rows=rows, full_feature_names=full_names)
        return got.to_dict(include_event_timestamps=True)

    def push(self, driver, hours_ago, **values):
        row = {"driver_id": driver, "event_timestamp": self.now - hours_ago * HOUR, "created": self.now, "conv_rate": 0.25, "trips": 1, "city": "x"}
        frame = pandas.DataFrame([row | values]).astype({"conv_rate": "float32"})
        self.store.push("driver_push", frame, to=PushMode.ONLINE)


@pytest.fixture
def repository(address, raw, tmp_path, now):
    return Repository(address, tmp_path, now)


def contents(raw):
    """All keys with all fields, and whether they have a deadline."""
    return {key: (raw.hgetall(key), raw.ttl(key) >= 0) for key in raw.scan_iter()}


STATS = ["driver_stats:conv_rate", "driver_stats:trips", "driver_stats:city"]
FRESH = ["driver_fresh:conv_rate", "driver_fresh:trips", "driver_fresh:city"]


def test_apply_alone_writes_nothing(repository, raw):
    assert raw.dbsize() == 0


def test_materialized_values_are_read_back(repository, raw, answers):
    repository.materialize()
    stats = repository.get(*STATS)
    assert stats["trips"] == [101, 102, 103, 103, None]
    answers(stats, contents(raw))


def test_materializing_again_changes_nothing(repository, raw, answers):
    repository.materialize()
    first = contents(raw)
    repository.materialize()
    assert contents(raw) == first
    answers(first)


def test_materializing_incrementally(repository, raw, answers):
    store = repository.store
    store.materialize_incremental(repository.now - 4 * HOUR, feature_views=["driver_stats"])
    early = repository.get(*STATS)
    assert early["trips"] == [501, 502, 503, 503, None]
    store.materialize_incremental(repository.now, feature_views=["driver_stats"])
    late = repository.get(*STATS)
    assert late["trips"] == [101, 102, 103, 103, None]
    answers(early, late, contents(raw))


def test_every_type_with_nulls_and_empty_lists(repository, raw, answers):
    repository.materialize("every_type")
    names = [*feature_repo.SCALARS, *feature_repo.ARRAYS]
    got = repository.get(*[f"every_type:{name}" for name in names])
    assert got["an_int64"] == [2**53, -(2**53), None, 0, None]
    assert got["a_long_int64"] == [2**63 - 1, -(2**63), 1, 0, None]
    assert got["strings"][0] == ["a", "", "\u4e16"]
    assert got["some_bytes"][1] == b"\x00\xff\r\n"
    answers(got, contents(raw))


def test_several_views_and_services(repository, answers):
    repository.materialize()
    several = repository.get("driver_stats:trips", "pair_stats:score", "glob_stats:surge", rows=PAIRS)
    assert several["score"] == [501.5, 503.0, None]
    assert several["surge"] == [1.25, 1.25, 1.25]
    service = repository.store.get_feature_service("dispatch")
    served = repository.store.get_online_features(features=service, entity_rows=PAIRS, full_feature_names=True)
    answers(several, served.to_dict(include_event_timestamps=True))


def test_entities_that_are_not_there_and_asked_for_twice(repository, answers):
    nothing = repository.get(*STATS)
    assert nothing["trips"] == [None] * 5
    repository.materialize("driver_stats")
    twice = repository.get(*STATS, rows=[{"driver_id": 1001}, {"driver_id": 4040}, {"driver_id": 1001}])
    assert twice["trips"] == [101, None, 101]
    answers(nothing, twice)


def test_values_older_than_the_views_ttl(repository, answers):
    repository.materialize("driver_expired")
    # Feast itself decides what of that it serves; that it is answered the same is what counts.
    answers(repository.get("driver_expired:trips"))


def test_a_hundred_entities_in_one_request(repository, answers):
    repository.materialize("driver_stats")
    answers(repository.get(*STATS, rows=[{"driver_id": driver} for driver in range(950, 1050)]))


def test_pushes_and_late_pushes(repository, raw, answers):
    repository.push(1001, 2, trips=7)
    first = repository.get(*FRESH)
    # Older than what is there: Feast leaves it out.
    repository.push(1001, 5, trips=8)
    late = repository.get(*FRESH)
    assert first["trips"][0] == late["trips"][0] == 7
    repository.push(1001, 1, trips=9, city=None)
    newer = repository.get(*FRESH)
    assert newer["trips"][0] == 9 and newer["city"][0] is None
    answers(first, late, newer, contents(raw))


def test_a_push_of_many_rows_of_one_entity(repository, raw, answers):
    frame = feature_repo.stats(repository.now)
    repository.store.push("driver_push", frame, to=PushMode.ONLINE)
    answers(repository.get(*FRESH), contents(raw))


def test_rows_written_directly(repository, raw, answers):
    frame = feature_repo.pairs(repository.now)
    repository.store.write_to_online_store("pair_stats", df=frame)
    answers(repository.get("pair_stats:score", rows=PAIRS), contents(raw))


def test_reading_and_writing_asynchronously(repository, raw, answers):
    async def run():
        store = repository.store
        await store.push_async("driver_push", feature_repo.stats(repository.now), to=PushMode.ONLINE)
        several = [store.get_online_features_async(features=FRESH, entity_rows=ROWS) for _ in range(5)]
        got = [response.to_dict(include_event_timestamps=True) for response in await asyncio.gather(*several)]
        await store.close()
        return got

    got = asyncio.run(run())
    assert got[0]["trips"] == [101, 102, 103, 103, None] and all(one == got[0] for one in got)
    answers(got, contents(raw))


def test_keys_with_a_deadline(address, raw, tmp_path, now, answers):
    repository = Repository(address, tmp_path, now, key_ttl_seconds=60)
    repository.materialize("driver_stats")
    ttls = [raw.ttl(key) for key in raw.keys()]
    assert len(ttls) == 4 and all(50 <= ttl <= 60 for ttl in ttls)
    answers(repository.get(*STATS), contents(raw))


def test_keys_past_their_deadline_are_gone(address, raw, tmp_path, now, answers):
    repository = Repository(address, tmp_path, now, key_ttl_seconds=1)
    repository.push(1001, 1)
    assert repository.get(*FRESH)["trips"][0] == 1
    time.sleep(1.2)
    gone = repository.get(*FRESH)
    assert gone["trips"] == [None] * 5
    answers(gone, raw.keys())


def test_a_dropped_view_takes_its_fields_and_no_others(repository, raw, answers):
    repository.materialize()
    objects = repository.objects
    repository.store.apply([], objects_to_delete=[objects["dispatch"], objects["pair_stats"]], partial=False)
    # Of the pairs nothing else is there; their keys went.
    without_pairs = contents(raw)
    assert not any(b"customer" in key for key in without_pairs)
    repository.store.apply([], objects_to_delete=[objects["driver_fresh"]], partial=False)
    without_fresh = contents(raw)
    fields = {field for fields, _ in without_fresh.values() for field in fields}
    assert b"_ts:driver_stats" in fields and b"_ts:driver_fresh" not in fields
    answers(without_pairs, without_fresh, repository.get(*STATS))


def test_a_dropped_view_stays_where_no_scan_is_wanted(address, raw, tmp_path, now, answers):
    repository = Repository(address, tmp_path, now, full_scan_for_deletion=False)
    repository.materialize("pair_stats")
    before = contents(raw)
    repository.store.apply([], objects_to_delete=[repository.objects["dispatch"], repository.objects["pair_stats"]], partial=False)
    assert contents(raw) == before
    answers(before)


def test_teardown_removes_the_projects_keys_and_no_others(repository, raw, answers):
    repository.materialize()
    raw.set("another", "stays")
    raw.hset("another-hash", "stays", "too")
    repository.store.teardown()
    # The key of views without entities is not found by the pattern that Feast looks for: on Redis it stays too.
    left = sorted(raw.keys())
    assert [key for key in left if b"__dummy_id" not in key] == [b"another", b"another-hash"]
    answers(left)


VARIANTS = {
    "RESP3": ",protocol=3",
    "another database": ",db=5",
    "a name": ",client_name=abc,health_check_interval=10,socket_timeout=5,socket_keepalive=true",
    "RESP3, any password of the default user": ",username=default,password=sekret,protocol=3",
    "RESP3, database and name": ",protocol=3,db=2,client_name=abc",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_connecting_with(variant, address, raw, tmp_path, now, answers):
    repository = Repository(address, tmp_path, now, options=VARIANTS[variant])
    repository.push(1001, 2, trips=7)
    repository.materialize("driver_stats", "pair_stats")
    got = repository.get(*STATS, *FRESH, full_names=True)
    databases = [raw.execute_command("SELECT", db) and contents(raw) for db in (0, 2, 5)]
    raw.select(0)
    repository.store.teardown()
    answers(got, databases)


@pytest.mark.parametrize("skip_dedup", [False, True])
def test_asynchronous_over_resp3(skip_dedup, address, raw, tmp_path, now, answers):
    repository = Repository(address, tmp_path, now, options=",protocol=3", skip_dedup=skip_dedup)

    async def run():
        await repository.store.push_async("driver_push", feature_repo.stats(now), to=PushMode.ONLINE)
        response = await repository.store.get_online_features_async(features=FRESH, entity_rows=ROWS)
        await repository.store.close()
        return response.to_dict(include_event_timestamps=True)

    answers(asyncio.run(run()), contents(raw))


def test_a_password_that_nobody_asked_for_is_refused(address, raw, tmp_path, now, answers):
    repository = Repository(address, tmp_path, now, options=",password=sekret")
    with pytest.raises(Exception) as refused:
        repository.push(1001, 2)
    answers(refused.value)


def test_two_projects_beside_each_other(address, raw, tmp_path, now, answers):
    (tmp_path / "one").mkdir(), (tmp_path / "other").mkdir()
    one = Repository(address, tmp_path / "one", now)
    one.push(1001, 2, trips=7)
    other = Repository(address, tmp_path / "other", now - datetime.timedelta(hours=1))
    other.store.config.project = "other"
    other.store.apply(list(other.objects.values()))
    other.store.write_to_online_store("driver_stats", df=feature_repo.stats(now))
    answers(one.get(*FRESH), other.get(*STATS), contents(raw))


def test_as_a_cluster_of_one_node(address, raw, tmp_path, now):
    try:
        raw.execute_command("CLUSTER", "SLOTS")
    except redis.ResponseError as error:
        # Debian's Redis is no cluster unless it is told.
        assert "cluster support disabled" in str(error)
        return
    repository = Repository(address, tmp_path, now, redis_type="redis_cluster")
    repository.materialize("driver_stats", "pair_stats")
    assert repository.get(*STATS)["trips"] == [101, 102, 103, 103, None]
    objects = repository.objects
    repository.store.apply([], objects_to_delete=[objects["dispatch"], objects["pair_stats"]], partial=False)
    assert not any(b"customer" in key for key in raw.keys())
    repository.store.teardown()
    assert raw.dbsize() == 0
