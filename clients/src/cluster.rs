//! A Redis Cluster of three nodes, on this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Server;
use crate::process::of_redis;

/// Longest that the nodes may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);
/// The port for other nodes lies so far above the port for clients.
const BUS: u16 = 10_000;

/// Three masters, each with a third of the slots. Dropped, they are ended.
#[derive(Debug)]
pub struct Cluster(Vec<Server>);

impl Cluster {
    /// A new one, without keys.
    pub fn redis() -> Cluster {
        let options = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"];
        let nodes: Vec<Server> = (0..3).map(|_| Server::redis_at(free, &options)).collect();
        let mut create = Command::new(of_redis("redis-cli"));
        create.args(["--cluster", "create"]).args(nodes.iter().map(|node| node.address().to_string()));
        let made = create.args(["--cluster-replicas", "0", "--cluster-yes"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let until = Instant::now() + PATIENCE;
        let is_ready = |node: &Server| {
            let said = node.connect().words("CLUSTER INFO").text();
            said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:3")
        };
        while !nodes.iter().all(is_ready) {
            assert!(Instant::now() < until, "the nodes do not agree");
            std::thread::sleep(Duration::from_millis(20));
        }
        Cluster(nodes)
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Server] {
        &self.0
    }

    /// One of them, for a client to ask for the others.
    pub fn address(&self) -> SocketAddr {
        self.0[0].address()
    }
}

/// An address whose port is free, as is the one for other nodes.
fn free() -> SocketAddr {
    loop {
        let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        // Systems give out ports that have none so far above them.
        let lower = SocketAddr::from((
            Ipv4Addr::LOCALHOST,
            if one.port() > u16::MAX - BUS { one.port() - BUS } else { one.port() },
        ));
        let bus = SocketAddr::from((Ipv4Addr::LOCALHOST, lower.port() + BUS));
        if TcpListener::bind(lower).is_ok() && TcpListener::bind(bus).is_ok() {
            return lower;
        }
    }
}
