"""Keys, fields and values of Feast's layout go in and come out byte for byte, whatever bytes they are."""

import json
import pathlib

import pytest

VECTORS = json.loads((pathlib.Path(__file__).parent / "golden_vectors.json").read_text())


def hexes(kind):
    return [bytes.fromhex(vector["hex"]) for vector in VECTORS[kind]]


KEYS, FIELDS = hexes("redis_key"), hexes("mmh3_field")
# A null is an empty value.
VALUES = hexes("value") + hexes("timestamp")


def test_every_value_under_every_field_of_every_key(raw, answers):
    for key in KEYS:
        expected = {}
        with raw.pipeline(transaction=False) as pipe:
            for number, value in enumerate(VALUES):
                field = FIELDS[number % len(FIELDS)] + bytes([number])
                expected[field] = value
                pipe.hset(key, field, value)
            pipe.expire(key, 1_000)
            added = pipe.execute()
        assert raw.hmget(key, list(expected)) == list(expected.values())
        assert raw.hgetall(key) == expected
        # A field that is not there is told from one with an empty value.
        assert raw.hmget(key, [b"no such field", *expected][:2]) == [None, VALUES[0]]
        answers(added, sorted(raw.hkeys(key)), raw.type(key))
    assert sorted(raw.keys()) == sorted(KEYS)


@pytest.mark.parametrize("prefix", hexes("prefix"), ids=lambda prefix: prefix[-8:].hex())
def test_patterns_of_raw_bytes_find_the_keys_of_a_project(prefix, raw, answers):
    for key in KEYS:
        raw.hset(key, mapping={b"_ts:v": b"", FIELDS[0]: VALUES[0]})
    for project in (b"fsx", b"p", b"x"):
        found = sorted(raw.scan_iter(prefix + b"*" + project))
        # Bytes of a prefix that mean something in a pattern are not escaped by Feast, and there are none in these.
        assert found == [key for key in sorted(KEYS) if key.startswith(prefix) and key.endswith(project)]
        answers(found)
