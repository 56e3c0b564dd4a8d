"""redis-py's commands one by one, over both protocols, with texts and with bytes: answers and errors as redis-py gives them."""

import pytest
import redis
import redis.backoff
import redis.retry


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request):
    return request.param


@pytest.fixture
def client(address, protocol, raw):
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port), protocol=protocol, decode_responses=True, client_name="tester") as client:
        yield client


@pytest.fixture
def bytes_client(address, protocol, raw):
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port), protocol=protocol) as client:
        yield client


def caught(call, *arguments, **options):
    """What a call gives, or the error it raises."""
    try:
        return call(*arguments, **options)
    except redis.RedisError as error:
        return error


def test_strings(client, answers):
    answers(
        client.set("a", 1), client.get("a"), client.set("a", 2, nx=True), client.set("a", 3, xx=True, get=True), client.get("none"),
        client.set("b", "v", ex=100), client.ttl("b"), client.set("b", "w", keepttl=True), client.ttl("b"), client.setex("c", 50, "v"),
        client.psetex("d", 50_000, "v"), client.setnx("e", 1), client.setnx("e", 2), client.getset("e", "new"), client.getdel("e"),
        client.getex("b", persist=True), client.ttl("b"), client.mset({"m": 1, "n": 2}), client.mget("m", "none", "n"),
        client.msetnx({"m": 1, "o": 2}), client.append("a", "xyz"), client.strlen("a"), client.incr("n"), client.incrby("n", 5),
        client.decr("n"), client.decrby("n", 2), client.incrbyfloat("n", 0.1), client.getrange("a", 0, 1), client.setrange("a", 5, "!"),
        client.get("a"),
    )
    assert client.get("n") == "5.1"


def test_hashes(client, answers):
    answers(
        client.hset("h", mapping={"f": 1, "g": "two", "h": 3.5}), client.hset("h", "f", 2), client.hset("h", "i", "x", mapping={"j": ""}),
        client.hget("h", "f"), client.hget("h", "none"), client.hmget("h", ["f", "none", "j"]), client.hgetall("h"), client.hgetall("none"),
        client.hexists("h", "f"), client.hexists("h", "none"), client.hlen("h"), sorted(client.hkeys("h")), sorted(client.hvals("h")),
        client.hstrlen("h", "g"), client.hincrby("h", "f", 5), client.hincrbyfloat("h", "h", 0.1), client.hsetnx("h", "f", 1),
        client.hsetnx("h", "k", 1), client.hdel("h", "f", "none"), len(client.hrandfield("h", 2)), client.hrandfield("none"),
        dict(client.hscan_iter("h")), dict(client.hscan_iter("h", match="[g-h]")), client.hscan("h", count=100)[0],
    )


def test_keys(client, answers):
    client.mset({f"key:{number}": number for number in range(100)})
    client.hset("hash", "f", "v")
    answers(
        client.exists("key:1", "key:1", "none"), client.type("hash"), client.type("none"), client.expire("key:1", 100), client.ttl("key:1"),
        client.expire("key:1", 50, gt=True), client.expire("key:1", 50, nx=True), client.pexpire("key:2", 100_000), client.persist("key:2"),
        client.expireat("key:3", 4_000_000_000), client.expiretime("key:3"), client.pexpireat("key:3", 4_000_000_000_123),
        client.pexpiretime("key:3"), client.ttl("none"), client.pttl("key:4"), client.rename("key:1", "renamed"), client.ttl("renamed") > 40,
        client.renamenx("key:2", "key:3"), client.copy("hash", "copied"), client.hgetall("copied"), client.copy("hash", "copied"),
        client.copy("hash", "copied", replace=True), client.touch("hash", "none"), client.unlink("copied", "none"), client.delete("renamed"),
        client.dbsize(), sorted(client.scan_iter("key:1*")), sorted(client.scan_iter(_type="hash")), sorted(client.scan_iter(count=7)),
        sorted(client.keys("key:?")), client.object("encoding", "hash"), client.object("encoding", "key:5"), client.memory_usage("hash") > 0,
        client.randomkey() in client.keys(), client.flushdb(), client.dbsize(), client.randomkey(),
    )


