//! A Redis, or a Redis Cluster, that commands are sent to by many.

use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};
use redis::{Client, Cmd, Connection, RedisError, Value};

use super::url::RedisUrl;
use crate::error::{Error, Result};

/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for the answers to one batch.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Who takes the commands.
pub(super) struct Target {
    /// How it is called in messages.
    pub name: String,
    /// Whether fields have deadlines there.
    pub has_field_deadlines: bool,
    link: Link,
}

enum Link {
    One(Box<Connection>),
    Cluster(Box<ClusterConnection>),
}

impl Target {
    /// Connects, and asks whether it is a cluster unless the caller knows.
    ///
    /// # Errors
    /// Nobody answers there, or lets nobody in.
    pub fn connect(url: &RedisUrl, is_cluster: bool) -> Result<Target> {
        let name = url.to_string();
        let mut one = connect(url)?;
        let is_cluster = is_cluster || is_of_cluster(&mut one, &name)?;
        let mut ask = redis::cmd("COMMAND");
        ask.arg("INFO").arg("HPEXPIREAT");
        // Who may not ask is told when it comes to that.
        let has_field_deadlines =
            matches!(ask.query(&mut one), Ok(Value::Array(found)) if !matches!(found.first(), None | Some(Value::Nil)));
        let link = if is_cluster { Link::Cluster(Box::new(connect_cluster(url)?)) } else { Link::One(Box::new(one)) };
        Ok(Target { name, has_field_deadlines, link })
    }

    /// Sends commands at once, and waits for all answers. A single server does them as one transaction: none of them where it refuses one
    /// beforehand, all others where one fails.
    ///
    /// # Errors
    /// It refuses one, or the connection broke.
    pub fn run(&mut self, commands: Vec<Cmd>) -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let answers: Vec<Value> = match &mut self.link {
            Link::One(connection) => {
                let mut pipe = redis::pipe();
                pipe.ignore_errors().add_command(redis::cmd("MULTI"));
                for command in commands {
                    pipe.add_command(command);
                }
                pipe.add_command(redis::cmd("EXEC"));
                pipe.query(&mut **connection)
            }
            Link::Cluster(connection) => {
                let mut pipe = cluster_pipe();
                for command in commands {
                    pipe.add_command(command);
                }
                pipe.query(connection)
            }
        }
        .map_err(|error| trouble(error, &self.name))?;
        // The first refusal says why; that EXEC gave up follows from it.
        match answers.iter().find_map(refusal) {
            Some(why) => Err(refused(&why, &self.name)),
            None => Ok(()),
        }
    }

    /// The answer to one command.
    ///
    /// # Errors
    /// As [`Target::run`].
    pub fn ask<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        match &mut self.link {
            Link::One(connection) => command.query(&mut **connection),
            Link::Cluster(connection) => command.query(&mut **connection),
        }
        .map_err(|error| trouble(error, &self.name))
    }
}

/// Connections to all who hold keys: the one server, or every master of its cluster. Each with its name.
///
/// # Errors
/// As [`Target::connect`].
pub(super) fn connect_to_all(url: &RedisUrl, is_cluster: bool) -> Result<Vec<(String, Connection)>> {
    let name = url.to_string();
    let mut one = connect(url)?;
    if !is_cluster && !is_of_cluster(&mut one, &name)? {
        return Ok(vec![(name, one)]);
    }
    let slots: Value = redis::cmd("CLUSTER").arg("SLOTS").query(&mut one).map_err(|error| trouble(error, &name))?;
    let mut masters: Vec<(String, u16)> = Vec::new();
    for range in slots.as_sequence().unwrap_or_default() {
        // First and last slot, then its master, then replicas.
        let Some([host, Value::Int(port), ..]) = range.as_sequence().and_then(|range| range.get(2)?.as_sequence())
        else {
            continue;
        };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
            // The one that was asked.
            _ => url.host().unwrap_or_default().to_owned(),
        };
        let master = (host, u16::try_from(*port).unwrap_or_default());
        if !masters.contains(&master) {
            masters.push(master);
        }
    }
    if masters.is_empty() {
        return Err(Error::refused("the cluster names no node that holds keys").at(name));
    }
    let nodes = masters.iter().map(|(host, port)| {
        let node = url.of_node(host, *port);
        Ok((node.to_string(), connect(&node)?))
    });
    nodes.collect()
}

fn connect(url: &RedisUrl) -> Result<Connection> {
    let told = |error: RedisError| trouble(error, &url.to_string());
    let client = Client::open(url.info().clone()).map_err(told)?;
    let connection = client.get_connection_with_timeout(CONNECT_WAIT).map_err(told)?;
    connection.set_read_timeout(Some(ANSWER_WAIT)).map_err(told)?;
    connection.set_write_timeout(Some(ANSWER_WAIT)).map_err(told)?;
    Ok(connection)
}

fn connect_cluster(url: &RedisUrl) -> Result<ClusterConnection> {
    let told = |error: RedisError| trouble(error, &url.to_string());
    if url.info().redis_settings().db() != 0 {
        return Err(Error::invalid("a Redis Cluster has database 0 alone").at(url).remedy("leave the database out"));
    }
    let builder = ClusterClient::builder([url.info().clone()]);
    let client = builder.connection_timeout(CONNECT_WAIT).response_timeout(ANSWER_WAIT).build().map_err(told)?;
    client.get_connection().map_err(told)
}

fn is_of_cluster(connection: &mut Connection, name: &str) -> Result<bool> {
    let said: String = redis::cmd("INFO").arg("cluster").query(connection).map_err(|error| trouble(error, name))?;
    Ok(said.lines().any(|line| line.trim_end() == "cluster_enabled:1"))
}

/// What of an answer says that something was not done.
pub(super) fn refusal(answer: &Value) -> Option<String> {
    match answer {
        Value::ServerError(error) => {
            Some(format!("{} {}", error.code(), error.details().unwrap_or_default()).trim_end().to_owned())
        }
        Value::Array(answers) => answers.iter().find_map(refusal),
        _ => None,
    }
}

/// A command that was refused.
pub(super) fn refused(why: &str, name: &str) -> Error {
    let remedy = match why.split(' ').next() {
        Some("OOM") => "give it more memory (maxmemory), or export fewer views",
        Some("READONLY") => "name the master, not a replica",
        Some("NOPERM" | "NOAUTH") => "name a user in the address who may do that there",
        _ => "mend that there and start again: what was done stays, and an export goes on with this batch",
    };
    Error::refused(format!("it answers '{why}'")).at(name).remedy(remedy)
}

/// Whatever the client says, without what it was asked with.
pub(super) fn trouble(error: RedisError, name: &str) -> Error {
    if let Some(refused_by) = error.clone().into_server_errors()
        && let Some(why) = refused_by.first().and_then(|(_, error)| refusal(&Value::ServerError(error.clone())))
    {
        return refused(&why, name);
    }
    let remedy = if error.is_connection_refusal() {
        "look whether a Redis listens there"
    } else if error.kind() == redis::ErrorKind::AuthenticationFailed {
        "give user and password in the address: redis://USER:PASSWORD@HOST"
    } else {
        "look whether it runs and can be reached; what is done goes on from where it was when it is started again"
    };
    let said = error.to_string();
    Error::new(crate::error::ErrorKind::Io, said).at(name).remedy(remedy).caused_by(error)
}
