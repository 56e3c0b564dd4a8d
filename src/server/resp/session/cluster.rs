//! `CLUSTER`, for clients that ask before anything else: one node that has all slots.

use super::{Shared, State};
use crate::server::resp::command::Arguments;

/// How many slots keys are spread over.
const SLOTS: u16 = 16_384;

impl State {
    pub(super) fn cluster(&mut self, shared: &Shared, subcommand: &str, arguments: Arguments<'_>) {
        let (ip, port, id) = (self.client.local.ip().to_string(), self.client.local.port(), &shared.run_id);
        let replies = &mut self.replies;
        match subcommand {
            "info" => {
                let mut text = String::new();
                for (name, value) in [
                    ("cluster_enabled", "1"),
                    ("cluster_state", "ok"),
                    ("cluster_slots_assigned", "16384"),
                    ("cluster_slots_ok", "16384"),
                    ("cluster_slots_pfail", "0"),
                    ("cluster_slots_fail", "0"),
                    ("cluster_known_nodes", "1"),
                    ("cluster_size", "1"),
                    ("cluster_current_epoch", "1"),
                    ("cluster_my_epoch", "1"),
                    ("cluster_stats_messages_sent", "0"),
                    ("cluster_stats_messages_received", "0"),
                    ("total_cluster_links_buffer_limit_exceeded", "0"),
                ] {
                    text.push_str(&format!("{name}:{value}\r\n"));
                }
                replies.verbatim(&text);
            }
            "myid" => replies.bulk(id.as_bytes()),
            "nodes" => {
                let bus_port = u32::from(port) + 10_000;
                let last = SLOTS - 1;
                let line = format!("{id} {ip}:{port}@{bus_port} myself,master - 0 0 1 connected 0-{last}\n");
                replies.verbatim(&line);
            }
            "slots" => {
                replies.array(1);
                replies.array(3);
                replies.integer(0);
                replies.integer(i64::from(SLOTS - 1));
                replies.array(4);
                replies.bulk(ip.as_bytes());
                replies.integer(i64::from(port));
                replies.bulk(id.as_bytes());
                replies.array(0);
            }
            "shards" => {
                replies.array(1);
                replies.map(2);
                replies.bulk(b"slots");
                replies.array(2);
                replies.integer(0);
                replies.integer(i64::from(SLOTS - 1));
                replies.bulk(b"nodes");
                replies.array(1);
                replies.map(7);
                for (name, value) in
                    [("id", &**id), ("endpoint", &*ip), ("ip", &*ip), ("role", "master"), ("health", "online")]
                {
                    replies.bulk(name.as_bytes());
                    replies.bulk(value.as_bytes());
                }
                for (name, value) in [("port", i64::from(port)), ("replication-offset", 0)] {
                    replies.bulk(name.as_bytes());
                    replies.integer(value);
                }
            }
            _ => replies.integer(i64::from(slot(arguments.at(2)))),
        }
    }
}

/// The slot of a key: of what stands in its first braces, where something does.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|byte| *byte == b'}').filter(|close| *close > 0).map(|close| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16 of the XMODEM kind, which Redis Cluster spreads keys by.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}bar"), crc16(b"foo{}bar") % SLOTS);
    }
}
