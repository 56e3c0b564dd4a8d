"""Arrow IPC streams of pyarrow and polars go in and come out as what they are."""

import datetime
import decimal
import io

import polars
import pyarrow
import pyarrow.ipc
import requests

ARROW = "application/vnd.apache.arrow.stream"
UTC = datetime.timezone.utc
AT = datetime.datetime(2024, 3, 1, 12, tzinfo=UTC)
LEGS = {
    "origin": (pyarrow.string(), ["JFK", "LGA", "EWR"]),
    "number": (pyarrow.int64(), [1, 2, 2**53 + 1]),
    "event_timestamp": (pyarrow.timestamp("us", tz="UTC"), [AT, AT + datetime.timedelta(microseconds=1), AT]),
    "full": (pyarrow.bool_(), [True, None, False]),
    "seats": (pyarrow.int32(), [2**31 - 1, None, -1]),
    "distance": (pyarrow.int64(), [2**63 - 1, -(2**63), None]),
    "share": (pyarrow.float32(), [0.25, float("inf"), None]),
    "delay": (pyarrow.float64(), [0.1, -0.0, None]),
    "carrier": (pyarrow.string(), ["", "h\u00e9llo \u4e16\u754c", None]),
    "raw": (pyarrow.binary(), [b"", b"\x00\xff", None]),
    "left": (pyarrow.timestamp("us", tz="UTC"), [AT, None, AT]),
    "day": (pyarrow.date32(), [AT.date(), None, datetime.date(1969, 12, 31)]),
    "fare": (pyarrow.decimal128(12, 2), [decimal.Decimal("1234567890.12"), None, decimal.Decimal("-0.01")]),
    "stops": (pyarrow.list_(pyarrow.string()), [["a", ""], [], None]),
    "shape": (pyarrow.list_(pyarrow.float32(), 3), [[1.0, 2.0, 3.0], None, [0.0, 0.5, -1.0]]),
}
FEATURES = [name for name in LEGS if name not in ("origin", "number", "event_timestamp")]


def legs():
    return pyarrow.table({name: pyarrow.array(values, dtype) for name, (dtype, values) in LEGS.items()})


def stream(table):
    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def ask(url, body, accept=ARROW, **query):
    answer = requests.post(url, params=query, data=body, headers={"Content-Type": ARROW, "Accept": accept}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def write(address, view, table):
    assert ask(f"{address}/v1/write/{view}", stream(table), "application/json").json()["rows"] == len(table)


def test_every_type_of_pyarrow_comes_back_as_it_was_written(address):
    write(address, "leg", legs())
    keys = legs().select(["origin", "number"])
    references = ",".join(f"leg:{name}" for name in FEATURES)
    answer = ask(f"{address}/v1/get", stream(keys), features=references)
    got = pyarrow.ipc.open_stream(answer.content).read_all()
    assert int(got.schema.metadata[b"seq"]) > 0
    for name in FEATURES:
        wanted = legs().column(name).to_pylist()
        assert got.column(name).to_pylist() == wanted, name
        # Elements of vectors are never null.
        assert str(got.schema.field(name).type).replace(" not null", "") == str(LEGS[name][0]), name
        statuses = got.column(f"{name}__status").to_pylist()
        assert statuses == ["NULL_VALUE" if value is None else "PRESENT" for value in wanted], name
        assert got.column(f"{name}__event_timestamp").to_pylist() == LEGS["event_timestamp"][1]
    # As of then: the same.
    then = ask(f"{address}/v1/get", stream(keys), features=references, at="2024-03-01T13:00:00Z")
    assert pyarrow.ipc.open_stream(then.content).read_all().equals(got)


def test_a_training_set_comes_back_with_the_spine(address):
    write(address, "leg", legs())
    spine = legs().select(["origin", "number", "event_timestamp"]).append_column("label", pyarrow.array([1, 2, 3]))
    answer = ask(f"{address}/v1/history", stream(spine), features=",".join(f"leg:{name}" for name in FEATURES))
    got = pyarrow.ipc.open_stream(answer.content).read_all()
    assert got.column_names == [*spine.column_names, *FEATURES]
    for name in got.column_names:
        wanted = (spine if name in spine.column_names else legs()).column(name)
        assert got.column(name).to_pylist() == wanted.to_pylist(), name


def test_a_frame_of_polars_goes_in_and_comes_out(address):
    frame = polars.DataFrame(
        {
            "origin": ["SFO", "OAK"],
            "event_timestamp": [AT, AT],
            "temp": [12.5, None],
            "note": [None, "fog \u4e16"],
        },
        schema_overrides={"event_timestamp": polars.Datetime("us", "UTC"), "note": polars.String},
    )

    def as_stream(frame):
        out = io.BytesIO()
        # As it likes best, with views of strings, and as others read it.
        frame.write_ipc_stream(out)
        return out.getvalue()

    written = ask(f"{address}/v1/write/weather", as_stream(frame), "application/json").json()
    assert written["rows"] == 2, written
    answer = ask(f"{address}/v1/get", as_stream(frame.select("origin")), features="weather:temp,note")
    got = polars.read_ipc_stream(io.BytesIO(answer.content))
    assert got.select("temp", "note").equals(frame.select("temp", "note"))
    spine = frame.select("origin", "event_timestamp")
    answer = ask(f"{address}/v1/history", as_stream(spine), features="weather:temp,note")
    assert polars.read_ipc_stream(io.BytesIO(answer.content)).equals(frame)
