//! The lengths that an Arrow IPC file declares, held against what it has, before Arrow allocates by them.
//!
//! An allocation that fails is no panic but the end of the process, so nothing that Arrow allocates may
//! come from a word that was not checked here: the footer's and the blocks' lengths, and what a
//! compressed buffer says its length will be.

use std::collections::HashMap;

use arrow_ipc::{CompressionType, Message, RecordBatch};
use arrow_schema::ArrowError;

use super::file::SourceFile;
use super::source_options::{SourceOptions, WHOLE_WAY_OUT};
use crate::error::Error;

type Result<T> = std::result::Result<T, ArrowError>;

/// What one byte of LZ4 stands for at most: a byte that lengthens a match, by 255.
const LZ4_RATIO_MAX: u64 = 255;
/// The same of Zstandard: a block of four bytes that repeats one byte 128 Ki times.
const ZSTD_RATIO_MAX: u64 = 32 << 10;
/// A compressed buffer begins with its length when it is not.
const PREFIX_BYTES: u64 = 8;
/// What is copied of dictionaries that grow is at most so many times what may be in memory: work of some minutes.
const COPIES_TIMES_MAX: u64 = 256;
/// What stands there instead when it was not compressed after all.
const NOT_COMPRESSED: i64 = -1;

/// Checks a file: by the blocks in its footer. It may take as much memory at once as the options say.
pub(super) fn check_file_lengths(file: &SourceFile, options: &SourceOptions) -> Result<()> {
    let tail = file.len_bytes().checked_sub(10).ok_or_else(beyond)?;
    let footer_len = u64::from(u32_of(&bytes_at(file, tail, 4)?));
    let footer = bytes_at(file, tail.checked_sub(footer_len).ok_or_else(beyond)?, footer_len)?;
    let footer = arrow_ipc::root_as_footer(&footer).map_err(|error| ArrowError::IpcError(error.to_string()))?;
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    let (mut decoded, mut blocks_bytes) = (Decoded::new(options, false), 0_u64);
    for block in blocks {
        let start = u64::try_from(block.offset()).map_err(|_| beyond())?;
        let head_len = u64::try_from(block.metaDataLength()).map_err(|_| beyond())?;
        let body_len = u64::try_from(block.bodyLength()).map_err(|_| beyond())?;
        let body = start.checked_add(head_len).ok_or_else(beyond)?;
        if body.checked_add(body_len).is_none_or(|end| end > file.len_bytes()) {
            return Err(beyond());
        }
        // Nor are any of the same bytes.
        blocks_bytes = blocks_bytes.saturating_add(head_len).saturating_add(body_len);
        if blocks_bytes > file.len_bytes() {
            return Err(beyond());
        }
        let head = bytes_at(file, start, head_len)?;
        // The length of the message, in older files without the mark before it.
        let prefix = if head.starts_with(&CONTINUATION.to_le_bytes()) { 8 } else { 4 };
        decoded.check(file, message_of(head.get(prefix..).ok_or_else(beyond)?)?, body, body_len)?;
    }
    Ok(())
}

/// Checks a stream: message by message, as a file.
pub(super) fn check_stream_lengths(file: &SourceFile, options: &SourceOptions) -> Result<()> {
    let mut decoded = Decoded::new(options, true);
    let mut at = 0;
    while at + 4 <= file.len_bytes() {
        let mut len = u32_of(&bytes_at(file, at, 4)?);
        at += 4;
        if len == CONTINUATION {
            len = u32_of(&bytes_at(file, at, 4)?);
            at += 4;
        }
        if len == 0 {
            break;
        }
        let head = bytes_at(file, at, len.into())?;
        let message = message_of(&head)?;
        let body_len = u64::try_from(message.bodyLength()).map_err(|_| beyond())?;
        let body = at.checked_add(u64::from(len)).ok_or_else(beyond)?;
        at = body.checked_add(body_len).ok_or_else(beyond)?;
        if at > file.len_bytes() {
            return Err(beyond());
        }
        decoded.check(file, message, body, body_len)?;
    }
    Ok(())
}

const CONTINUATION: u32 = u32::MAX;

fn message_of(head: &[u8]) -> Result<Message<'_>> {
    arrow_ipc::root_as_message(head).map_err(|error| ArrowError::IpcError(error.to_string()))
}

/// What is in memory at once of what a file decodes to: its dictionaries, and one batch of rows, or all.
struct Decoded {
    /// By their ids.
    dictionaries: HashMap<i64, u64>,
    /// Of all of these.
    dictionaries_bytes: u64,
    /// Of all that were copied to grow.
    copied: u64,
    /// Of what was there before, where that is kept.
    kept: u64,
    keeps_all: bool,
    /// The batches of a stream have the dictionaries that there were when they were written; those of a file the last ones.
    is_stream: bool,
    bytes_max: u64,
}

impl Decoded {
    fn new(options: &SourceOptions, is_stream: bool) -> Decoded {
        Decoded {
            dictionaries: HashMap::new(),
            dictionaries_bytes: 0,
            copied: 0,
            kept: 0,
            keeps_all: options.is_read_whole,
            is_stream,
            bytes_max: options.decoded_bytes_max.unwrap_or(u64::MAX),
        }
    }

