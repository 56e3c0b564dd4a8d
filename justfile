# What is done often, one recipe each; `.ci/run` does everything that a change must pass. `just --list` shows them.

# Format, lints, tests, docs.
default: format lint test doc

format:
    cargo fmt --all --check

lint:
    cargo clippy --all-targets -- --deny warnings

test:
    cargo test

doc:
    RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps

# The quickstart, into ./demo.
demo:
    cargo run --release -- demo

# The seqlock under every interleaving.
loom:
    cargo test --release --target-dir target/loom -p asof-loom

# A long crash campaign: so many images, from that life on.
crash images="2000000" seed="1000000":
    ASOF_CRASH_IMAGES={{images}} ASOF_CRASH_SEED={{seed}} cargo test --test crash campaign -- --nocapture

# So many random lives beside the oracle.
model cases="50000":
    ASOF_MODEL_CASES={{cases}} cargo test --test model

# So many random commands to asof and to a real Redis beside it.
redis commands="1000000" seed="1":
    ASOF_REDIS_COMMANDS={{commands}} ASOF_REDIS_SEED={{seed}} cargo test -p asof-clients --test differential -- --nocapture

# redis-py of a major version against asof and against a real Redis; 5, 6 and 7 are known to be answered alike.
redis-py version="7":
    python3 -m venv target/venv-redis-py-{{version}}
    target/venv-redis-py-{{version}}/bin/pip install --quiet 'redis=={{version}}.*' 'hiredis==3.*' 'pytest==9.*'
    target/venv-redis-py-{{version}}/bin/python tests/beside_redis/run.py tests/redis_py target/debug/asof

# Licences and banned crates, of every platform.
deny:
    cargo fetch --quiet --locked
    cargo deny --offline check licenses bans

# One fuzz target for a number of seconds: `just fuzz log 600`.
fuzz target seconds="60":
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} -- -max_total_time={{seconds}}

# asof beside other stores: `just peers get 10000000`; benches/README.md has the figures.
peers *what:
    cargo run --release -p asof-peers -- {{what}}
