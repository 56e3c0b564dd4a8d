"""The asynchronous client."""

import asyncio

import pytest
import redis
import redis.asyncio


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_asynchronous_client(protocol, address, raw, answers):
    host, port = address.split(":")

    async def run():
        said = []
        client = redis.asyncio.Redis(host=host, port=int(port), protocol=protocol, decode_responses=True, client_name="async")
        said += [await client.set("k", "v"), await client.get("k"), await client.client_getname(), await client.hset("h", mapping={"f": 1})]
        for transaction in (False, True):
            async with client.pipeline(transaction=transaction) as pipe:
                said.append(await pipe.set("q", 1).incr("q").hget("h", "f").get("none").execute())
        await asyncio.gather(*[client.incr("parallel") for _ in range(100)])
        said += [await client.get("parallel"), sorted([key async for key in client.scan_iter("*")])]

        async def bump(pipe):
            number = int(await pipe.get("n") or 0)
            pipe.multi()
            pipe.set("n", number + 1)

        await asyncio.gather(*[client.transaction(bump, "n") for _ in range(20)])
        said.append(await client.get("n"))
        pubsub = client.pubsub()
        await pubsub.subscribe("c")
        said.append(await pubsub.get_message(timeout=5))
        await client.publish("c", "hi")
        said.append(await pubsub.get_message(timeout=5))
        await pubsub.unsubscribe("c")
        said.append(await pubsub.get_message(timeout=5))
        await pubsub.aclose()
        try:
            await client.incr("k")
        except redis.ResponseError as error:
            said.append(error)
        await client.aclose()
        return said

    answers(*asyncio.run(run()))
