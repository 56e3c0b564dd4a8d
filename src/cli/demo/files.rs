//! The demo's project folder: its files come with the program.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What lies in the folder: path, contents.
const FILES: [(&str, &[u8]); 7] = [
    ("asof.toml", include_bytes!("../../../examples/flights/asof.toml")),
    ("data/README.md", include_bytes!("../../../examples/flights/data/README.md")),
    ("data/airlines.parquet", include_bytes!("../../../examples/flights/data/airlines.parquet")),
    ("data/airports.parquet", include_bytes!("../../../examples/flights/data/airports.parquet")),
    ("data/flights.parquet", include_bytes!("../../../examples/flights/data/flights.parquet")),
    ("data/planes.parquet", include_bytes!("../../../examples/flights/data/planes.parquet")),
    ("data/weather.parquet", include_bytes!("../../../examples/flights/data/weather.parquet")),
];
/// By this file a folder is known as an earlier demo.
const MARK: &str = "data/flights.parquet";

/// Makes the project in `dir`, or completes what an earlier demo left there: files that are in place stay as they
/// are, edited or not. Returns the bytes of all of them.
///
/// # Errors
/// `Refused`: the folder holds something else. The disk fails.
pub(super) fn place(dir: &Path) -> Result<u64> {
    if !is_vacant(dir)? && !dir.join(MARK).exists() {
        return Err(Error::refused("is not empty and is no earlier demo")
            .at(dir.display())
            .remedy("choose another folder with --dir"));
    }
    let data = dir.join("data");
    fs::create_dir_all(&data).map_err(|source| Error::io("make the folder", &data, source))?;
    let mut bytes = 0;
    for (name, contents) in FILES {
        let path = dir.join(name);
        if !path.exists() {
            write(&path, contents)?;
        }
        bytes += contents.len() as u64;
    }
    Ok(bytes)
}

/// Whether nothing is in `dir` but what a demo cut short before its mark may have left.
fn is_vacant(dir: &Path) -> Result<bool> {
    let trouble = |source| Error::io("list", dir, source);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(trouble(error)),
    };
    for entry in entries {
        let name = entry.map_err(trouble)?.file_name();
        let ours = |(path, contents): &(&str, &[u8])| {
            let top = path.split('/').next().expect("a path has a first part");
            let is_whole = || fs::read(dir.join(path)).is_ok_and(|found| found == *contents);
            name == *top && (top != *path || is_whole())
        };
        if !FILES.iter().any(ours) && !is_leftover(dir, &name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it is the beginning of one of the files, as a demo that was killed leaves it.
fn is_leftover(dir: &Path, name: &OsStr) -> bool {
    let begun = |(path, contents): &(&str, &[u8])| {
        name == temporary(Path::new(path)).as_os_str()
            && fs::read(dir.join(name)).is_ok_and(|found| contents.starts_with(&found))
    };
    FILES.iter().any(begun)
}

/// Where a file is written before it gets its name.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// A file that is there whole or not at all.
fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let temporary = temporary.as_path();
    fs::write(temporary, contents).map_err(|source| Error::io("write", temporary, source))?;
    fs::rename(temporary, path).map_err(|source| Error::io("rename into place", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_demo_leaves_is_completed_and_what_is_anybodys_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("asof-demo-files-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let (name, contents) = FILES[0];
        let begun = dir.join(format!("{name}.tmp"));
        fs::write(&begun, &contents[..100]).unwrap();
        assert!(is_vacant(&dir).unwrap());
        fs::write(&begun, "somebody's own").unwrap();
        assert!(!is_vacant(&dir).unwrap());
        fs::remove_file(&begun).unwrap();
        fs::write(dir.join("thesis.tmp"), "").unwrap();
        assert!(!is_vacant(&dir).unwrap());
        fs::remove_dir_all(&dir).unwrap();
    }
}
