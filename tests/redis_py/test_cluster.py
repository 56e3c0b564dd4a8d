"""asof as a cluster of one node, for clients that know clusters alone. Debian's Redis is none unless it is told, so nothing is compared."""

import pytest
import redis
import redis.cluster


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_cluster_of_one_node(protocol, address, raw):
    host, port = address.split(":")
    try:
        raw.execute_command("CLUSTER", "SLOTS")
    except redis.ResponseError as error:
        assert "cluster support disabled" in str(error)
        return
    with redis.cluster.RedisCluster(host=host, port=int(port), protocol=protocol, decode_responses=True) as cluster:
        assert cluster.cluster_info(target_nodes="random")["cluster_state"] == "ok"
        assert [node.name for node in cluster.get_nodes()] == [address]
        assert cluster.set("a", 1) and cluster.get("a") == "1"
        assert cluster.mset_nonatomic({"x": 1, "y": 2, "z": 3}) and cluster.mget_nonatomic("x", "y", "none") == ["1", "2", None]
        assert cluster.hset("h", mapping={"f": 1}) == 1 and cluster.hgetall("h") == {"f": "1"}
        with cluster.pipeline() as pipe:
            assert pipe.set("p", 1).incr("p").hget("h", "f").get("none").execute() == [True, 2, "1", None]
        assert sorted(cluster.scan_iter("?")) == ["a", "h", "p", "x", "y", "z"]
        assert cluster.cluster_keyslot("foo") == cluster.keyslot("foo") == 12182
        assert cluster.delete("a", "h") == 2 and cluster.dbsize() == 4
