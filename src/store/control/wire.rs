//! Messages on the socket: a tag, a length, and JSON or one batch as an Arrow IPC stream.

use std::io::{Cursor, Read, Write};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

const TAG_JSON: u8 = 1;
const TAG_BATCH: u8 = 2;
/// Nobody sends more in one message; who says so is not believed.
const MESSAGE_BYTES_MAX: u64 = 2 << 30;

/// What a call came to.
#[derive(Debug, Serialize, Deserialize)]
enum Answer<T> {
    Done(T),
    Failed { kind: ErrorKind, what: String },
}

fn broken(source: std::io::Error) -> Error {
    uncertain(format!("the connection to the process that holds the store broke: {source}")).caused_by(source)
}

/// Nobody knows how far the call came.
pub(super) fn uncertain(what: String) -> Error {
    Error::new(ErrorKind::Io, what)
        .remedy("what was sent last may have been done, or not: look before you send it again")
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Damaged, format!("a message on control.sock cannot be read: {what}"))
}

fn send(to: &mut impl Write, tag: u8, body: &[u8], bytes_max: u64) -> Result<()> {
    if body.len() as u64 > bytes_max {
        // Before a byte of it is sent: the other side would end the connection in the middle of it.
        return Err(Error::invalid(format!(
            "{} bytes are too many for one message on control.sock, which takes {bytes_max}",
            body.len()
        ))
        .remedy("give fewer rows at once"));
    }
    let mut head = [tag; 9];
    head[1..].copy_from_slice(&(body.len() as u64).to_le_bytes());
    to.write_all(&head).and_then(|()| to.write_all(body)).and_then(|()| to.flush()).map_err(broken)
}

/// The next message's body; `None` where the other side has ended between messages.
fn receive(from: &mut impl Read, tag: u8) -> Result<Option<Vec<u8>>> {
    let mut head = [0; 9];
    let began = loop {
        match from.read(&mut head[..1]) {
            Err(source) if source.kind() == std::io::ErrorKind::Interrupted => {}
            began => break began.map_err(broken)?,
        }
    };
    if began == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..]).map_err(broken)?;
    let (found, len) = (head[0], head[1..].iter().rev().fold(0_u64, |len, byte| len << 8 | u64::from(*byte)));
    if found != tag || len > MESSAGE_BYTES_MAX {
        return Err(malformed(format!("kind {found} of {len} bytes where kind {tag} was expected")));
    }
    // Grows with what comes, not with what was announced.
    let mut body = Vec::new();
    from.take(len).read_to_end(&mut body).map_err(broken)?;
    if body.len() as u64 != len {
        return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(body))
}

pub(super) fn send_call(to: &mut impl Write, call: &impl Serialize) -> Result<()> {
    send(to, TAG_JSON, &serde_json::to_vec(call).map_err(malformed)?, MESSAGE_BYTES_MAX)
}

pub(super) fn receive_call<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>> {
    let Some(body) = receive(from, TAG_JSON)? else { return Ok(None) };
    serde_json::from_slice(&body).map(Some).map_err(malformed)
}

pub(super) fn send_batch(to: &mut impl Write, batch: &RecordBatch) -> Result<()> {
    let encoded = || {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        writer.write(batch)?;
        writer.into_inner()
    };
    let encoded = encoded().map_err(|error| Error::invalid(format!("the batch cannot be sent: {error}")))?;
    send(to, TAG_BATCH, &encoded, MESSAGE_BYTES_MAX)
}

pub(super) fn receive_batch(from: &mut impl Read) -> Result<RecordBatch> {
    let body = receive(from, TAG_BATCH)?.ok_or_else(|| broken(std::io::ErrorKind::UnexpectedEof.into()))?;
    let mut reader = StreamReader::try_new(Cursor::new(body), None).map_err(malformed)?;
    reader.next().ok_or_else(|| malformed("there is no batch in it"))?.map_err(malformed)
}

pub(super) fn send_answer<T: Serialize>(to: &mut impl Write, outcome: Result<T>) -> Result<()> {
    let answer = match outcome {
        Ok(value) => Answer::Done(value),
        Err(error) => Answer::Failed { kind: error.kind(), what: error.to_string() },
    };
    send(to, TAG_JSON, &serde_json::to_vec(&answer).map_err(malformed)?, MESSAGE_BYTES_MAX)
}

pub(super) fn receive_answer<T: DeserializeOwned>(from: &mut impl Read) -> Result<T> {
    let answer = receive_call(from)?.ok_or_else(|| broken(std::io::ErrorKind::UnexpectedEof.into()))?;
    match answer {
        Answer::Done(value) => Ok(value),
        Answer::Failed { kind, what } => Err(Error::new(kind, what)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn calls_batches_and_answers_come_back_as_they_were() {
        let batch = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)]).unwrap();
        let mut bytes = Vec::new();
        send_call(&mut bytes, &("call", 7)).unwrap();
        send_batch(&mut bytes, &batch.slice(1, 2)).unwrap();
        send_answer(&mut bytes, Ok(5_u64)).unwrap();
        send_answer::<u64>(&mut bytes, Err(Error::refused("no").remedy("ask again"))).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(receive_call(&mut from).unwrap(), Some(("call".to_owned(), 7)));
        assert_eq!(receive_batch(&mut from).unwrap(), batch.slice(1, 2));
        assert_eq!(receive_answer::<u64>(&mut from).unwrap(), 5);
        let error = receive_answer::<u64>(&mut from).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Refused, "no; ask again".to_owned()));
        assert_eq!(receive_call::<u64>(&mut from).unwrap(), None);
    }

    /// Reads a byte at a time, each after a signal.
    struct Interrupted<'a>(&'a [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let len = out.len().min(1);
            self.0.read(&mut out[..len])
        }
    }

    #[test]
    fn a_signal_between_two_bytes_breaks_no_connection() {
        let mut bytes = Vec::new();
        send_call(&mut bytes, &("call", 7)).unwrap();
        let mut from = Interrupted(&bytes, false);
        assert_eq!(receive_call(&mut from).unwrap(), Some(("call".to_owned(), 7)));
        assert_eq!(receive_call::<u64>(&mut from).unwrap(), None);
    }

    #[test]
    fn what_is_too_long_for_a_message_is_not_begun() {
        let mut bytes = Vec::new();
        send(&mut bytes, TAG_BATCH, &[7; 10], 10).unwrap();
        let sent = bytes.len();
        let error = send(&mut bytes, TAG_BATCH, &[7; 11], 10).unwrap_err();
        assert_eq!((error.kind(), bytes.len()), (ErrorKind::Invalid, sent), "{error}");
        assert!(error.to_string().contains("11 bytes are too many") && error.way_out().is_some(), "{error}");
    }

    #[test]
    fn what_is_cut_short_or_announced_too_large_is_an_error() {
        let mut bytes = Vec::new();
        send_call(&mut bytes, &"a call of some length").unwrap();
        for len in 1..bytes.len() {
            assert!(receive_call::<String>(&mut &bytes[..len]).is_err(), "{len} bytes");
        }
        let giant = [&[TAG_JSON][..], &u64::MAX.to_le_bytes(), b"x"].concat();
        assert_eq!(receive_call::<String>(&mut giant.as_slice()).unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(receive_batch(&mut bytes.as_slice()).unwrap_err().kind(), ErrorKind::Damaged);
    }
}