def test_errors(client, answers):
    client.set("text", "abc")
    client.hset("hash", "f", "v")
    errors = [
        caught(client.incr, "text"), caught(client.hget, "text", "f"), caught(client.get, "hash"), caught(client.hincrby, "hash", "f"),
        caught(client.hincrbyfloat, "hash", "f", 1), caught(client.rename, "none", "other"), caught(client.set, "k", "v", ex=0),
        caught(client.expire, "text", 1, nx=True, xx=True), caught(client.execute_command, "NOSUCH", "a", "b"),
        caught(client.execute_command, "GET"), caught(client.execute_command, "CLIENT", "NOSUCH"), caught(client.select, 99),
        caught(client.execute_command, "SCAN", "x"), caught(client.config_set, "nosuch", 1), caught(client.setrange, "text", -1, "x"),
        caught(client.object, "nosuch", "text"),
    ]
    assert all(isinstance(error, redis.ResponseError) for error in errors)
    answers(*errors)


def test_binary_keys_and_values(bytes_client, answers):
    every_byte = bytes(range(256))
    answers(
        bytes_client.set(every_byte, every_byte), bytes_client.get(every_byte), bytes_client.hset(b"\r\n", mapping={every_byte: b"", b"": every_byte}),
        bytes_client.hgetall(b"\r\n"), bytes_client.set(b"", b""), bytes_client.get(b""), sorted(bytes_client.scan_iter()),
        bytes_client.set("big", b"x" * 3_000_000), bytes_client.get("big") == b"x" * 3_000_000, bytes_client.keys(b"*\xff"),
        sorted(bytes_client.scan_iter(b"\x00*")),
    )


def test_the_connection(address, client, answers):
    host, port = address.split(":")
    answers(
        client.ping(), client.echo("x"), client.client_getname(), client.client_setname("other"), client.client_getname(),
        type(client.client_id()), client.config_get("hash-max-listpack-entries"), client.config_set("hz", 10), client.config_resetstat(),
        client.acl_whoami(), client.wait(0, 10), client.save(), type(client.lastsave()), type(client.time()),
        client.client_no_evict("on"), client.client_pause(1), client.client_unpause(), client.client_kill_filter(_id=9_999_999),
        client.command_getkeys("MSET", "a", 1, "b", 2), sorted(client.command()["get"]), type(client.command_count()),
    )
    info = client.info()
    wanted = {"redis_version", "role", "connected_clients", "used_memory", "maxmemory", "cluster_enabled", "loading", "uptime_in_seconds"}
    assert wanted <= info.keys()
    answers(info["cluster_enabled"], info["role"], client.info("server").keys() >= {"redis_version", "process_id", "tcp_port"})
    mine = client.client_info()
    answers(mine["name"], mine["db"], mine.get("resp"), mine["cmd"], {"id", "addr", "laddr", "fd", "age", "idle", "flags"} <= mine.keys())
    with redis.Redis(host=host, port=int(port), db=5, decode_responses=True) as other:
        answers(other.set("z", 1), other.dbsize(), client.dbsize(), client.move("none", 5), other.flushall(), other.dbsize())


def test_commands_and_their_documentation(client, answers):
    # redis-py has no parser for COMMAND DOCS, and takes that of COMMAND for it.
    connection = client.connection_pool.get_connection()
    connection.send_command("COMMAND", "DOCS", "get", "hset")
    documented = connection.read_response()
    client.connection_pool.release(connection)
    names = documented if isinstance(documented, dict) else dict(zip(documented[::2], documented[1::2]))
    assert set(names) == {"get", "hset"}
    listed = client.command_list()
    # Subcommands are listed, and not counted.
    assert client.command_count() == sum("|" not in name for name in listed)
    assert {"get", "client", "client|list"} <= set(listed)
    answers(sorted(name for name in client.command_list(category="connection") if name.startswith("client|g")))
    answers(client.command_list(pattern="HSETN*"), client.command_list(pattern="nosuch*"))


def test_passwords_that_nobody_asked_for(address, protocol, raw, answers):
    host, port = address.split(":")
    said = []
    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    for username, password in [(None, "x"), ("default", "any"), ("nobody", "x"), (None, None)]:
        with redis.Redis(host=host, port=int(port), username=username, password=password, protocol=protocol, retry=once) as client:
            said.append(caught(client.ping))
    answers(*said)


def test_a_monitor_sees_commands(client, address, answers):
    with client.monitor() as monitor:
        client.set("seen", "1\r\n")
        client.execute_command("SELECT", 3)
        # What redis-py says of itself on a new connection is refused by Redis 7.0, and then not seen.
        seen = iter(monitor.next_command, None)
        own = (command for command in seen if not command["command"].startswith(("CLIENT ", "HELLO ")))
        commands = [next(own) for _ in range(2)]
    client.select(0)
    answers(*[(command["command"], command["db"], command["client_type"]) for command in commands])
