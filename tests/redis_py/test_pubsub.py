"""Channels, patterns and keyspace notifications, over both protocols."""

import time

import pytest
import redis


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request, address, raw):
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port), protocol=request.param, decode_responses=True) as client:
        yield client


def next_of(pubsub):
    return pubsub.get_message(timeout=5)


def test_channels_and_patterns(client, answers):
    with client.pubsub() as pubsub:
        pubsub.subscribe("c1", "c2")
        pubsub.psubscribe("c*")
        answers(*[next_of(pubsub) for _ in range(3)])
        answers(sorted(client.pubsub_channels()), client.pubsub_numsub("c1", "c2", "c3"), client.pubsub_numpat())
        answers(client.publish("c1", "m"), next_of(pubsub), next_of(pubsub), client.publish("none", "m"), client.publish("c9", ""), next_of(pubsub))
        pubsub.ping()
        answers(next_of(pubsub))
        pubsub.unsubscribe("c2", "c1")
        answers(*[next_of(pubsub) for _ in range(2)])
        pubsub.punsubscribe("c*")
        answers(next_of(pubsub), client.pubsub_numpat(), client.publish("c1", "m"))


def test_handlers_in_a_thread(client):
    got = []
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(t=lambda message: got.append(message["data"]))
    thread = pubsub.run_in_thread(sleep_time=0.01)
    until = time.monotonic() + 10
    while not client.pubsub_numsub("t")[0][1] and time.monotonic() < until:
        time.sleep(0.01)
    for number in range(50):
        client.publish("t", number)
    while len(got) < 50 and time.monotonic() < until:
        time.sleep(0.01)
    thread.stop()
    thread.join()
    pubsub.close()
    assert got == [str(number) for number in range(50)]


def test_keyspace_notifications(client, answers):
    client.config_set("notify-keyspace-events", "KEA")
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("__key*@0__:*")
        assert pubsub.get_message(timeout=5) is None
        client.set("k", 1)
        client.hset("h", mapping={"f": 1, "g": 2})
        client.hdel("h", "f", "g")
        client.rename("k", "l")
        client.expire("l", 100)
        client.incr("l")
        client.delete("l")
        client.psetex("soon", 20, "v")
        time.sleep(0.05)
        client.get("soon")
        seen = []
        while (message := pubsub.get_message(timeout=1)) is not None:
            seen.append((message["channel"], message["data"]))
        answers(seen)
        assert ("__keyevent@0__:expired", "soon") in seen
    client.config_set("notify-keyspace-events", "")
