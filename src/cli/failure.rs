//! Why a command did not do what was asked, and the exit status that says so.

use std::io;

use super::output::lines;
use crate::error::{Error, ErrorKind};

/// The command did what was asked.
pub const DONE: u8 = 0;
/// It could not: bad input, a name that is not there, the disk.
pub const FAILED: u8 = 1;
/// What was typed is no command.
pub const USAGE: u8 = 2;
/// Understood and refused, or damage was found.
pub const REFUSED: u8 = 3;

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// An error of the store, its files or its input.
    Store(Error),
    /// An argument that is malformed in itself, whatever the store holds.
    Usage(Error),
    /// Standard output cannot be written to.
    Output(io::Error),
    /// Damage was found, and the command's own output says so: what is damaged.
    Damage(String),
}

impl Failure {
    /// The process's exit status.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Store(error) => match error.kind() {
                ErrorKind::Refused | ErrorKind::Locked | ErrorKind::Damaged | ErrorKind::NewerFormat => REFUSED,
                _ => FAILED,
            },
            Failure::Usage(_) => USAGE,
            // Whoever reads the output had enough of it, as `head` does.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE,
            Failure::Output(_) => FAILED,
            Failure::Damage(_) => REFUSED,
        }
    }

    /// What to print on standard error.
    pub fn text(&self) -> Option<String> {
        let text = match self {
            Failure::Store(error) | Failure::Usage(error) => format!("error: {error}"),
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return None,
            Failure::Output(error) => {
                format!(
                    "error: standard output: {error}; what was changed by then stays changed, its report alone is missing"
                )
            }
            Failure::Damage(what) => format!("error: {what}"),
        };
        Some(lines(&text))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_trouble_has_its_exit_status() {
        for (kind, status) in [
            (ErrorKind::Invalid, 1),
            (ErrorKind::NotFound, 1),
            (ErrorKind::NoSpace, 1),
            (ErrorKind::Io, 1),
            (ErrorKind::Poisoned, 1),
            (ErrorKind::Refused, 3),
            (ErrorKind::Locked, 3),
            (ErrorKind::Damaged, 3),
            (ErrorKind::NewerFormat, 3),
        ] {
            assert_eq!(Failure::from(Error::new(kind, "x")).status(), status, "{kind:?}");
        }
        assert_eq!(Failure::Usage(Error::invalid("x")).status(), 2);
        assert_eq!(Failure::Damage("x".into()).status(), 3);
    }

    #[test]
    fn a_reader_that_had_enough_is_no_failure() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.status(), gone.text()), (0, None));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.status(), 1);
        assert!(full.text().is_some_and(|text| text.contains("its report alone is missing")));
    }
}
