//! How much memory this process may still take.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that the machine can give without paging, and at most what the process's control group may take in all.
/// `None` where the system does not say.
pub fn memory_available_bytes() -> Option<u64> {
    let free = parse_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let limits = group.iter().flat_map(|group| limit_files(group)).filter_map(|path| {
        // "max" is no limit.
        fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    });
    Some(limits.fold(free, u64::min))
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Where limits stand for a group and those around it: a limit holds for all groups within.
fn limit_files(group: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in group.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let own = Path::new(path.trim_start_matches('/'));
        files.extend(own.ancestors().map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read_in_bytes() {
        let text = "MemTotal:       24683924 kB\nMemFree:        22983924 kB\nMemAvailable:   23683924 kB\n";
        assert_eq!(parse_available(text), Some(23_683_924 << 10));
        assert_eq!(parse_available("MemTotal: 5 kB\n"), None);
        assert!(memory_available_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn limits_of_all_groups_around_count() {
        let files = |group: &str| -> Vec<String> {
            limit_files(group).iter().map(|path| path.to_string_lossy().into_owned()).collect()
        };
        let expected = ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(files("0::/a/b\n"), expected);
        let expected =
            ["/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(files("5:cpu,cpuacct:/docker\n4:memory:/docker\n"), expected);
    }
}
