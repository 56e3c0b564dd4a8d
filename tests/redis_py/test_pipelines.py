"""Pipelines with and without MULTI, WATCH, transactions that try again, and many connections at a time."""

import concurrent.futures

import pytest
import redis


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request, address, raw):
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port), protocol=request.param, decode_responses=True) as client:
        yield client


@pytest.mark.parametrize("transaction", [False, True])
def test_pipelines(client, transaction, answers):
    with client.pipeline(transaction=transaction) as pipe:
        pipe.set("x", 1).get("x").hset("h", mapping={"f": 1, "g": 2}).hgetall("h").hget("h", "f").hget("h", "none").hmget("h", "f", "none")
        pipe.expire("h", 100).ttl("h").setex("y", 10, "v").ttl("y").delete("x", "none").exists("x").incrbyfloat("z", 1.5).hincrby("h", "f", 5)
        answers(pipe.execute())
        answers(pipe.execute())
        for number in range(3_000):
            pipe.hset(f"entity:{number}", mapping={"a": number, "b": "x"})
        answers(sum(pipe.execute()))
        for number in range(3_000):
            pipe.hget(f"entity:{number}", "a")
        assert pipe.execute() == [str(number) for number in range(3_000)]


@pytest.mark.parametrize("transaction", [False, True])
def test_errors_in_pipelines(client, transaction, answers):
    with client.pipeline(transaction=transaction) as pipe:
        answers(pipe.set("x", "abc").incr("x").get("x").hget("x", "f").execute(raise_on_error=False))
        with pytest.raises(redis.ResponseError) as raised:
            pipe.set("x", "abc").incr("x").get("x").execute()
        answers(raised.value)
        pipe.set("x", "left").execute_command("NOSUCH").get("x")
        with pytest.raises(redis.RedisError) as raised:
            pipe.execute()
        # Of a transaction nothing was done, of a pipeline everything else.
        answers(raised.value, client.get("x"))
        assert client.get("x") == ("abc" if transaction else "left")
        pipe.set("x", 1).execute_command("GET")
        with pytest.raises(redis.RedisError) as raised:
            pipe.execute()
        answers(raised.value)


def test_watched_keys(client, answers):
    client.set("w", 1)
    with client.pipeline() as pipe:
        pipe.watch("w")
        client.set("w", 2)
        pipe.multi()
        pipe.get("w")
        with pytest.raises(redis.WatchError):
            pipe.execute()
        pipe.watch("w", "none")
        value = pipe.get("w")
        pipe.multi()
        pipe.set("w", int(value) + 1).get("w")
        answers(pipe.execute())
        pipe.watch("w")
        client.set("w", 5)
        pipe.unwatch()
        answers(pipe.get("w").execute())
        for touch in (lambda: client.delete("h"), lambda: client.hset("h", "f", 1), lambda: client.expire("h", 100), lambda: client.flushdb()):
            pipe.watch("h")
            touch()
            pipe.multi()
            pipe.ping()
            try:
                answers(pipe.execute())
            except redis.WatchError:
                answers("watch error")


def test_transactions_that_try_again_lose_nothing(client):
    def bump(pipe):
        number = int(pipe.get("n") or 0)
        pipe.multi()
        pipe.set("n", number + 1)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.transaction(bump, "n"), range(80)))
    assert client.get("n") == "80"
    assert client.transaction(lambda pipe: (pipe.multi(), pipe.incr("n")), "n", value_from_callable=False) == [81]


def test_a_pool_of_connections(address, raw):
    host, port = address.split(":")
    pool = redis.BlockingConnectionPool(host=host, port=int(port), max_connections=8, timeout=20, health_check_interval=1)
    client = redis.Redis(connection_pool=pool)
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: [client.incr("n"), client.hset("h", number, number)], range(800)))
    assert client.get("n") == b"800" and client.hlen("h") == 800
    pool.disconnect()
    assert client.ping()
    pool.disconnect()
