//! Which parameters there are.

use Kind::{AsItIs, Events, Fixed, Flag, Integer, Memory, MemoryOrShare, Save, Text, Word};

/// A parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) kind: Kind,
}

/// What a parameter takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing: it may not be set.
    Fixed,
    /// What it is already.
    AsItIs,
    Text,
    /// `yes` or `no`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// From, to.
    Integer(i64, i64),
    /// A number of bytes, with or without a unit.
    Memory(i64, i64),
    /// A number of bytes, or a share of `maxmemory` in percent.
    MemoryOrShare,
    /// Letters of keyspace notifications.
    Events,
    /// Pairs of seconds and changes.
    Save,
}

const fn parameter(name: &'static str, default: &'static str, kind: Kind) -> Parameter {
    Parameter { name, default, kind }
}

const I32: i64 = 2_147_483_647;
const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

/// All parameters, by the name that counts.
pub(super) const PARAMETERS: &[Parameter] = &[
    parameter("active-expire-effort", "1", Integer(1, 10)),
    parameter("activedefrag", "no", Flag),
    parameter("activerehashing", "yes", Flag),
    parameter("aof-use-rdb-preamble", "yes", Flag),
    parameter("appendfsync", "always", Word(&["always", "everysec", "no"])),
    parameter("appendonly", "no", Flag),
    parameter("auto-aof-rewrite-percentage", "0", Integer(0, I32)),
    parameter("bind", "", AsItIs),
    parameter("busy-reply-threshold", "5000", Integer(0, i64::MAX)),
    parameter("client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 33554432 8388608 60", Text),
    parameter("client-query-buffer-limit", "1073741824", Memory(1 << 20, i64::MAX)),
    parameter("cluster-enabled", "no", Fixed),
    parameter("databases", "16", Fixed),
    parameter("daemonize", "no", Fixed),
    parameter("dbfilename", "dump.rdb", Text),
    parameter("dir", ".", Fixed),
    parameter("dynamic-hz", "yes", Flag),
    parameter("enable-debug-command", "no", Fixed),
    parameter("hash-max-listpack-entries", "", Integer(0, i64::MAX)),
    parameter("hash-max-listpack-value", "", Integer(0, i64::MAX)),
    parameter("hll-sparse-max-bytes", "3000", Integer(0, i64::MAX)),
    parameter("hz", "10", Integer(0, I32)),
    parameter("io-threads", "1", Fixed),
    parameter("key-load-delay", "0", Integer(-2_147_483_648, I32)),
    parameter("latency-monitor-threshold", "0", Integer(0, i64::MAX)),
    parameter("latency-tracking", "no", Flag),
    parameter("lazyfree-lazy-eviction", "no", Flag),
    parameter("lazyfree-lazy-expire", "no", Flag),
    parameter("lazyfree-lazy-server-del", "no", Flag),
    parameter("lazyfree-lazy-user-del", "no", Flag),
    parameter("lazyfree-lazy-user-flush", "no", Flag),
    parameter("lfu-decay-time", "1", Integer(0, I32)),
    parameter("lfu-log-factor", "10", Integer(0, I32)),
    parameter("list-compress-depth", "0", Integer(0, I32)),
    parameter("list-max-listpack-size", "-2", Integer(-2_147_483_648, I32)),
    parameter("logfile", "", Fixed),
    parameter("loglevel", "notice", Word(&["debug", "verbose", "notice", "warning"])),
    parameter("lua-time-limit", "5000", Integer(0, i64::MAX)),
    parameter("maxclients", "10000", Integer(1, 4_294_967_295)),
    parameter("maxmemory", "0", Memory(0, i64::MAX)),
    parameter("maxmemory-clients", "0", MemoryOrShare),
    parameter("maxmemory-policy", "noeviction", Word(POLICIES)),
    parameter("maxmemory-samples", "5", Integer(1, 64)),
    parameter("min-replicas-max-lag", "10", Integer(0, I32)),
    parameter("min-replicas-to-write", "0", Integer(0, I32)),
    parameter("no-appendfsync-on-rewrite", "no", Flag),
    parameter("notify-keyspace-events", "", Events),
    parameter("pidfile", "", Fixed),
    parameter("port", "", AsItIs),
    parameter("proto-max-bulk-len", "536870912", Memory(1 << 20, i64::MAX)),
    parameter("protected-mode", "yes", Flag),
    parameter("rdb-key-save-delay", "0", Integer(-2_147_483_648, I32)),
    parameter("rdbcompression", "yes", Flag),
    parameter("repl-backlog-size", "1048576", Memory(1, i64::MAX)),
    parameter("repl-backlog-ttl", "3600", Integer(0, i64::MAX)),
    parameter("repl-diskless-sync", "yes", Flag),
    parameter("repl-diskless-sync-delay", "5", Integer(0, I32)),
    parameter("repl-ping-replica-period", "10", Integer(1, I32)),
    parameter("repl-timeout", "60", Integer(1, I32)),
    parameter("replica-read-only", "yes", Flag),
    parameter("replica-serve-stale-data", "yes", Flag),
    parameter("replicaof", "", Fixed),
    parameter("requirepass", "", Fixed),
    parameter("sanitize-dump-payload", "no", Word(&["no", "yes", "clients"])),
    parameter("save", "", Save),
    parameter("set-max-intset-entries", "512", Integer(0, i64::MAX)),
    parameter("set-max-listpack-entries", "128", Integer(0, i64::MAX)),
    parameter("set-max-listpack-value", "64", Integer(0, i64::MAX)),
    parameter("slowlog-log-slower-than", "10000", Integer(-1, i64::MAX)),
    parameter("slowlog-max-len", "128", Integer(0, i64::MAX)),
    parameter("stop-writes-on-bgsave-error", "yes", Flag),
    parameter("stream-node-max-bytes", "4096", Memory(0, i64::MAX)),
    parameter("stream-node-max-entries", "100", Integer(0, i64::MAX)),
    parameter("tcp-backlog", "511", Fixed),
    parameter("tcp-keepalive", "300", Integer(0, I32)),
    parameter("timeout", "0", Integer(0, I32)),
    parameter("tls-port", "0", AsItIs),
    parameter("tracking-table-max-keys", "1000000", Integer(0, i64::MAX)),
    parameter("unixsocket", "", Fixed),
    parameter("zset-max-listpack-entries", "128", Integer(0, i64::MAX)),
    parameter("zset-max-listpack-value", "64", Integer(0, i64::MAX)),
];

/// Names that older programs use, and what they mean.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("min-slaves-max-lag", "min-replicas-max-lag"),
    ("min-slaves-to-write", "min-replicas-to-write"),
    ("repl-ping-slave-period", "repl-ping-replica-period"),
    ("slave-read-only", "replica-read-only"),
    ("slave-serve-stale-data", "replica-serve-stale-data"),
    ("slaveof", "replicaof"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// Given only to who asks for them by name: they are for tests.
pub(super) const HIDDEN: &[&str] = &["key-load-delay", "rdb-key-save-delay"];
