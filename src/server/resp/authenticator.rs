//! Who may connect.

/// What `AUTH` and `HELLO AUTH` are held against.
#[derive(Clone, Debug, Default)]
pub enum Authenticator {
    /// Everybody may do everything.
    #[default]
    None,
    /// The user `default` has this password.
    Password(Box<[u8]>),
}

impl Authenticator {
    /// Whether a connection has to authenticate before anything else.
    pub fn is_required(&self) -> bool {
        matches!(self, Authenticator::Password(_))
    }

    /// Whether a user has this password. Without passwords the user `default` has every one.
    pub fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        match self {
            Authenticator::None => user == b"default",
            Authenticator::Password(expected) => are_equal(password, expected) & (user == b"default"),
        }
    }
}

/// Compares in a time that depends on the lengths alone.
fn are_equal(given: &[u8], expected: &[u8]) -> bool {
    let padded = expected.iter().chain(std::iter::repeat(&0));
    let difference = given.iter().zip(padded).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0 && given.len() == expected.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_whole_of_it_and_of_the_user_default() {
        let authenticator = Authenticator::Password((*b"secret").into());
        assert!(authenticator.admits(b"default", b"secret"));
        for wrong in [&b""[..], b"secre", b"secret\0", b"Secret"] {
            assert!(!authenticator.admits(b"default", wrong), "{}", wrong.escape_ascii());
        }
        assert!(!authenticator.admits(b"admin", b"secret"));
    }
}
