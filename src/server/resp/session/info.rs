//! `INFO`.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::greeting::REDIS_VERSION;
use super::{Shared, State};
use crate::keyspace::{DATABASES, Keyspace};
use crate::server::resp::command::Arguments;
use crate::server::resp::sync::lock;
use crate::server::resp::tally::{CommandName, Counts};

/// Sections, by name and heading, in the order they come in.
const SECTIONS: &[(&str, &str)] = &[
    ("server", "Server"),
    ("clients", "Clients"),
    ("memory", "Memory"),
    ("persistence", "Persistence"),
    ("stats", "Stats"),
    ("replication", "Replication"),
    ("cpu", "CPU"),
    ("modules", "Modules"),
    ("errorstats", "Errorstats"),
    ("cluster", "Cluster"),
    ("keyspace", "Keyspace"),
];
/// Sections that are not shown unless one asks for them.
const SECTIONS_ASKED_FOR: &[(&str, &str)] = &[("commandstats", "Commandstats"), ("latencystats", "Latencystats")];

impl State {
    pub(super) fn info(&mut self, shared: &Shared, keyspace: &Keyspace, arguments: Arguments<'_>) {
        self.publish_counts(shared);
        let asked: Vec<String> =
            arguments.from(1).map(|section| String::from_utf8_lossy(section).to_ascii_lowercase()).collect();
        let asks = |words: &[&str]| asked.iter().any(|section| words.contains(&&**section));
        let wants_default = asked.is_empty() || asks(&["default", "all", "everything"]);
        let by_default = SECTIONS.iter().filter(|(name, _)| wants_default || asks(&[name]));
        let extra = SECTIONS_ASKED_FOR.iter().filter(|(name, _)| asks(&["all", "everything", name]));
        let mut text = String::new();
        for (name, heading) in by_default.chain(extra) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {heading}\r\n");
            for (field, value) in section(name, shared, keyspace) {
                let _ = write!(text, "{field}:{value}\r\n");
            }
        }
        self.replies.verbatim(&text);
    }
}

type Fields = Vec<(String, String)>;

fn section(name: &str, shared: &Shared, keyspace: &Keyspace) -> Fields {
    match name {
        "server" => server(shared),
        "clients" => clients(shared),
        "memory" => memory(shared),
        "persistence" => persistence(shared),
        "stats" => statistics(shared),
        "replication" => replication(shared),
        "cpu" => cpu(),
        "commandstats" => command_statistics(shared),
        "errorstats" => error_statistics(shared),
        "cluster" => fields(&[("cluster_enabled", &0)]),
        "keyspace" => databases(keyspace),
        _ => Fields::new(),
    }
}

