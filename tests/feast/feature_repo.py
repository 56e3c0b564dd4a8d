"""A feature repository over small files: every type, several entities, a service, a push source."""

import datetime
import pathlib

import numpy
import pandas
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

HOUR = datetime.timedelta(hours=1)
DRIVERS = [1001, 1002, 1003, -7]
CUSTOMERS = ["alice", "bob", "h\u00e9l\u00e8ne"]

SCALARS = {
    "a_bool": (Bool, [True, False, None, True]),
    "an_int32": (Int32, [2**31 - 1, -(2**31), None, 0]),
    # Where there are nulls, pandas makes floats of integers; where there are none, they keep all their digits.
    "an_int64": (Int64, [2**53, -(2**53), None, 0]),
    "a_long_int64": (Int64, [2**63 - 1, -(2**63), 1, 0]),
    "a_float32": (Float32, [1.5, -0.25, None, 0.0]),
    "a_float64": (Float64, [0.1, float("inf"), None, -0.0]),
    "a_string": (String, ["", "h\u00e9llo \u4e16\u754c", None, "a" * 5000]),
    "some_bytes": (Bytes, [b"", b"\x00\xff\r\n", None, b"*3\r\n$3\r\n"]),
    "an_instant": (UnixTimestamp, None),
}
ARRAYS = {
    "bools": (Array(Bool), [[True, False], [], None, [False]]),
    "int32s": (Array(Int32), [[1, -2], [], None, [2**31 - 1]]),
    "int64s": (Array(Int64), [[1, -2], [], None, [2**63 - 1]]),
    "float32s": (Array(Float32), [[0.5, 1.5], [], None, [-1.0]]),
    "float64s": (Array(Float64), [[0.1, 0.2], [], None, [1e300]]),
    "strings": (Array(String), [["a", "", "\u4e16"], [], None, ["x" * 300]]),
    "bytes_list": (Array(Bytes), [[b"\x00", b""], [], None, [b"\xff" * 10]]),
}


def stats(now):
    """Three hours of each driver; the last is the latest."""
    rows = [
        {
            "driver_id": driver,
            "event_timestamp": now - hour * HOUR,
            "created": now - hour * HOUR + datetime.timedelta(minutes=1),
            "conv_rate": numpy.float32(0.5 + 0.001 * (driver % 100) + hour),
            "trips": 100 * hour + driver % 10,
            "city": f"c{driver % 7}" if hour % 2 else None,
        }
        for driver in DRIVERS
        for hour in (5, 3, 1)
    ]
    return pandas.DataFrame(rows)


def types(now):
    columns = {"driver_id": DRIVERS, "event_timestamp": [now - HOUR] * len(DRIVERS)}
    columns |= {name: pandas.Series(values, dtype=object) for name, (_, values) in (SCALARS | ARRAYS).items() if values}
    columns["an_instant"] = pandas.Series([now, now - 99_999 * HOUR, None, now], dtype="datetime64[us, UTC]")
    return pandas.DataFrame(columns)


def pairs(now):
    rows = [
        {"driver_id": driver, "customer": customer, "event_timestamp": now - HOUR, "score": driver * 0.5 + at}
        for driver in DRIVERS
        for at, customer in enumerate(CUSTOMERS)
    ]
    return pandas.DataFrame(rows)


def surge(now):
    return pandas.DataFrame({"event_timestamp": [now - 2 * HOUR, now - HOUR], "surge": [1.5, 1.25]})


def write_files(folder, now):
    """The files, as Parquet with the types that the definitions say."""
    import pyarrow
    import pyarrow.parquet

    for name, frame in {"stats": stats(now), "pairs": pairs(now), "surge": surge(now)}.items():
        frame.to_parquet(folder / f"{name}.parquet")
    arrow = {
        "a_bool": pyarrow.bool_(), "an_int32": pyarrow.int32(), "an_int64": pyarrow.int64(), "a_long_int64": pyarrow.int64(),
        "a_float32": pyarrow.float32(),
        "a_float64": pyarrow.float64(), "a_string": pyarrow.string(), "some_bytes": pyarrow.binary(),
        "bools": pyarrow.list_(pyarrow.bool_()), "int32s": pyarrow.list_(pyarrow.int32()),
        "int64s": pyarrow.list_(pyarrow.int64()), "float32s": pyarrow.list_(pyarrow.float32()),
        "float64s": pyarrow.list_(pyarrow.float64()), "strings": pyarrow.list_(pyarrow.string()),
        "bytes_list": pyarrow.list_(pyarrow.binary()),
    }
    frame = types(now)
    columns = {name: pyarrow.array(list(frame[name]), type=of) for name, of in arrow.items()}
    instants = [None if value is pandas.NaT else value.to_pydatetime() for value in frame["an_instant"]]
    columns |= {
        "driver_id": pyarrow.array(DRIVERS, pyarrow.int64()),
        "event_timestamp": pyarrow.array([now - HOUR] * len(DRIVERS), pyarrow.timestamp("us", tz="UTC")),
        "an_instant": pyarrow.array(instants, pyarrow.timestamp("us", tz="UTC")),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "types.parquet")


def definitions(folder: pathlib.Path):
    """All objects of the repository, by name."""
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)

    def source(name, **more):
        return FileSource(name=name, path=str(folder / f"{name}.parquet"), timestamp_field="event_timestamp", **more)

    stats_source = source("stats", created_timestamp_column="created")
    fields = [Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64), Field(name="city", dtype=String)]
    driver_stats = FeatureView(name="driver_stats", entities=[driver], ttl=24 * HOUR, schema=fields, source=stats_source)
    driver_fresh = FeatureView(
        name="driver_fresh", entities=[driver], ttl=24 * HOUR, schema=fields,
        source=PushSource(name="driver_push", batch_source=stats_source),
    )
    expired = FeatureView(
        name="driver_expired", entities=[driver], ttl=datetime.timedelta(minutes=1), schema=fields, source=stats_source
    )
    every_type = FeatureView(
        name="every_type", entities=[driver], ttl=datetime.timedelta(0), source=source("types"),
        schema=[Field(name=name, dtype=dtype) for name, (dtype, _) in (SCALARS | ARRAYS).items()],
    )
    pair_stats = FeatureView(
        name="pair_stats", entities=[driver, customer], ttl=24 * HOUR, schema=[Field(name="score", dtype=Float64)],
        source=source("pairs"),
    )
    glob_stats = FeatureView(
        name="glob_stats", entities=[], ttl=24 * HOUR, schema=[Field(name="surge", dtype=Float64)], source=source("surge")
    )
    service = FeatureService(name="dispatch", features=[driver_stats[["conv_rate", "city"]], pair_stats, glob_stats])
    objects = [driver, customer, driver_stats, driver_fresh, expired, every_type, pair_stats, glob_stats, service]
    return {thing.name: thing for thing in objects}
