//! Log segments: raw sectors, sealed ones that hold anything, and groups whose frames have sound checksums.
#![no_main]

use std::sync::Arc;

use asof::disk::{Disk, MemDisk, OpenMode};
use asof::format::log::{FRAME_HEADER_BYTES, FRAME_ROWS, GroupHeader, SEGMENT_SEQ_SPAN, SegmentHeader, position};
use asof::format::row::RowLayout;
use asof::format::sector::{SECTOR_BYTES, SectorSeal};
use asof::log::{LogPlace, LogReader, recover, segment_name};
use asof_fuzz::{all_types, put};
use libfuzzer_sys::fuzz_target;

const SEED: u64 = 99;
const UUID: [u8; 16] = [7; 16];

fuzz_target!(|bytes: &[u8]| {
    let Some(([how, many, synced, place_of_end], bytes)) = bytes.split_first_chunk::<4>() else { return };
    let seal = SectorSeal::new(SEED, 1);
    let mut sectors = Vec::new();
    match how % 4 {
        0 => sectors.extend(bytes),
        1 => seal.push_sectors(bytes, 1, &mut sectors),
        _ => {
            let mut frames = bytes.to_vec();
            let count = if how % 4 == 2 { seal_frames(&mut frames) } else { u32::from(*many) };
            let group = GroupHeader {
                len_bytes: u32::try_from(frames.len()).expect("short"),
                frame_count: count,
                synced: position(1, u32::from(*synced) * 64),
            };
            let mut payload = group.encode(seal, 1).to_vec();
            payload.extend(frames);
            seal.push_sectors(&payload, 1, &mut sectors);
        }
    }
    let header = SegmentHeader {
        store_uuid: UUID,
        segment: 1,
        file_bytes: (SECTOR_BYTES + sectors.len() + 2 * SECTOR_BYTES) as u64,
        first_seq: 1,
        seq_limit: 1 + SEGMENT_SEQ_SPAN,
        prev_end: 0,
        synced: 0,
    };
    let mut file = Vec::new();
    seal.push_sectors(&header.encode(), 0, &mut file);
    file.extend(&sectors);
    file.resize(usize::try_from(header.file_bytes).expect("short"), 0);
    let disk = MemDisk::volatile();
    disk.create_dir("/log".as_ref()).expect("a folder");
    put(&disk, &format!("/log/{}", segment_name(1)), &file);
    let place = LogPlace { disk: Arc::new(disk), folder: "/log".into(), store_uuid: UUID, store_seed: SEED };
    let layout = RowLayout::new(all_types());
    let mut frames = 0;
    let end = position(1, u32::from(*place_of_end) * 128);
    for clean_end in [None, Some(end)] {
        let recovered = recover(&place, OpenMode::Write, 1, 0, clean_end, |frame, at| {
            let last_seq = frame.last_seq();
            for section in frame.sections() {
                let _ = section.check(&layout);
            }
            frames += 1;
            // A frame that was read is whole, and so is what stands before it in its group.
            assert!(frame.row_count == 0 || LogReader::verify(&place, at, last_seq).is_ok(), "it was read");
            Ok(())
        });
        let mut reader = LogReader::new(place.clone(), 1);
        let limit = clean_end.or(recovered.as_ref().ok().map(|log| log.end())).unwrap_or(end);
        let _ = reader.read_new(limit, |_, _| Ok(()));
        if let Ok(recovered) = recovered {
            let next_seq = recovered.next_seq();
            let _ = recovered.into_writer(clean_end.is_some(), next_seq, 4 << 10);
        }
    }
    LogReader::verify(&place, end, 1).ok();
});

/// Makes the headers of back-to-back frames ones that a writer could have written; how many there are.
fn seal_frames(bytes: &mut [u8]) -> u32 {
    let (mut at, mut count) = (0, 0);
    while let Some(header) = bytes.get_mut(at..at + FRAME_HEADER_BYTES) {
        header[0] = FRAME_ROWS;
        header[1] = 0;
        // Lengths below 2^16, so that a frame often ends within the input.
        header[6..8].fill(0);
        let crc = crc32c::crc32c(&header[..32]);
        header[32..36].copy_from_slice(&crc.to_le_bytes());
        header[36..].fill(0);
        at += FRAME_HEADER_BYTES + usize::from(u16::from_le_bytes([header[4], header[5]]));
        count += 1;
    }
    count
}
