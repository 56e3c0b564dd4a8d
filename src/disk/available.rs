//! How much memory this process may still take.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that the machine can give without paging, or that the process's control groups have left if that is less.
/// `None` where the system does not say.
pub fn memory_available_bytes() -> Option<u64> {
    let free = parse_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let rooms = group.iter().flat_map(|group| groups_around(group)).filter_map(|(folder, files)| {
        let read = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        room(files, &read(files.limit), &read(files.usage), &read("memory.stat"))
    });
    Some(rooms.fold(free, u64::min))
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What a version of control groups calls its files, and in memory.stat the pages of files of a group with those within it.
#[derive(Debug, PartialEq, Eq)]
struct GroupFiles {
    limit: &'static str,
    usage: &'static str,
    cached: [&'static str; 2],
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cached: ["total_active_file", "total_inactive_file"],
};
const VERSION_2: GroupFiles =
    GroupFiles { limit: "memory.max", usage: "memory.current", cached: ["active_file", "inactive_file"] };

/// The folders of a group and those around it: a limit holds for all groups within.
fn groups_around(group: &str) -> Vec<(PathBuf, &'static GroupFiles)> {
    let mut groups = Vec::new();
    for line in group.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, files) = match controllers {
            "" => ("/sys/fs/cgroup", &VERSION_2),
            _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", &VERSION_1),
            _ => continue,
        };
        let own = Path::new(path.trim_start_matches('/'));
        groups.extend(own.ancestors().map(|group| (Path::new(root).join(group), files)));
    }
    groups
}

/// What a group's limit leaves beyond what is used. Pages of files are given up when memory is wanted, and count as free.
fn room(files: &GroupFiles, limit: &str, usage: &str, stat: &str) -> Option<u64> {
    // "max" is no limit.
    let limit = limit.trim().parse::<u64>().ok()?;
    let fields = stat.lines().filter_map(|line| line.split_once(' '));
    let cached = fields.filter(|(name, _)| files.cached.contains(name));
    let cached: u64 = cached.filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok()).sum();
    let used = usage.trim().parse().unwrap_or(0u64).saturating_sub(cached);
    Some(limit.saturating_sub(used))
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
        let folders = |group: &str, version: &GroupFiles| -> Vec<String> {
            let groups = groups_around(group);
            assert!(groups.iter().all(|(_, files)| *files == version), "{groups:?}");
            groups.iter().map(|(folder, _)| folder.to_string_lossy().into_owned()).collect()
        };
        let expected = ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup/"];
        assert_eq!(folders("0::/a/b\n", &VERSION_2), expected);
        let expected = ["/sys/fs/cgroup/memory/docker", "/sys/fs/cgroup/memory/"];
        assert_eq!(folders("5:cpu,cpuacct:/docker\n4:memory:/docker\n", &VERSION_1), expected);
    }

    #[test]
    fn what_a_group_uses_is_taken_from_its_limit_but_for_pages_of_files() {
        let stat = "anon 700\nactive_file 100\ninactive_file 50\ntotal_active_file 200\ntotal_inactive_file 60\n";
        assert_eq!(room(&VERSION_2, "1000\n", "850\n", stat), Some(300));
        assert_eq!(room(&VERSION_1, "1000\n", "860\n", stat), Some(400));
        assert_eq!(room(&VERSION_2, "max\n", "850\n", stat), None);
        assert_eq!(room(&VERSION_2, "1000\n", "", ""), Some(1_000));
        assert_eq!(room(&VERSION_2, "1000\n", "1900\n", ""), Some(0));
    }
}
