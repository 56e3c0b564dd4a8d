#!/usr/bin/env python3
"""DuckDB's side of benches/import.rs. usage: import_duckdb.py PARQUET DATABASE
A durable table of the file's rows in (entity, ts) order; prints seconds, CPU-seconds and rows."""
import sys, time, duckdb

source, target = sys.argv[1:3]
connection = duckdb.connect(target)
connection.execute("SET threads = 2")
wall, cpu = time.perf_counter(), time.process_time()
connection.execute(f"CREATE TABLE bench AS SELECT * FROM '{source}' ORDER BY entity, ts")
connection.execute("CHECKPOINT")
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(wall, cpu, connection.execute("SELECT count(*) FROM bench").fetchone()[0])
