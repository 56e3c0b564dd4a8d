//! Parameters, as `CONFIG GET` and `CONFIG SET` have them.
//!
//! Clients and Redis's own tests ask for more of them than mean something here: those are kept and given back.

mod parameters;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::command::Refusal;
use super::eviction::Evicted;
use super::glob::Pattern;
use super::notify::NotifyFlags;
use super::number::parse_i64;
use super::protocol::ParseLimits;
use super::sync::lock;
use crate::keyspace::PackedLimits;
use parameters::{ALIASES, HIDDEN, Kind, PARAMETERS, Parameter};

/// All parameters of a server. What is asked for with every command or connection stands beside the texts.
#[derive(Debug)]
pub struct Config {
    values: Mutex<Vec<String>>,
    clients_max: AtomicUsize,
    timeout_seconds: AtomicI64,
    memory_bytes_max: AtomicUsize,
    eviction: Mutex<Option<Evicted>>,
    replicas_min: AtomicUsize,
    replica_lag_max: AtomicUsize,
    notify: AtomicU32,
    argument_bytes_max: AtomicUsize,
    command_bytes_max: AtomicUsize,
    packed_fields_max: AtomicUsize,
    packed_bytes_max: AtomicU32,
}

impl Config {
    /// What there is without a word, at this address and for so many clients.
    pub fn new(address: SocketAddr, clients_max: usize) -> Config {
        let packed = PackedLimits::default();
        let config = Config {
            values: Mutex::new(PARAMETERS.iter().map(|parameter| parameter.default.to_owned()).collect()),
            clients_max: AtomicUsize::new(clients_max),
            timeout_seconds: AtomicI64::new(0),
            memory_bytes_max: AtomicUsize::new(0),
            eviction: Mutex::new(None),
            replicas_min: AtomicUsize::new(0),
            replica_lag_max: AtomicUsize::new(10),
            notify: AtomicU32::new(0),
            argument_bytes_max: AtomicUsize::new(512 << 20),
            command_bytes_max: AtomicUsize::new(ParseLimits::AUTHENTICATED.command_bytes_max),
            packed_fields_max: AtomicUsize::new(packed.fields_max),
            packed_bytes_max: AtomicU32::new(packed.bytes_max),
        };
        config.put("bind", address.ip().to_string());
        config.put("port", address.port().to_string());
        config.put("maxclients", clients_max.to_string());
        config.put("hash-max-listpack-entries", packed.fields_max.to_string());
        config.put("hash-max-listpack-value", packed.bytes_max.to_string());
        config
    }

    /// Most connections.
    pub fn clients_max(&self) -> usize {
        self.clients_max.load(Ordering::Relaxed)
    }

    /// How long a connection may be idle, if there is an end to it.
    pub fn timeout(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.timeout_seconds.load(Ordering::Relaxed)).ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Beyond so much memory commands that take more are refused, if there is an end to it.
    pub fn memory_bytes_max(&self) -> Option<usize> {
        Some(self.memory_bytes_max.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Which keys go where they take more than that.
    pub fn evicted(&self) -> Option<Evicted> {
        *lock(&self.eviction)
    }

    /// Whether nothing is to be written before replicas follow, which none does.
    pub fn wants_replicas(&self) -> bool {
        self.replicas_min.load(Ordering::Relaxed) > 0 && self.replica_lag_max.load(Ordering::Relaxed) > 0
    }

    /// Which changes are told of.
    pub fn notify(&self) -> NotifyFlags {
        NotifyFlags::from_bits(self.notify.load(Ordering::Relaxed))
    }

    /// Longest argument.
    pub fn argument_bytes_max(&self) -> usize {
        self.argument_bytes_max.load(Ordering::Relaxed)
    }

    /// Longest command.
    pub fn command_bytes_max(&self) -> usize {
        self.command_bytes_max.load(Ordering::Relaxed)
    }

    /// Up to which size hashes stay packed.
    pub fn packed_limits(&self) -> PackedLimits {
        PackedLimits {
            fields_max: self.packed_fields_max.load(Ordering::Relaxed),
            bytes_max: self.packed_bytes_max.load(Ordering::Relaxed),
        }
    }

    /// Names and values of what a pattern matches.
    pub fn get(&self, pattern: &Pattern, is_name: bool) -> Vec<(&'static str, String)> {
        let matches = |name: &str| pattern.matches(name.as_bytes()) && (is_name || !HIDDEN.contains(&name));
        let values = lock(&self.values);
        let by_name = PARAMETERS.iter().zip(&*values).map(|(parameter, value)| (parameter.name, value));
        let by_alias = ALIASES.iter().filter_map(|(alias, name)| Some((*alias, values.get(position(name)?)?)));
        by_name.chain(by_alias).filter(|(name, _)| matches(name)).map(|(name, value)| (name, value.clone())).collect()
    }

    /// The value of one parameter; empty for one that is not there.
    pub fn value(&self, name: &str) -> String {
        position(name).and_then(|at| lock(&self.values).get(at).cloned()).unwrap_or_default()
    }

    /// Sets parameters, all or none.
    ///
    /// # Errors
    /// One of them is none, may not be set, is named twice or does not take its value.
    pub fn set<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), Refusal> {
        let mut checked: Vec<(&Parameter, &[u8], String)> = Vec::new();
        for (given, value) in pairs {
            let name = given.escape_ascii().to_string().to_ascii_lowercase();
            let canonical = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(&*name, |(_, name)| name);
            let Some(parameter) = position(canonical).and_then(|at| PARAMETERS.get(at)) else {
                let shown = String::from_utf8_lossy(given);
                return Err(Refusal::new(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{shown}'"
                )));
            };
            let failed = |why: &str| {
                Refusal::new(format!(
                    "ERR CONFIG SET failed (possibly related to argument '{}') - {why}",
                    String::from_utf8_lossy(given)
                ))
            };
            if checked.iter().any(|(other, ..)| other.name == parameter.name) {
                return Err(failed("duplicate parameter"));
            }
            let before = self.value(parameter.name);
            checked.push((parameter, value, parameter.kind.check(&before, value).map_err(|why| failed(&why))?));
        }
        for (parameter, given, kept) in checked {
            self.take_effect(parameter.name, &kept, given);
            self.put(parameter.name, kept);
        }
        Ok(())
    }

