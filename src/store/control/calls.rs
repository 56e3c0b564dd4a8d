//! One connection, in the process that holds the store: call after call, until the client ends.

use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::wire::{receive_batch, receive_call, send_answer, uncertain};
use super::{Call, Hello};
use crate::caught::message;
use crate::engine::closed;
use crate::error::{Error, ErrorKind, Result};
use crate::request::ApplyOptions;
use crate::store::{BulkWriter, Store, WeakStore};

/// Serves a connection to its end. Whatever that is, a client that waits for an answer gets one.
pub(super) fn attend(mut stream: &UnixStream, store: &WeakStore) {
    let error = match catch_unwind(AssertUnwindSafe(|| serve(&mut stream, store))) {
        Ok(Ok(())) => return,
        // Nothing goes either way any more.
        Ok(Err(error)) if error.kind() == ErrorKind::Io => {
            tracing::debug!(%error, "a connection to control.sock broke");
            return;
        }
        Ok(Err(error)) => error,
        Err(panic) => {
            uncertain(format!("the process that holds the store panicked over the call: {}", message(&*panic)))
        }
    };
    tracing::warn!(%error, "a connection to control.sock was ended");
    let _ = send_answer::<()>(&mut stream, Err(error));
}

/// Answers call after call until the client ends.
fn serve(stream: &mut &UnixStream, weak: &WeakStore) -> Result<()> {
    let ours = Hello::ours();
    send_answer(stream, Ok(&ours))?;
    // Whoever only asks whether somebody listens says nothing.
    let Some(client) = receive_call(stream)? else { return Ok(()) };
    Hello::check(&ours, &client)?;
    while let Some(call) = receive_call(stream)? {
        let Some(store) = weak.upgrade() else {
            return Err(closed());
        };
        if let Call::Import { view, options } = call {
            match store.bulk_writer(&view, options) {
                Ok(writer) => {
                    send_answer(stream, Ok(()))?;
                    drop(store);
                    return import(stream, writer);
                }
                Err(error) => send_answer::<()>(stream, Err(error))?,
            }
        } else {
            answer(stream, &store, call)?;
        }
    }
    Ok(())
}

fn answer(stream: &mut &UnixStream, store: &Store, call: Call) -> Result<()> {
    match call {
        Call::Apply { definitions, prune } => {
            send_answer(stream, store.apply(&definitions, ApplyOptions { prune }).map(|_| ()))
        }
        Call::Write { view, options } => {
            let batch = receive_batch(stream)?;
            send_answer(stream, store.write_with(&view, &batch, &options))
        }
        Call::Delete { view, key, options } => send_answer(stream, store.delete_encoded(&view, &key, &options)),
        Call::Snapshot { name } => send_answer(stream, store.snapshot(&name)),
        Call::AddKey { record } => send_answer(stream, store.add_key(record)),
        Call::RevokeKey { key } => send_answer(stream, store.revoke_key(&key)),
        Call::ImportVersion { view, from_version } => send_answer(stream, store.import_version(&view, from_version)),
        Call::Compact => send_answer(stream, store.compact()),
        other => send_answer::<()>(stream, Err(Error::invalid(format!("no import is under way for {other:?}")))),
    }
}

/// An import, to its commit. Where the client vanishes before, the writer is dropped and leaves nothing.
fn import(stream: &mut &UnixStream, mut writer: BulkWriter) -> Result<()> {
    while let Some(call) = receive_call(stream)? {
        match call {
            Call::WasImported { digest, without } => {
                send_answer(stream, writer.was_imported_without(&digest, &without))?;
            }
            Call::BeginFile { path } => send_answer(stream, writer.begin_file(path))?,
            Call::EndFile { digest, rows_unread } => send_answer(stream, writer.end_file(digest, rows_unread))?,
            Call::SkipFile { path } => send_answer(stream, writer.skip_file(path))?,
            Call::QuarantineFile => send_answer(stream, writer.quarantine_file())?,
            Call::Batch => {
                let batch = receive_batch(stream)?;
                send_answer(stream, writer.write(&batch))?;
            }
            Call::Commit => return send_answer(stream, writer.commit()),
            other => send_answer::<()>(stream, Err(Error::invalid(format!("an import is under way, not {other:?}"))))?,
        }
    }
    Ok(())
}
