//! Passwords that stand in texts.

use std::borrow::Cow;

/// A text without the user and password of the URL that it is or ends with: `--redis=redis://***@host/0`.
pub(crate) fn without_password(text: &str) -> Cow<'_, str> {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => Cow::Owned(format!("{}://***{}", &text[..scheme], &text[at..])),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("redis://app:secret@host:6379/0", "redis://***@host:6379/0"),
            ("--redis=rediss://:a@b/c@host", "--redis=rediss://***@host"),
            ("redis://host/0", "redis://host/0"),
            ("asof", "asof"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