    fn put(&self, name: &str, value: String) {
        let mut values = lock(&self.values);
        if let Some(place) = position(name).and_then(|at| values.get_mut(at)) {
            *place = value;
        }
    }

    /// A parameter has another value: as it is kept, and as it was given.
    fn take_effect(&self, name: &str, kept: &str, given: &[u8]) {
        let number = parse_i64(kept.as_bytes()).unwrap_or(0);
        let size = usize::try_from(number).unwrap_or(usize::MAX);
        match name {
            "maxclients" => self.clients_max.store(size, Ordering::Relaxed),
            "maxmemory" => self.memory_bytes_max.store(size, Ordering::Relaxed),
            "maxmemory-policy" => *lock(&self.eviction) = Evicted::of_policy(kept),
            "min-replicas-to-write" => self.replicas_min.store(size, Ordering::Relaxed),
            "min-replicas-max-lag" => self.replica_lag_max.store(size, Ordering::Relaxed),
            "timeout" => self.timeout_seconds.store(number, Ordering::Relaxed),
            "client-query-buffer-limit" => self.command_bytes_max.store(size, Ordering::Relaxed),
            "proto-max-bulk-len" => self.argument_bytes_max.store(size, Ordering::Relaxed),
            "hash-max-listpack-entries" => self.packed_fields_max.store(size, Ordering::Relaxed),
            "hash-max-listpack-value" => {
                self.packed_bytes_max.store(u32::try_from(number).unwrap_or(u32::MAX), Ordering::Relaxed);
            }
            "notify-keyspace-events" => {
                // Not of what is kept: that leaves out a letter that counts.
                let flags = NotifyFlags::parse(given).unwrap_or_default();
                self.notify.store(flags.bits(), Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

fn position(name: &str) -> Option<usize> {
    PARAMETERS.iter().position(|parameter| parameter.name == name)
}

impl Kind {
    /// The value as it is kept, or why it is none.
    fn check(&self, before: &str, given: &[u8]) -> Result<String, String> {
        let text = || String::from_utf8_lossy(given).into_owned();
        match self {
            Kind::Fixed => Err("can't set immutable config".to_owned()),
            Kind::AsItIs if given == before.as_bytes() => Ok(text()),
            Kind::AsItIs => {
                Err("Unable to listen on this port or address: it stays what the server was started with".to_owned())
            }
            Kind::Text => Ok(text()),
            Kind::Flag => match &*text().to_ascii_lowercase() {
                flag @ ("yes" | "no") => Ok(flag.to_owned()),
                _ => Err("argument must be 'yes' or 'no'".to_owned()),
            },
            Kind::Word(words) => {
                let word = text().to_ascii_lowercase();
                if words.contains(&&*word) {
                    return Ok(word);
                }
                Err(format!("argument(s) must be one of the following: {}", words.join(", ")))
            }
            Kind::Integer(least, most) => {
                let number = parse_i64(given).ok_or("argument couldn't be parsed into an integer")?;
                within(number, *least, *most)
            }
            Kind::Memory(least, most) => {
                let bytes = parse_bytes(given).ok_or("argument must be a memory value")?;
                within(bytes, *least, *most)
            }
            Kind::MemoryOrShare => match given.strip_suffix(b"%").map(parse_i64) {
                Some(Some(share @ 0..=100)) => Ok(format!("{share}%")),
                Some(Some(_)) => Err("percentage argument must be less or equal to 100".to_owned()),
                Some(None) => Err("argument must be a memory or percent value".to_owned()),
                None => {
                    let bytes = parse_bytes(given).ok_or("argument must be a memory or percent value")?;
                    within(bytes, 0, i64::MAX)
                }
            },
            Kind::Events => match NotifyFlags::parse(given) {
                Some(flags) => Ok(flags.text()),
                None => Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()),
            },
            Kind::Save => {
                let words: Vec<&[u8]> = given.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
                let are_numbers = words.iter().all(|word| parse_i64(word).is_some_and(|number| number >= 0));
                if words.len().is_multiple_of(2) && are_numbers {
                    Ok(text())
                } else {
                    Err("Invalid save parameters".to_owned())
                }
            }
        }
    }
}

fn within(number: i64, least: i64, most: i64) -> Result<String, String> {
    if (least..=most).contains(&number) {
        return Ok(number.to_string());
    }
    Err(format!("argument must be between {least} and {most} inclusive"))
}

/// A number of bytes, with a unit behind it or not: `kb` is 1,024, `k` is 1,000.
fn parse_bytes(text: &[u8]) -> Option<i64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor: i64 = match &*unit.to_ascii_lowercase() {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(number).ok()?.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::resp::command::EventClass;

    fn config() -> Config {
        Config::new("127.0.0.1:6379".parse().unwrap(), 100)
    }

    fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<(), String> {
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        config.set(pairs).map_err(|refusal| refusal.text().to_owned())
    }

    #[test]
    fn parameters_are_set_all_or_none_and_under_both_names() {
        let config = config();
        assert_eq!(set(&config, &[("HASH-max-ziplist-entries", "7"), ("timeout", "3")]), Ok(()));
        assert_eq!(config.packed_limits().fields_max, 7);
        assert_eq!(config.timeout(), Some(Duration::from_secs(3)));
        let found = config.get(&Pattern::ignoring_case(b"HASH-max-*-entries"), false);
        assert_eq!(found.iter().map(|(_, value)| &**value).collect::<Vec<_>>(), ["7", "7"]);
        assert!(set(&config, &[("timeout", "0"), ("maxclients", "x")]).is_err());
        assert_eq!(config.value("timeout"), "3");
    }

    #[test]
    fn a_letter_that_is_not_printed_beside_all_others_counts() {
        let config = config();
        assert_eq!(set(&config, &[("notify-keyspace-events", "EAn")]), Ok(()));
        assert_eq!(config.value("notify-keyspace-events"), "AE");
        assert!(config.notify().wants(EventClass::New));
        assert_eq!(set(&config, &[("notify-keyspace-events", "EA")]), Ok(()));
        assert!(!config.notify().wants(EventClass::New));
    }

    #[test]
    fn a_hidden_parameter_is_given_to_who_names_it() {
        let config = config();
        let found = |pattern: &[u8], is_name| config.get(&Pattern::ignoring_case(pattern), is_name).len();
        assert_eq!((found(b"key-load-delay", true), found(b"key-load-*", false)), (1, 0));
    }

    #[test]
    fn what_is_not_taken_is_told_in_redis_words() {
        let config = config();
        let failed = |name: &str, why: &str| {
            Err(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
        };
        let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'";
        assert_eq!(set(&config, &[("Foo", "1")]), Err(unknown.to_owned()));
        assert_eq!(set(&config, &[("maxmemory", "1x")]), failed("maxmemory", "argument must be a memory value"));
        assert_eq!(set(&config, &[("appendonly", "1")]), failed("appendonly", "argument must be 'yes' or 'no'"));
        assert_eq!(set(&config, &[("hz", "1"), ("hz", "2")]), failed("hz", "duplicate parameter"));
        assert_eq!(set(&config, &[("databases", "1")]), failed("databases", "can't set immutable config"));
        let share = "percentage argument must be less or equal to 100";
        assert_eq!(set(&config, &[("maxmemory-clients", "200%")]), failed("maxmemory-clients", share));
        assert_eq!(set(&config, &[("maxmemory", "1gb"), ("port", "6379"), ("maxmemory-clients", "20%")]), Ok(()));
        assert_eq!(config.value("maxmemory"), "1073741824");
    }
}
