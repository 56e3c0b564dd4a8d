//! Who may connect, and for what.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::{Access, Grant, KeyRing};

/// The name of who shows no key.
const DEFAULT_USER: &str = "default";

thread_local! {
    /// Of who may do everything. Each thread has its own: most requests take it, and it counts who has it.
    static EVERYTHING: Arc<Grant> =
        Arc::new(Grant { key: None, name: DEFAULT_USER.into(), access: Access::EVERYTHING });
}

/// What `AUTH` and `HELLO AUTH` are held against.
#[derive(Clone, Debug, Default)]
pub enum Authenticator {
    /// Everybody may do everything.
    #[default]
    None,
    /// The user `default` has this password, and may do everything.
    Password(Box<[u8]>),
    /// The password is a key of the store; the user is `default`, or what the key is called. While the store never had a key,
    /// everybody may do everything.
    Keys(Arc<KeyRing>),
}

impl Authenticator {
    /// Whether a connection has to authenticate before anything else.
    pub fn is_required(&self) -> bool {
        match self {
            Authenticator::None => false,
            Authenticator::Password(_) => true,
            Authenticator::Keys(keys) => keys.is_required(),
        }
    }

    /// What a connection may do that showed nothing, if it may do anything.
    pub fn unasked(&self) -> Option<Arc<Grant>> {
        (!self.is_required()).then(|| EVERYTHING.with(Arc::clone))
    }

    /// What a user may do who shows this password, if it is right. Where none is required the user `default` has every one.
    pub fn admit(&self, user: &[u8], password: &[u8]) -> Option<Arc<Grant>> {
        let is_default = user == DEFAULT_USER.as_bytes();
        match self {
            Authenticator::Password(expected) => {
                let is_right: bool = password.ct_eq(expected).into();
                (is_right & is_default).then(|| EVERYTHING.with(Arc::clone))
            }
            Authenticator::Keys(keys) if keys.is_required() => {
                keys.admit(password).filter(|grant| is_default || *user == *grant.name.as_bytes())
            }
            Authenticator::None | Authenticator::Keys(_) => is_default.then(|| EVERYTHING.with(Arc::clone)),
        }
    }

    /// Another number whenever what was granted may be so no more. Cheap enough to ask before every batch of commands.
    #[inline]
    pub fn revision(&self) -> u64 {
        match self {
            Authenticator::None | Authenticator::Password(_) => 0,
            Authenticator::Keys(keys) => keys.revision(),
        }
    }

    /// Whether what was granted still is.
    pub fn still_grants(&self, grant: &Grant) -> bool {
        match self {
            Authenticator::None | Authenticator::Password(_) => true,
            Authenticator::Keys(keys) => keys.still_grants(grant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::Scope;
    use crate::store::Store;

    #[test]
    fn a_password_is_the_whole_of_it_and_of_the_user_default() {
        let authenticator = Authenticator::Password((*b"secret").into());
        assert!(authenticator.admit(b"default", b"secret").is_some());
        for wrong in [&b""[..], b"secre", b"secret\0", b"Secret"] {
            assert!(authenticator.admit(b"default", wrong).is_none(), "{}", wrong.escape_ascii());
        }
        assert!(authenticator.admit(b"admin", b"secret").is_none());
    }

    #[test]
    fn a_key_is_the_password_of_the_user_default_and_of_one_by_its_own_name() {
        let store = Store::temporary().unwrap();
        let authenticator = Authenticator::Keys(Arc::new(KeyRing::new(store.key_records().unwrap())));
        assert!(!authenticator.is_required() && authenticator.unasked().is_some());
        assert!(authenticator.admit(b"default", b"anything").is_some());
        let (key, _) = store.create_key("feast", &[Scope::Read], &[]).unwrap();
        assert!(authenticator.is_required() && authenticator.unasked().is_none());
        for user in [&b"default"[..], b"feast"] {
            assert_eq!(&*authenticator.admit(user, key.text().as_bytes()).unwrap().name, "feast");
        }
        for (user, password) in [(&b"other"[..], key.text()), (b"feast", "feast"), (b"default", "anything")] {
            assert!(authenticator.admit(user, password.as_bytes()).is_none(), "{password}");
        }
    }
}
