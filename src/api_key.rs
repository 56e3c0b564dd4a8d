//! API keys: what a program shows to be served, and what a key opens.
//!
//! A key is `asof_`, its id in 12 hexadecimal digits, `_`, and 256 random bits in 64 more. The id finds the key and is no secret. Of the
//! whole text the store keeps the SHA-256, and nothing that leads back to it.

use serde::{Deserialize, Serialize};

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To look at values.
    Read,
    /// To change values, without being told any.
    Write,
    /// To run the server; it includes the others.
    Admin,
}

impl Scope {
    /// All there are, the least first.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

#[cfg(feature = "server")]
pub use text::{ApiKey, digest_of, id_of};

#[cfg(feature = "server")]
mod text {
    use std::fmt::{self, Write as _};

    use ring::digest::{SHA256, digest};
    use ring::rand::{SecureRandom as _, SystemRandom};

    use crate::error::{Error, ErrorKind, Result};

    /// What every key begins with, so that whoever finds one knows what it is.
    const PREFIX: &str = "asof_";
    /// Hexadecimal digits of an id.
    const ID_DIGITS: usize = 12;
    /// Hexadecimal digits of the secret part: 256 bits.
    const SECRET_DIGITS: usize = 64;
    /// Bytes of a key.
    const KEY_BYTES: usize = PREFIX.len() + ID_DIGITS + 1 + SECRET_DIGITS;

    /// A key that was just made. Its text is told once; it is not shown where this is printed for debugging.
    #[derive(Clone, PartialEq, Eq)]
    pub struct ApiKey(String);

    impl ApiKey {
        /// A new one, out of the system's random numbers.
        ///
        /// # Errors
        /// The system gives none.
        pub fn random() -> Result<ApiKey> {
            let mut random = [0; (ID_DIGITS + SECRET_DIGITS) / 2];
            SystemRandom::new()
                .fill(&mut random)
                .map_err(|_| Error::new(ErrorKind::Io, "the system gives no random numbers"))?;
            let digits = hex(&random);
            let (id, secret) = digits.split_at(ID_DIGITS);
            Ok(ApiKey(format!("{PREFIX}{id}_{secret}")))
        }

        /// The whole of it: whoever has this has what the key opens.
        pub fn text(&self) -> &str {
            &self.0
        }

        /// Its id, which is no secret.
        pub fn id(&self) -> &str {
            &self.0[PREFIX.len()..PREFIX.len() + ID_DIGITS]
        }

        /// What is kept of it.
        pub fn digest(&self) -> String {
            digest_of(self.0.as_bytes())
        }
    }

    impl fmt::Debug for ApiKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "ApiKey({PREFIX}{}_...)", self.id())
        }
    }

    /// The id in what may be the text of a key, if it has the form of one.
    pub fn id_of(text: &[u8]) -> Option<&str> {
        let rest = text.strip_prefix(PREFIX.as_bytes()).filter(|_| text.len() == KEY_BYTES)?;
        let (id, rest) = rest.split_at_checked(ID_DIGITS)?;
        let is_id = rest.first() == Some(&b'_') && id.iter().all(u8::is_ascii_hexdigit);
        std::str::from_utf8(id).ok().filter(|_| is_id)
    }

    /// The SHA-256 of the text of a key, in hexadecimal digits.
    pub fn digest_of(text: &[u8]) -> String {
        hex(digest(&SHA256, text).as_ref())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut digits, byte| {
            // Writing into a string does not fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn keys_differ_in_id_and_secret_and_are_not_shown_by_accident() {
            let (one, other) = (ApiKey::random().unwrap(), ApiKey::random().unwrap());
            assert_ne!(one.id(), other.id());
            assert_ne!(one.text()[18..], other.text()[18..]);
            assert_eq!(one.text().len(), KEY_BYTES);
            assert_eq!(id_of(one.text().as_bytes()), Some(one.id()));
            assert!(!format!("{one:?}").contains(&one.text()[18..]));
        }

        #[test]
        fn the_digest_is_the_sha_256_of_the_whole_text() {
            let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(digest_of(b"abc"), expected);
            let key = ApiKey::random().unwrap();
            assert_eq!(key.digest(), digest_of(key.text().as_bytes()));
        }

        #[test]
        fn what_has_not_the_form_of_a_key_has_no_id() {
            let key = ApiKey::random().unwrap();
            let text = key.text();
            let longer = format!("{text}0");
            let other_prefix = text.replace("asof_", "asog_");
            let no_hex = text.replacen(key.id(), "zzzzzzzzzzzz", 1);
            for wrong in ["", "asof_", "secret", &text[1..], &text[..text.len() - 1], &longer, &other_prefix, &no_hex] {
                assert_eq!(id_of(wrong.as_bytes()), None, "{wrong}");
            }
            assert_eq!(id_of(&[0xff; KEY_BYTES]), None);
        }
    }
}