    /// Checks a message, whose body begins at `body` and has `body_len` bytes: what its compressed buffers say they will be, each, and all
    /// that is in memory with them.
    fn check(&mut self, file: &SourceFile, message: Message<'_>, body: u64, body_len: u64) -> Result<()> {
        let dictionary = message.header_as_dictionary_batch();
        let batch = message.header_as_record_batch().or(dictionary.and_then(|dictionary| dictionary.data()));
        let buffers = batch.map_or(Ok(0), |batch| check_buffers(file, batch, body, body_len))?;
        let own = buffers.max(body_len);
        let Some(dictionary) = dictionary else {
            self.ask(file, own)?;
            if self.keeps_all {
                self.kept = self.kept.saturating_add(own);
            }
            return Ok(());
        };
        let before = self.dictionaries.get(&dictionary.id()).copied().unwrap_or(0);
        // What a delta is added to is copied with it.
        let (decoded, added) = match dictionary.isDelta() {
            true => (own.saturating_add(before), own),
            false => (own, 0),
        };
        // The one before is there until this one takes its place, and longer if batches have it.
        self.ask(file, decoded.saturating_add(added))?;
        self.copied = self.copied.saturating_add(decoded - own);
        if self.copied / COPIES_TIMES_MAX > self.bytes_max {
            let way_out = "write it as fewer, longer batches, or its texts without dictionaries";
            return Err(refusal(file, "its dictionaries grow too often", way_out));
        }
        if self.keeps_all && self.is_stream {
            self.kept = self.kept.saturating_add(before);
        }
        self.dictionaries.insert(dictionary.id(), decoded);
        self.dictionaries_bytes = self.dictionaries_bytes.saturating_sub(before).saturating_add(decoded);
        Ok(())
    }

    /// Whether there may be so many bytes more.
    fn ask(&self, file: &SourceFile, more: u64) -> Result<()> {
        let together = self.kept.saturating_add(self.dictionaries_bytes).saturating_add(more);
        if together > self.bytes_max {
            let way_out = if self.keeps_all { WHOLE_WAY_OUT } else { "write it as several batches of fewer rows" };
            return Err(refusal(file, &format!("takes more than {} bytes of memory at once", self.bytes_max), way_out));
        }
        match can_allocate(together) {
            true => Ok(()),
            false => Err(ArrowError::IpcError(format!("it takes {together} bytes of memory, which there are not"))),
        }
    }
}

fn refusal(file: &SourceFile, what: &str, way_out: &str) -> ArrowError {
    ArrowError::ExternalError(Box::new(Error::invalid(what).at(file.path().display()).remedy(way_out)))
}

/// What the buffers of a batch will be together, decompressed, when each of them may be what it says.
fn check_buffers(file: &SourceFile, batch: RecordBatch<'_>, body: u64, body_len: u64) -> Result<u64> {
    let ratio_max = match batch.compression().map(|compression| compression.codec()) {
        None => None,
        Some(CompressionType::LZ4_FRAME) => Some(LZ4_RATIO_MAX),
        Some(CompressionType::ZSTD) => Some(ZSTD_RATIO_MAX),
        // Arrow refuses it.
        Some(_) => return Ok(0),
    };
    let (mut together, mut stored) = (0_u64, 0_u64);
    for buffer in batch.buffers().into_iter().flatten() {
        let start = u64::try_from(buffer.offset()).map_err(|_| beyond())?;
        let len = u64::try_from(buffer.length()).map_err(|_| beyond())?;
        // Nor are several of the same bytes: what they stand for is copied for each.
        stored = stored.saturating_add(len);
        if stored > body_len || start.checked_add(len).is_none_or(|end| end > body_len) {
            return Err(beyond());
        }
        let declared = match (ratio_max, len.checked_sub(PREFIX_BYTES)) {
            (Some(ratio_max), Some(compressed)) => declared_at(file, body + start, compressed, ratio_max)?,
            _ => None,
        };
        together = together.saturating_add(declared.unwrap_or(len));
    }
    Ok(together)
}

/// What a compressed buffer says it will be, which so many bytes may stand for; `None` where it was not compressed after all.
fn declared_at(file: &SourceFile, at: u64, compressed: u64, ratio_max: u64) -> Result<Option<u64>> {
    let declared = bytes_at(file, at, PREFIX_BYTES)?;
    let declared = declared.first_chunk().map_or(0, |eight| i64::from_le_bytes(*eight));
    if declared == NOT_COMPRESSED {
        return Ok(None);
    }
    let declared = u64::try_from(declared).map_err(|_| beyond())?;
    match declared <= compressed.saturating_mul(ratio_max) {
        true => Ok(Some(declared)),
        false => {
            Err(ArrowError::IpcError(format!("a compressed buffer of {compressed} bytes declares {declared} bytes")))
        }
    }
}

/// Whether so many bytes can be had at all. Asked here, the answer may be no.
fn can_allocate(bytes: u64) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let is_reserved = usize::try_from(bytes).is_ok_and(|bytes| probe.try_reserve_exact(bytes).is_ok());
    // Memory that nobody looks at need not be allocated by an optimizing compiler.
    std::hint::black_box(probe.as_ptr());
    is_reserved
}

fn beyond() -> ArrowError {
    ArrowError::IpcError("a length in it is greater than the file".to_owned())
}

/// The bytes of the file in this range, which it must have.
fn bytes_at(file: &SourceFile, offset: u64, len: u64) -> Result<Vec<u8>> {
    if offset.checked_add(len).is_none_or(|end| end > file.len_bytes()) {
        return Err(beyond());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| beyond())?];
    let read = file.read_up_to(offset, &mut bytes).map_err(|error| ArrowError::IpcError(error.to_string()))?;
    if read == bytes.len() { Ok(bytes) } else { Err(beyond()) }
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}
