//! `Host` and `Origin` of a request, separated by a NUL: who is let in.
#![no_main]

use std::net::IpAddr;

use flotta_agent::fuzzing::http_guard;
use flotta_fuzz::is_sentence;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let hosts = ["edge.lan".to_owned()];
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (host, origin) = (parts.next().unwrap_or_default(), parts.next());
    match http_guard(host, origin, &hosts) {
        Some(Ok(())) => {
            let host = std::str::from_utf8(host).expect("what is let in is text");
            assert!(is_ours(host), "{host:?}");
            if let Some(origin) = origin {
                let origin = std::str::from_utf8(origin).expect("what is let in is text");
                assert!(origin.ends_with(host), "{origin:?} on {host:?}");
            }
        }
        Some(Err(why)) => is_sentence(&why),
        None => {}
    }
});

/// The rule, by what a browser takes for the host: up to a port.
fn is_ours(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name == "edge.lan"
        || host.eq_ignore_ascii_case("edge.lan")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
