//! Descriptors: how many connections the system has some for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// So many are left to the store, for its files, and to the threads of the server.
const RESERVE: u64 = 256;

/// Raises the process's limit, as far as that may be, for so many connections. How many it is enough for, those at most; where they
/// are fewer, a warning says so, and what is bounded by that.
pub fn provide(what: &str, clients_max: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let limit = limits.current.unwrap_or(u64::MAX);
    let wanted = wanted(clients_max, limit, limits.maximum.unwrap_or(u64::MAX));
    let raised = Rlimit { current: Some(wanted), maximum: limits.maximum };
    let limit = if wanted > limit && setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { limit };
    let enough = clients_of(limit);
    if enough < clients_max {
        tracing::warn!(
            "{what} {enough} instead of {clients_max}: the process may open {limit} files, some of which are the store's; \
             raise the limit (ulimit -n) to {} for more connections",
            descriptors_of(clients_max)
        );
    }
    clients_max.min(enough)
}

/// The limit to ask for: no lower than it is, and no higher than the process may have.
fn wanted(clients_max: usize, limit: u64, limit_max: u64) -> u64 {
    descriptors_of(clients_max).min(limit_max).max(limit)
}

fn descriptors_of(clients_max: usize) -> u64 {
    u64::try_from(clients_max).unwrap_or(u64::MAX).saturating_add(RESERVE)
}

/// How many connections a limit is enough for. Of a very low one the store has half.
fn clients_of(limit: u64) -> usize {
    usize::try_from(limit - RESERVE.min(limit / 2)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_store() {
        // The limit, the highest there may be, and what becomes of 10,000 connections.
        for (limit, limit_max, raised, clients) in [
            (1_024, 1 << 20, 10_256, 10_000),
            (1_024, 4_096, 4_096, 3_840),
            (1_024, 1_024, 1_024, 768),
            (100_000, u64::MAX, 100_000, 10_000),
            (u64::MAX, u64::MAX, u64::MAX, 10_000),
            (300, 300, 300, 150),
            (1, 1, 1, 1),
        ] {
            assert_eq!(wanted(10_000, limit, limit_max), raised);
            assert_eq!(clients_of(raised).min(10_000), clients, "of {raised}");
        }
        assert_eq!(wanted(usize::MAX, 10, u64::MAX), u64::MAX);
    }
}
