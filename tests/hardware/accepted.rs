//! The server's rules for a hardware object (the contract's section on HardwareInfo): its JSON decoder's types, the
//! Kubernetes API's schema behind it, and the labels that it makes of six texts.

use serde_json::Value;

/// Why the server would refuse the object; nothing if it takes it.
pub fn accepted(hardware: &Value) -> Result<(), String> {
    no_null("hardware", hardware)?;
    let size = serde_json::to_vec(hardware).map_err(|error| error.to_string())?.len();
    check(size <= flotta_agent::node::hardware::MAX_HARDWARE_BYTES, || format!("{size} bytes"))?;
    no_control(hardware)?;
    let object = hardware.as_object().ok_or("no object")?;
    for (key, value) in object {
        let right = match key.as_str() {
            "hostname" => value.is_string(),
            "cpu" => cpu(value)?,
            "memory" => fields(value, &[("physical_bytes", 'i'), ("usable_bytes", 'i')])?,
            "boot" => fields(value, &[("current_boot_mode", 's'), ("pxe_interface", 's')])?,
            "system_vendor" => fields(
                value,
                &[("manufacturer", 's'), ("product_name", 's'), ("serial_number", 's'), ("virtual", 'b')],
            )?,
            "disks" => each(value, disk)?,
            "gpus" => each(value, |gpu| {
                fields(gpu, &["address", "vendor", "vendor_id", "device_id", "name"].map(|k| (k, 's')))
            })?,
            "interfaces" => each(value, interface)?,
            "host_devices" => each(value, host_device)?,
            "mounts" => {
                each(value, |mount| fields(mount, &["device", "directory", "type", "options"].map(|k| (k, 's'))))?
            }
            _ => return Err(format!("unknown key {key}")),
        };
        check(right, || format!("{key} has the wrong type: {value}"))?;
    }
    labels(hardware)
}

fn check(right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong()) }
}

fn no_null(at: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Null => Err(format!("{at} is null")),
        Value::Array(items) => items.iter().try_for_each(|item| no_null(&format!("{at}[]"), item)),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| no_null(&format!("{at}.{key}"), value)),
        _ => Ok(()),
    }
}

fn no_control(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(!text.chars().any(char::is_control), || format!("control character in {text:?}")),
        Value::Array(items) => items.iter().try_for_each(no_control),
        Value::Object(map) => map.values().try_for_each(no_control),
        _ => Ok(()),
    }
}

/// Fields and their types: a text, an integer of Go's int64, a number, a boolean, a list of texts.
fn fields(value: &Value, known: &[(&str, char)]) -> Result<bool, String> {
    let Some(object) = value.as_object() else { return Ok(false) };
    for (key, value) in object {
        let Some((_, kind)) = known.iter().find(|(name, _)| name == key) else {
            return Err(format!("unknown key {key}"));
        };
        let right = match kind {
            's' => value.is_string(),
            'i' => value.is_i64(),
            'f' => value.as_f64().is_some_and(f64::is_finite),
            'b' => value.is_boolean(),
            'l' => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            _ => false,
        };
        check(right, || format!("{key} is {value}"))?;
    }
    Ok(true)
}

fn each(value: &Value, item: impl Fn(&Value) -> Result<bool, String>) -> Result<bool, String> {
    let Some(items) = value.as_array() else { return Ok(false) };
    for value in items {
        check(item(value)?, || format!("an element is {value}"))?;
    }
    Ok(true)
}

fn cpu(value: &Value) -> Result<bool, String> {
    check(value["flags"].is_array(), || "cpu.flags is no array".into())?;
    fields(value, &[("architecture", 's'), ("count", 'i'), ("frequency", 'f'), ("model_name", 's'), ("flags", 'l')])
}

fn interface(value: &Value) -> Result<bool, String> {
    check(value["flags"].is_array(), || format!("flags of an interface is no array: {value}"))?;
    let texts = ["name", "mac_address", "vendor", "product", "biosdevname", "client_id"].map(|key| (key, 's'));
    let lists = ["flags", "ipv4_addresses", "ipv6_addresses"].map(|key| (key, 'l'));
    fields(value, &[&texts[..], &lists, &[("mtu", 'i'), ("has_carrier", 'b'), ("speed_mbps", 'i')]].concat())
}

