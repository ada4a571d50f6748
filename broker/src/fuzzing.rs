//! One function per decoder, for the fuzz targets in fuzz/. Each panics where something does not hold that must hold for
//! any bytes. No part of the API.

use bytes::{Bytes, BytesMut};

use rumqttc::mqttbytes::v4::Packet;

use crate::packet::{self, Greeting};
use crate::store::{self, Loaded};
use crate::{Limits, topic};

/// Small, so that they are reached.
fn limits() -> Limits {
    Limits {
        packet_bytes: 512,
        topic_bytes: 64,
        topic_levels: 8,
        retained_count: 8,
        retained_bytes: 1024,
        ..Limits::default()
    }
}

/// The bytes of a whole connection: the greeting, then packet after packet, as they come at once and piece by piece.
pub fn packets(bytes: &[u8]) {
    let packet_bytes = limits().packet_bytes;
    let whole = packet::greeting(bytes, packet_bytes);
    // What the first bytes say does not change with more of them.
    for cut in 0..bytes.len().min(32) {
        let part = packet::greeting(&bytes[..cut], packet_bytes);
        assert!(part == Ok(Greeting::Unknown) || part == whole, "{part:?} of {cut} bytes, then {whole:?}");
    }

    let at_once = stream(&[bytes], packet_bytes);
    let step = bytes.first().map_or(1, |first| usize::from(first % 16) + 1);
    let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
    assert_eq!(stream(&pieces, packet_bytes), at_once, "the pieces in which bytes arrive make no difference");
}

/// What the packets of a stream are, in words; the last one is what it ends with.
fn stream(pieces: &[&[u8]], packet_bytes: usize) -> Vec<String> {
    let (mut input, mut said) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let before = input.len();
            match packet::next(&mut input, packet_bytes) {
                Ok(Some(packet)) => {
                    assert!(input.len() < before, "a packet takes bytes");
                    if let Packet::Publish(publish) = &packet {
                        let size = publish.topic.len() + publish.payload.len();
                        assert!(size <= packet_bytes, "{size} bytes");
                        assert!((publish.qos as u8 == 0) == (publish.pkid == 0), "{publish:?}");
                    }
                    said.push(format!("{packet:?}"));
                }
                Ok(None) => {
                    assert_eq!(input.len(), before, "what is not all there stays");
                    assert!(before <= packet_bytes + 5, "more than a packet is held back: {before} bytes");
                    break;
                }
                Err(why) => {
                    said.push(format!("{why:?}"));
                    return said;
                }
            }
        }
    }
    said
}

/// A topic and a filter, separated by a NUL.
pub fn topic(bytes: &[u8]) {
    let limits = limits();
    let (name, filter) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let filter = std::str::from_utf8(filter.get(1..).unwrap_or_default()).ok();
    let filter = filter.filter(|filter| topic::filter(filter, &limits).is_ok());
    if let Some(filter) = filter {
        assert!(!filter.is_empty() && filter.len() <= limits.topic_bytes, "{filter:?}");
        assert!(!filter.starts_with('$') || filter == "$SYS" || filter.starts_with("$SYS/"), "{filter:?}");
        assert!(filter.split('/').count() <= limits.topic_levels, "{filter:?}");
    }
    let Ok(name) = topic::topic(name, &limits) else { return };
    assert!(!name.is_empty() && name.len() <= limits.topic_bytes && !name.starts_with('$'), "{name:?}");
    assert!(!name.contains(['+', '#', '\0']) && name.split('/').count() <= limits.topic_levels, "{name:?}");
    assert_eq!(topic::filter(name, &limits), Ok(()), "a topic is a filter");
    let levels: Vec<&str> = name.split('/').collect();
    let any: Vec<&str> = levels.iter().map(|_| "+").collect();
    for own in [name, "#", &any.join("/")] {
        assert!(topic::matches(name, own), "{name:?} and {own:?}");
    }
    if let Some(filter) = filter {
        let filters: Vec<&str> = filter.split('/').collect();
        assert_eq!(topic::matches(name, filter), plainly(&levels, &filters), "{name:?} and {filter:?}");
    }
}

/// The rule of the standard, written down once more.
fn plainly(levels: &[&str], filters: &[&str]) -> bool {
    match (levels, filters) {
        (_, ["#"]) | ([], []) => true,
        ([_, levels @ ..], ["+", filters @ ..]) => plainly(levels, filters),
        ([level, levels @ ..], [filter, filters @ ..]) => level == filter && plainly(levels, filters),
        _ => false,
    }
}

/// A file of retained messages: as it is, and with the checksums that its lines would need.
pub fn retained_file(bytes: &[u8]) {
    retained(bytes);
    let mut sealed = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        sealed.extend_from_slice(format!("{:08x} ", crc32fast::hash(line)).as_bytes());
        sealed.extend_from_slice(line);
        sealed.push(b'\n');
    }
    retained(&sealed);
}

fn retained(bytes: &[u8]) {
    let limits = limits();
    let Loaded { entries, damaged } = store::read_bytes(bytes, &limits, |_| true);
    assert!(damaged.len() <= 12, "{} lines of damage", damaged.len());
    assert!(damaged.iter().all(|damage| !damage.what.contains('\n') && damage.what.len() < 1000), "{damaged:?}");
    let held: usize = entries.iter().map(|entry| entry.topic.len() + entry.payload.len()).sum();
    assert!(entries.len() <= limits.retained_count && held <= limits.retained_bytes, "{} of {held}", entries.len());
    for entry in &entries {
        assert_eq!(topic::topic(entry.topic.as_bytes(), &limits), Ok(&*entry.topic));
        assert!(entry.qos <= 2 && !entry.payload.is_empty() && entry.payload.len() <= limits.packet_bytes, "{entry:?}");
        // What was read is written so that it is read again.
        let mut file = Vec::new();
        let shard = store::shard_of(&entry.topic);
        store::write_lines(&mut file, shard, std::iter::once(entry.clone())).expect("it can be written");
        let again = store::read_bytes(&file, &limits, |topic| store::shard_of(topic) == shard);
        assert_eq!((again.entries, again.damaged), (vec![entry.clone()], vec![]), "{:?}", Bytes::from(file));
    }
}
