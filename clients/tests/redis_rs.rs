//! The Rust client `redis`: one script each for what it is used for, against asof and against a real Redis.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

use std::net::SocketAddr;

use asof_clients::Server;
use redis::{AsyncCommands as _, Client, Commands as _, Connection, ErrorKind, Value};

/// Plays a script to both servers over both protocols, and compares what it says.
fn alike(script: impl Fn(&Client, &mut Vec<String>)) {
    let (asof, redis) = (Server::asof(), Server::redis());
    for protocol in ["resp2", "resp3"] {
        let [ours, theirs] = [&asof, &redis].map(|server| {
            let mut said = Vec::new();
            script(&client(server.address(), protocol), &mut said);
            said
        });
        assert!(!ours.is_empty());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{protocol}");
        }
        assert_eq!(ours.len(), theirs.len(), "{protocol}");
    }
}

fn client(address: SocketAddr, protocol: &str) -> Client {
    Client::open(format!("redis://{address}/?protocol={protocol}")).unwrap()
}

fn fresh(client: &Client) -> Connection {
    let mut connection = client.get_connection().unwrap();
    let _: () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
    connection
}

#[test]
fn commands() {
    alike(|client, said| {
        let mut connection = fresh(client);
        let connection = &mut connection;
        let _: () = connection.set("text", "value").unwrap();
        let text: Option<String> = connection.get("text").unwrap();
        let none: Option<String> = connection.get("none").unwrap();
        let number: i64 = connection.incr("n", 41).unwrap();
        let float: f64 = connection.incr("n", 0.5).unwrap();
        let _: () = connection.set_ex("soon", 1, 100).unwrap();
        let ttl: i64 = connection.ttl("soon").unwrap();
        said.push(format!("{text:?} {none:?} {number} {float} {ttl}"));
        let _: () = connection.hset_multiple("h", &[("a", "1"), ("b", "2")]).unwrap();
        let all: std::collections::BTreeMap<String, i64> = connection.hgetall("h").unwrap();
        let some: Vec<Option<i64>> = connection.hmget("h", &["a", "none"]).unwrap();
        let is_there: bool = connection.hexists("h", "a").unwrap();
        let left: usize = connection.hdel("h", "a").unwrap();
        said.push(format!("{all:?} {some:?} {is_there} {left}"));
        let binary: Vec<u8> = (0..=255).collect();
        let _: () = connection.set(&binary, &binary).unwrap();
        let back: Vec<u8> = connection.get(&binary).unwrap();
        said.push(format!("{}", back == binary));
        let _: () = connection.mset(&[("k:1", 1), ("k:2", 2), ("k:3", 3)]).unwrap();
        let mut found: Vec<String> = connection.scan_match("k:*").unwrap().map(Result::unwrap).collect();
        found.sort();
        let fields: Vec<(String, String)> = connection.hscan("h").unwrap().map(Result::unwrap).collect();
        said.push(format!("{found:?} {fields:?}"));
    });
}

#[test]
fn errors() {
    alike(|client, said| {
        let mut connection = fresh(client);
        let _: () = connection.set("text", "abc").unwrap();
        let tell = |error: redis::RedisError| format!("{:?} {:?} {error}", error.kind(), error.code());
        said.push(tell(connection.incr::<_, _, i64>("text", 1).unwrap_err()));
        said.push(tell(connection.hget::<_, _, i64>("text", "f").unwrap_err()));
        said.push(tell(redis::cmd("NOSUCH").arg(1).query::<Value>(&mut connection).unwrap_err()));
        said.push(tell(redis::cmd("GET").query::<Value>(&mut connection).unwrap_err()));
        said.push(tell(redis::cmd("SELECT").arg(99).query::<Value>(&mut connection).unwrap_err()));
        let url = client.get_connection_info().addr().to_string();
        let refused = Client::open(format!("redis://nobody:wrong@{url}/")).unwrap().get_connection().err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::AuthenticationFailed);
    });
}

#[test]
fn pipelines_and_transactions() {
    alike(|client, said| {
        let mut connection = fresh(client);
        let answers: (i64, Option<String>, Vec<i64>) = redis::pipe()
            .set("a", 1)
            .ignore()
            .incr("a", 1)
            .get("none")
            .mget(&["a", "a"])
            .query(&mut connection)
            .unwrap();
        said.push(format!("{answers:?}"));
        let answers: Vec<Value> = redis::pipe()
            .atomic()
            .hset("h", "f", 1)
            .hget("h", "f")
            .expire("h", 100)
            .hgetall("h")
            .query(&mut connection)
            .unwrap();
        said.push(format!("{answers:?}"));
        let failed: redis::RedisResult<Vec<Value>> =
            redis::pipe().atomic().set("a", "x").incr("a", 1).query(&mut connection);
        said.push(format!("{}", failed.unwrap_err()));
        let mut tries = 0;
        let sum: (i64,) = redis::transaction(&mut connection, &["watched"], |connection, pipe| {
            let before: Option<i64> = connection.get("watched")?;
            tries += 1;
            if tries == 1 {
                // Somebody else is faster.
                let _: () = client.get_connection()?.set("watched", 10)?;
            }
            pipe.set("watched", before.unwrap_or(0) + 1).ignore().incr("watched", 1).query(connection)
        })
        .unwrap();
        said.push(format!("{sum:?} after {tries}"));
    });
}

#[test]
fn channels() {
    alike(|client, said| {
        let mut publisher = fresh(client);
        let mut listener = client.get_connection().unwrap();
        let mut channels = listener.as_pubsub();
        channels.subscribe("news").unwrap();
        channels.psubscribe("n*").unwrap();
        let heard: i64 = publisher.publish("news", "hello").unwrap();
        for _ in 0..2 {
            let message = channels.get_message().unwrap();
            let payload: String = message.get_payload().unwrap();
            said.push(format!("{} {payload} {}", message.get_channel_name(), message.from_pattern()));
        }
        channels.unsubscribe("news").unwrap();
        let left: i64 = publisher.publish("news", "again").unwrap();
        said.push(format!("{heard} {left}"));
    });
}

#[test]
fn the_asynchronous_client() {
    alike(|client, said| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers: Vec<String> = runtime.block_on(async {
            drop(fresh(client));
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let _: () = connection.set("k", "v").await.unwrap();
            let one: String = connection.get("k").await.unwrap();
            let several: (i64, i64) =
                redis::pipe().atomic().incr("n", 1).incr("n", 1).query_async(&mut connection).await.unwrap();
            let mut waiting = Vec::new();
            for _ in 0..100 {
                let mut connection = connection.clone();
                waiting.push(tokio::spawn(async move { connection.incr::<_, _, i64>("parallel", 1).await.unwrap() }));
            }
            let mut counted = Vec::new();
            for task in waiting {
                counted.push(task.await.unwrap());
            }
            counted.sort_unstable();
            let failed = connection.incr::<_, _, i64>("k", 1).await.unwrap_err();
            vec![one, format!("{several:?}"), format!("{counted:?}"), failed.to_string()]
        });
        said.extend(answers);
    });
}