fn disk(value: &Value) -> Result<bool, String> {
    let texts =
        ["id", "name", "path", "by_id", "by_path", "drive_type", "vendor", "model", "serial", "wwn", "hctl", "smart"];
    let others = [("size_bytes", 'i'), ("bootable", 'b'), ("is_installation_media", 'b')];
    let mut rest = value.clone();
    if let Some(io_perf) = rest.as_object_mut().and_then(|disk| disk.remove("io_perf")) {
        fields(&io_perf, &[("sync_duration", 'i')])?;
    }
    fields(&rest, &[&texts.map(|key| (key, 's'))[..], &others].concat())
}

fn host_device(value: &Value) -> Result<bool, String> {
    // uint32 with "format: int32" in the API's schema: neither negative nor above 2^31 - 1.
    for key in ["uid", "gid", "major", "minor"] {
        let number = value[key].as_i64();
        check(number.is_some_and(|number| (0..=i64::from(i32::MAX)).contains(&number)), || {
            format!("{key} in {value}")
        })?;
    }
    fields(value, &[("path", 's'), ("device_type", 's'), ("uid", 'i'), ("gid", 'i'), ("major", 'i'), ("minor", 'i')])
}

/// The server makes labels of six texts: the part from the first letter or digit (of Unicode) to the last, without what is
/// no lower-case ASCII letter, digit, `-`, `_` or `.`. The API refuses the object if one of them is no label.
fn labels(hardware: &Value) -> Result<(), String> {
    let texts = [
        &hardware["hostname"],
        &hardware["cpu"]["architecture"],
        &hardware["cpu"]["model_name"],
        &hardware["system_vendor"]["manufacturer"],
        &hardware["system_vendor"]["product_name"],
        &hardware["system_vendor"]["serial_number"],
    ];
    for text in texts.into_iter().filter_map(Value::as_str) {
        let lower = text.to_lowercase();
        let legal = |c: char| c.is_lowercase() || c.is_numeric();
        let (Some(first), Some(last)) = (lower.find(legal), lower.rfind(legal)) else { continue };
        let kept = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(*c);
        let end = last + lower[last..].chars().next().map_or(0, char::len_utf8);
        let label: String = lower[first..end].chars().filter(kept).collect();
        let ends = [label.chars().next(), label.chars().last()];
        let right = label.len() <= 63 && ends.into_iter().flatten().all(|c| c.is_ascii_alphanumeric());
        check(right, || format!("{text:?} becomes the label {label:?}"))?;
    }
    Ok(())
}

#[test]
fn the_rules_refuse_what_the_server_refuses() {
    let refused = [
        r#"{"cpu":{}}"#,
        r#"{"cpu":{"flags":null}}"#,
        r#"{"cpu":{"flags":[],"frequency":"2400"}}"#,
        r#"{"cpu":{"flags":[],"count":2.5}}"#,
        r#"{"interfaces":[{"name":"eth0"}]}"#,
        r#"{"disks":[null]}"#,
        r#"{"disks":[{"size_bytes":18446744073709551615}]}"#,
        r#"{"host_devices":[{"path":"/dev/x","device_type":"char","uid":-1,"gid":0,"major":1,"minor":1}]}"#,
        r#"{"host_devices":[{"path":"/dev/x","device_type":"char","uid":2147483648,"gid":0,"major":1,"minor":1}]}"#,
        r#"{"hostname":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
        r#"{"system_vendor":{"product_name":"é-1"}}"#,
        "[]",
    ];
    for text in refused {
        let value = serde_json::from_str(text).unwrap();
        assert!(accepted(&value).is_err(), "{text}");
    }
    for text in ["{}", r#"{"cpu":{"flags":[]},"interfaces":[{"flags":[]}]}"#] {
        assert_eq!(accepted(&serde_json::from_str(text).unwrap()), Ok(()), "{text}");
    }
}
