//! Two agents with the same device id.

use super::mosquitto::Mosquitto;
use super::{device, link, start};
use crate::device::until_true;

#[test]
fn two_agents_with_one_id_slow_down_and_say_what_it_looks_like() {
    let broker = Mosquitto::start("");
    let (mut one, mut two) = (device(), device());
    start(&mut one, broker.port, &[]);
    start(&mut two, broker.port, &[]);
    let mut said = String::new();
    until_true("one of them says so", || {
        let found = [&one, &two].map(|device| link(device.agent()).1);
        said = found.into_iter().find(|message| message.contains("another client may use")).unwrap_or_default();
        !said.is_empty()
    });
    for word in ["client id flotta-agent-toto", "device id toto"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    // The third wait in a row: it grows although each connection came about.
    let pause =
        said.rsplit_once("tried again in ").and_then(|(_, rest)| rest.trim_end_matches(" s").parse::<u64>().ok());
    assert!(pause.is_some_and(|pause| pause >= 4), "{said}");
}
