"""Opens what `asof demo DIR` left with pyarrow alone: usage: open_demo.py DIR"""

import pathlib
import sys

import pyarrow.ipc
import pyarrow.parquet

demo = pathlib.Path(sys.argv[1])
runs = sorted(demo.glob("store/history/*/*.arrow"))
assert runs, f"no run below {demo}/store/history"
for path in runs:
    with pyarrow.memory_map(str(path)) as mapped:
        reader = pyarrow.ipc.open_file(mapped)
        table = reader.read_all()
        table.validate(full=True)
        metadata = {key.decode(): value.decode() for key, value in reader.schema.metadata.items()}
        assert metadata["asof.kind"] == "run", metadata
        assert "_event_timestamp" in table.column_names, table.column_names
        print(f"{path.relative_to(demo)}: {table.num_rows} rows, {metadata}")

training = pyarrow.parquet.read_table(demo / "training.parquet")
training.validate(full=True)
assert training.num_rows == 336_776, training.num_rows
temperatures = training.column("weather__temp")
assert temperatures.null_count < training.num_rows / 10, "most departures have weather"
print(f"1 passed, 0 failed")
