"""Opens what `asof demo` left with pyarrow alone, and reckons its training set anew, the slow way.

Usage: open_demo.py DIR
"""

import bisect
import datetime
import pathlib
import sys

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

demo = pathlib.Path(sys.argv[1])


def the_runs_are_arrow_files_that_say_what_they_are():
    runs = sorted(demo.glob("store/history/*/*.arrow"))
    assert runs, f"no run below {demo}/store/history"
    for path in runs:
        with pyarrow.memory_map(str(path)) as mapped:
            table = pyarrow.ipc.open_file(mapped).read_all()
            table.validate(full=True)
            metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
            assert metadata["asof.kind"] == "run", metadata
            assert "_event_timestamp" in table.column_names, table.column_names
            print(f"  {path.relative_to(demo)}: {table.num_rows} rows of {metadata['asof.view']}")


def column(table, name):
    values = table.column(name)
    # Instants as integers; Python's own are slow.
    return values.cast(pyarrow.int64() if pyarrow.types.is_timestamp(values.type) else values.type).to_pylist()


class View:
    """Rows of one key column, to be asked for the last one at or before a time."""

    def __init__(self, file, key, features, ttl=None):
        table = pyarrow.parquet.read_table(demo / "data" / file)
        self.features = features
        self.ttl_us = None if ttl is None else ttl // datetime.timedelta(microseconds=1)
        self.rows = {}
        columns = [column(table, name) for name in [key, "event_timestamp", *features]]
        for key_value, time, *values in sorted(zip(*columns), key=lambda row: row[1]):
            times, rows = self.rows.setdefault(key_value, ([], []))
            times.append(time)
            rows.append(values)

    def as_of(self, key, time):
        times, rows = self.rows.get(key, ([], []))
        found = bisect.bisect_right(times, time) - 1
        if found < 0 or (self.ttl_us is not None and times[found] < time - self.ttl_us):
            return [None] * len(self.features)
        return rows[found]


def the_training_set_is_what_a_naive_join_gives():
    training = pyarrow.parquet.read_table(demo / "training.parquet")
    training.validate(full=True)
    assert training.num_rows == 336_776, training.num_rows
    assert b"asof.known_at_seq" in training.schema.metadata, training.schema.metadata
    weather = View("weather.parquet", "origin", ["temp", "wind_speed", "visib"], ttl=datetime.timedelta(hours=3))
    plane = View("planes.parquet", "tailnum", ["manufactured", "seats"])
    due = column(training, "scheduled_departure")
    for label, view, key in [("weather", weather, "origin"), ("plane", plane, "tailnum")]:
        got = list(zip(*(column(training, f"{label}__{feature}") for feature in view.features)))
        keys = column(training, key)
        for row, (key_value, time) in enumerate(zip(keys, due)):
            expected = tuple(view.as_of(key_value, time))
            assert got[row] == expected, f"row {row}, {label} of {key_value}: {got[row]}, expected {expected}"
        present = sum(values[0] is not None for values in got)
        print(f"  {label}: {training.num_rows} rows agree, {present} of them with a value")


for test in [the_runs_are_arrow_files_that_say_what_they_are, the_training_set_is_what_a_naive_join_gives]:
    print(test.__name__.replace("_", " "))
    test()
