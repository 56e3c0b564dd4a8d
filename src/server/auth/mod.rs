//! Who is served, and with what: API keys, held against what a connection shows. It knows no protocol; each asks in its own words.

mod access;
mod authenticator;
mod key_ring;

pub use access::{Access, Grant, KEYSPACE};
pub use authenticator::Authenticator;
pub use key_ring::KeyRing;