fn fields(fields: &[(&str, &dyn ToString)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect()
}

fn server(shared: &Shared) -> Fields {
    let uptime = shared.since.elapsed().as_secs();
    fields(&[
        ("redis_version", &REDIS_VERSION),
        ("redis_git_sha1", &"00000000"),
        ("redis_git_dirty", &0),
        ("redis_build_id", &"0000000000000000"),
        ("redis_mode", &"standalone"),
        ("os", &format!("Linux {}", std::env::consts::ARCH)),
        ("arch_bits", &usize::BITS),
        ("multiplexing_api", &"epoll"),
        ("process_id", &std::process::id()),
        ("process_supervised", &"no"),
        ("run_id", &shared.run_id),
        ("tcp_port", &shared.address.port()),
        ("server_time_usec", &shared.keyspace.now().micros()),
        ("uptime_in_seconds", &uptime),
        ("uptime_in_days", &(uptime / 86_400)),
        ("hz", &shared.config.value("hz")),
        ("configured_hz", &shared.config.value("hz")),
        ("lru_clock", &(shared.keyspace.now().micros().div_euclid(1_000_000) & 0xff_ffff)),
        ("executable", &""),
        ("config_file", &""),
        ("io_threads_active", &0),
        ("asof_version", &env!("CARGO_PKG_VERSION")),
    ])
}

fn clients(shared: &Shared) -> Fields {
    fields(&[
        ("connected_clients", &shared.clients.len()),
        ("cluster_connections", &0),
        ("maxclients", &shared.config.clients_max()),
        ("client_recent_max_input_buffer", &0),
        ("client_recent_max_output_buffer", &0),
        ("blocked_clients", &0),
        ("tracking_clients", &shared.tracking.len()),
        ("clients_in_timeout_table", &0),
    ])
}

fn memory(shared: &Shared) -> Fields {
    let resident = shared.memory.resident_bytes();
    let human = format!("{}K", resident / 1_024);
    fields(&[
        ("used_memory", &resident),
        ("used_memory_human", &human),
        ("used_memory_rss", &resident),
        ("used_memory_rss_human", &human),
        ("used_memory_peak", &resident),
        ("used_memory_peak_human", &human),
        ("used_memory_lua", &0),
        ("used_memory_scripts", &0),
        ("number_of_cached_scripts", &0),
        ("maxmemory", &shared.config.value("maxmemory")),
        ("maxmemory_human", &shared.config.value("maxmemory")),
        ("maxmemory_policy", &shared.config.value("maxmemory-policy")),
        ("mem_fragmentation_ratio", &"1.00"),
        ("mem_clients_normal", &shared.output_bytes.load(Ordering::Relaxed)),
        ("mem_allocator", &"system"),
        ("active_defrag_running", &0),
        ("lazyfree_pending_objects", &0),
        ("lazyfreed_objects", &0),
    ])
}

fn persistence(shared: &Shared) -> Fields {
    fields(&[
        ("loading", &0),
        ("async_loading", &0),
        ("rdb_changes_since_last_save", &0),
        ("rdb_bgsave_in_progress", &0),
        ("rdb_last_save_time", &shared.started_at.div_euclid(1_000_000)),
        ("rdb_last_bgsave_status", &"ok"),
        ("rdb_last_bgsave_time_sec", &-1),
        ("rdb_current_bgsave_time_sec", &-1),
        ("aof_enabled", &0),
        ("aof_rewrite_in_progress", &0),
        ("aof_rewrite_scheduled", &0),
        ("aof_last_bgrewrite_status", &"ok"),
        ("aof_last_write_status", &"ok"),
    ])
}

fn statistics(shared: &Shared) -> Fields {
    let statistics = &shared.statistics;
    let (channels, patterns) = shared.pubsub.counts();
    let per_second = statistics.commands.get() / shared.since.elapsed().as_secs().max(1);
    fields(&[
        ("total_connections_received", &statistics.connections.get()),
        ("total_commands_processed", &statistics.commands.get()),
        ("instantaneous_ops_per_sec", &per_second),
        ("total_net_input_bytes", &statistics.input_bytes.get()),
        ("total_net_output_bytes", &statistics.output_bytes.get()),
        ("rejected_connections", &statistics.rejected.get()),
        ("sync_full", &0),
        ("sync_partial_ok", &0),
        ("sync_partial_err", &0),
        ("expired_keys", &statistics.expired.get()),
        ("evicted_keys", &statistics.evicted.get()),
        ("keyspace_hits", &0),
        ("keyspace_misses", &0),
        ("pubsub_channels", &channels),
        ("pubsub_patterns", &patterns),
        ("pubsubshard_channels", &0),
        ("latest_fork_usec", &0),
        ("total_forks", &0),
        ("tracking_total_keys", &0),
        ("tracking_total_items", &0),
        ("unexpected_error_replies", &0),
        ("total_error_replies", &statistics.errors.get()),
        ("watched_keys", &shared.watches.len()),
        ("write_groups", &statistics.groups.get()),
    ])
}

fn command_statistics(shared: &Shared) -> Fields {
    let shown = |((name, subcommand), counts): (&CommandName, &Counts)| {
        let name = subcommand.map_or_else(|| (*name).to_owned(), |subcommand| format!("{name}|{subcommand}"));
        let Counts { calls, failed, rejected, time } = counts;
        let micros = time.as_micros();
        let each = time.checked_div(u32::try_from(*calls).unwrap_or(u32::MAX)).unwrap_or_default();
        let each = each.as_secs_f64() * 1e6;
        let counts = format!(
            "calls={calls},usec={micros},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}"
        );
        (format!("cmdstat_{name}"), counts)
    };
    lock(&shared.statistics.tallies).commands.iter().map(shown).collect()
}

fn error_statistics(shared: &Shared) -> Fields {
    let tallies = lock(&shared.statistics.tallies);
    tallies.errors.iter().map(|(code, count)| (format!("errorstat_{code}"), format!("count={count}"))).collect()
}

fn replication(shared: &Shared) -> Fields {
    fields(&[
        ("role", &"master"),
        ("connected_slaves", &0),
        ("master_failover_state", &"no-failover"),
        ("master_replid", &shared.run_id),
        ("master_replid2", &"0".repeat(40)),
        ("master_repl_offset", &0),
        ("second_repl_offset", &-1),
        ("repl_backlog_active", &0),
        ("repl_backlog_size", &0),
        ("repl_backlog_first_byte_offset", &0),
        ("repl_backlog_histlen", &0),
    ])
}

fn databases(keyspace: &Keyspace) -> Fields {
    (0..DATABASES)
        .filter_map(|database| u8::try_from(database).ok())
        .filter(|database| keyspace.len(*database) > 0)
        .map(|database| {
            let (keys, expires) = (keyspace.len(database), keyspace.len_with_deadlines(database));
            (format!("db{database}"), format!("keys={keys},expires={expires},avg_ttl=0"))
        })
        .collect()
}

/// Time that the process spent in itself and in the system.
fn cpu() -> Fields {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold anything; the times are the 12th and 13th word behind it.
    let words: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let seconds = |word: usize| {
        let ticks: u64 = words.get(word).and_then(|word| word.parse().ok()).unwrap_or(0);
        let micros = ticks % ticks_per_second * 1_000_000 / ticks_per_second;
        format!("{}.{micros:06}", ticks / ticks_per_second)
    };
    fields(&[
        ("used_cpu_sys", &seconds(12)),
        ("used_cpu_user", &seconds(11)),
        ("used_cpu_sys_children", &"0.000000"),
        ("used_cpu_user_children", &"0.000000"),
    ])
}
