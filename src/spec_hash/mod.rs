//! A workload's version: the hash that decides whether it is replaced (SPEC "Identity").
//!
//! # Format `flotta-spec-v1` (stable: the golden tests hold it in place)
//! SHA-256 over the encoding of one map with the keys `annotations`, `configMaps`, `format`, `input`, `kind`, `labels`,
//! `name`, `namespace`, `rootless`, `secrets`. A value is encoded as
//!
//! | value | bytes |
//! |---|---|
//! | null, false, true | `n`, `f`, `t` |
//! | whole number | `i`, decimal digits (with `-`), `;` |
//! | other number | `d`, the 16 hex digits of the IEEE 754 bits of the float64 |
//! | text, bytes | `s`, length in bytes, `:`, the bytes |
//! | list | `l`, count, `:`, the items |
//! | map | `m`, count, `:`, and by ascending bytes of the key: key as text, value |
//!
//! so that no two values share an encoding and the order of maps does not matter. A ConfigMap is the map of its keys to
//! their bytes. A Secret is the hex HMAC-SHA256, by a key of the device, of that same encoding: the hash is public, and
//! without the key nobody can try out passwords on it.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::model::workload::{Kind, SpecHash};

pub use crate::model::pod::Content;
/// The device's key for hashing Secrets: `device.key` of the state directory.
#[derive(Clone)]
pub struct DeviceKey([u8; 32]);

impl DeviceKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> DeviceKey {
        DeviceKey(bytes)
    }
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

/// Everything that makes a version. Not in it, on purpose: profiles, cron, retry, cpu, priority, selector.
#[derive(Clone, Debug)]
pub struct HashInput<'a> {
    /// The workload's namespace.
    pub namespace: &'a str,
    /// The workload's name.
    pub name: &'a str,
    /// Which executor's.
    pub kind: Kind,
    /// Run by the user's own podman.
    pub rootless: bool,
    /// What the executor gets, as written.
    pub input: &'a Json,
    /// From the metadata.
    pub labels: &'a BTreeMap<String, String>,
    /// From the metadata.
    pub annotations: &'a BTreeMap<String, String>,
    /// The ConfigMaps that it refers to, by name; `None`: not there.
    pub config_maps: BTreeMap<&'a str, Option<&'a Content>>,
    /// The Secrets that it refers to, by name; `None`: not there.
    pub secrets: BTreeMap<&'a str, Option<&'a Content>>,
}

/// The hash of a version, the same on every machine (for the same device key, if Secrets are referred to).
#[must_use]
pub fn spec_hash(input: &HashInput<'_>, key: &DeviceKey) -> SpecHash {
    let mut out = Vec::new();
    count(&mut out, b'm', 10);
    text(&mut out, "annotations");
    texts(&mut out, input.annotations);
    text(&mut out, "configMaps");
    count(&mut out, b'm', input.config_maps.len());
    for (name, map) in &input.config_maps {
        text(&mut out, name);
        match map {
            Some(map) => content(&mut out, map),
            None => out.push(b'n'),
        }
    }
    text(&mut out, "format");
    text(&mut out, "flotta-spec-v1");
    text(&mut out, "input");
    json(&mut out, input.input);
    text(&mut out, "kind");
    text(&mut out, input.kind.as_str());
    text(&mut out, "labels");
    texts(&mut out, input.labels);
    text(&mut out, "name");
    text(&mut out, input.name);
    text(&mut out, "namespace");
    text(&mut out, input.namespace);
    text(&mut out, "rootless");
    out.push(if input.rootless { b't' } else { b'f' });
    text(&mut out, "secrets");
    count(&mut out, b'm', input.secrets.len());
    for (name, secret) in &input.secrets {
        text(&mut out, name);
        match secret {
            Some(secret) => text(&mut out, &sealed(secret, key)),
            None => out.push(b'n'),
        }
    }
    SpecHash(hex(&Sha256::digest(&out)))
}

fn sealed(secret: &Content, key: &DeviceKey) -> String {
    let mut encoded = Vec::new();
    content(&mut encoded, secret);
    // HMAC takes keys of every length, so this cannot fail; an unkeyed answer would be a leak, a fixed one is none.
    Hmac::<Sha256>::new_from_slice(&key.0)
        .map(|mac| hex(&mac.chain_update(&encoded).finalize().into_bytes()))
        .unwrap_or_default()
}

/// A value as bytes: no two values share them, and the order of maps does not matter.
pub(crate) fn encode(value: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    json(&mut out, value);
    out
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

fn count(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend(number.to_string().bytes());
    out.push(b':');
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    count(out, b's', value.len());
    out.extend(value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    bytes(out, value.as_bytes());
}

fn texts(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    count(out, b'm', map.len());
    for (key, value) in map {
        text(out, key);
        text(out, value);
    }
}

fn content(out: &mut Vec<u8>, map: &Content) {
    count(out, b'm', map.len());
    for (key, value) in map {
        text(out, key);
        bytes(out, value);
    }
}

fn json(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => out.push(b'n'),
        Json::Bool(yes) => out.push(if *yes { b't' } else { b'f' }),
        Json::Number(number) => {
            if number.is_i64() || number.is_u64() {
                out.push(b'i');
                out.extend(number.to_string().bytes());
                out.push(b';');
            } else {
                out.push(b'd');
                out.extend(format!("{:016x}", number.as_f64().unwrap_or_default().to_bits()).bytes());
            }
        }
        Json::String(value) => text(out, value),
        Json::Array(items) => {
            count(out, b'l', items.len());
            items.iter().for_each(|item| json(out, item));
        }
        Json::Object(map) => {
            // Sorted here, whatever serde_json's map does with order.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            count(out, b'm', entries.len());
            for (key, value) in entries {
                text(out, key);
                json(out, value);
            }
        }
    }
}
