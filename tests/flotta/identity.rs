//! The device's own certificate: renewed in time and after it, never lost, and the files it began with never touched.

use std::path::PathBuf;
use std::time::Duration;

use flotta_standin::{End, Fault, Leaf, Operation, Options, SIGNED_REQUEST_LABEL};
use serde_json::{Value, json};

use super::dice::{Dice, number};
use super::site::{ID, Seen, Site, files, gated, quick, side_by_side};

pub fn living(seconds: u64) -> Options {
    Options { certificate_lifetime: Duration::from_secs(seconds), ..Options::default() }
}

/// What a person brought, byte for byte, with its times.
fn brought(site: &Site) -> Vec<(PathBuf, Vec<u8>, Seen)> {
    let all = files(site.file("").as_path());
    let names = ["ca.pem", "register.pem", "register.key"].map(|name| site.file(name));
    names.map(|path| (path.clone(), std::fs::read(&path).expect("there"), all[&path])).into()
}

/// What may not change while certificates come and go.
pub fn of_workload(site: &Site, name: &str) -> (Value, Value, Value) {
    let one = site.until_waits(name);
    (one["since"].clone(), one["hash"].clone(), one["restarts"].clone())
}

#[test]
fn a_certificate_is_renewed_before_it_ends_again_and_again_and_workloads_do_not_notice() {
    let mut site = Site::up_with(living(6), quick(), json!([gated("w")]));
    let (files, before) = (brought(&site), of_workload(&site, "w"));
    let mut certificates = vec![site.beats(1)[0].client.clone()];
    for _ in 0..2 {
        let renewal = site.answered(Operation::Registration, 200);
        assert_eq!(renewal.client.common_name, ID, "with its own certificate");
        // A connection stays bound to the certificate that it began with.
        let next = site.wait(Operation::Get, "with the new one", |get| {
            get.number > renewal.number && get.client != renewal.client
        });
        assert_ne!(next.connection, renewal.connection);
        assert!(!certificates.contains(&next.client));
        certificates.push(next.client.clone());
        site.answered(Operation::Heartbeat, 200);
    }
    let wrong: Vec<_> = site.server.exchanges().into_iter().filter(|exchange| exchange.status >= 400).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((of_workload(&site, "w"), brought(&site)), (before, files));
    assert_eq!(site.counted("flotta_server_certificates"), 3);
    site.device.kill();
}

#[test]
fn a_certificate_that_ended_while_the_server_was_away_renews_itself() {
    let mut site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    site.block(site.server.stop());
    site.until_state("unreachable");
    site.server.clock().advance(Duration::from_secs(40 * 86_400));
    site.onwards();
    site.block(site.server.restart()).expect("the same port");
    let renewal = site.answered(Operation::Registration, 200);
    assert_eq!(renewal.client.common_name, ID);
    assert!(renewal.client.not_after < site.server.clock().now(), "with the one that has ended");
    site.answered(Operation::Get, 200);
    site.until_well();
    assert_eq!(of_workload(&site, "w"), before);
    assert_eq!(site.server.device(ID).expect("there").registrations, 2);
    // And over a restart of the agent.
    site.device.kill();
    site.server.clock().advance(Duration::from_secs(40 * 86_400));
    site.onwards();
    site.start();
    assert_eq!(site.answered(Operation::Registration, 200).client.common_name, ID);
    site.until_well();
}

#[test]
fn killed_at_any_moment_of_enrolment_registration_and_renewal_the_device_has_an_identity() {
    let seed = number("FLOTTA_KILL_SEED", 20_261_121);
    println!("FLOTTA_KILL_SEED={seed}");
    let kills = number("FLOTTA_KILLS", 32);
    side_by_side(0..4, |part| {
        let mut dice = Dice(seed.wrapping_add(part));
        // Never fresh for long: each start renews.
        let mut site = Site::with(living(1));
        let before = brought(&site);
        let mut helped = 0;
        for kill in 0..kills / 4 {
            if kill % 3 == 0 {
                // A new device: enrolment and the first registration.
                let _ = std::fs::remove_dir_all(site.file("state"));
                site.server.delete(ID);
            }
            let mut watch = site.server.watch();
            site.start();
            for _ in 0..dice.below(5) {
                site.block(watch.next(|_| true)).expect("it talks");
            }
            let until = micros() + dice.below(30_000);
            super::device::until_true("the moment has come", || micros() >= until || dice.below(3) == 0);
            site.device.kill();
            let stored = files(&site.file("state/identity")).keys().any(|path| path.ends_with("a.json"));
            if !stored && site.server.device(ID).is_some_and(|device| device.registrations > 0) {
                // After the server signed the very first one and before it arrived: only an administrator can help.
                helped += 1;
                readmit(&site);
            }
        }
        site.start();
        site.server.set_certificate_lifetime(Duration::from_secs(86_400));
        site.until_state("connected");
        site.wait(Operation::Get, "its own", |get| get.status == 200 && get.client.common_name == ID);
        assert_eq!(brought(&site), before);
        println!("part {part}: {helped} times an administrator");
    });
}

/// What an administrator does for a device that lost its certificate.
fn readmit(site: &Site) {
    site.server.set_device(ID, |device| {
        device.labels.insert(SIGNED_REQUEST_LABEL.into(), "true".into());
    });
}

fn micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
}

#[test]
fn another_device_id_is_another_device_and_the_first_one_comes_back_with_its_certificate() {
    let mut site = Site::up(quick(), json!([gated("w")]));
    site.until_waits("w");
    site.device.kill();
    site.set("DEVICE_ID", "other");
    site.start();
    site.wait(Operation::Registration, "as the other", |exchange| exchange.device == "other" && exchange.status == 200);
    site.until_state("connected");
    assert!(site.problems().contains("is the certificate of the device"), "{}", site.problems());
    assert!(site.problems().contains("set DEVICE_ID back"), "{}", site.problems());
    // The other one's configuration is empty.
    super::device::until_true("the first one's workloads are gone", || site.workloads().is_empty());
    site.device.kill();
    site.set("DEVICE_ID", ID);
    site.onwards();
    site.start();
    site.wait(Operation::Get, "as itself", |get| get.status == 200 && get.client.common_name == ID);
    site.until_waits("w");
    assert_eq!(site.server.device(ID).expect("there").registrations, 1);
}

#[test]
fn a_certificate_of_another_key_is_refused_and_the_old_one_goes_on() {
    let site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    let now = site.server.clock().now();
    let leaf = Leaf {
        common_name: ID.into(),
        namespace: Some("default".into()),
        not_before: now - 60,
        not_after: now + 86_400,
    };
    let wrong = site.server.identity(&leaf).expect("made").certificate;
    let answer = json!({ "directive": "registration", "message_id": "m", "content": { "certificate": wrong } });
    site.server.fault(Operation::Registration, Fault::garbage(answer.to_string()));
    // Until it has a new one.
    site.server.fault(Operation::Get, Fault::status(401).for_ever());
    site.wait(Operation::Registration, "the fault", |exchange| exchange.faulty);
    site.until_says("refused", |says| {
        says["last_error"].as_str().is_some_and(|error| error.contains("certificate for this device is not usable"))
    });
    site.beats(1);
    // It asks again, by itself.
    site.wait(Operation::Registration, "again", |exchange| !exchange.faulty && exchange.status == 200);
    site.server.clear_faults();
    site.until_well();
    assert!(site.counted("flotta_server_certificates") >= 2);
    assert_eq!(of_workload(&site, "w"), before);
}

#[test]
fn a_new_certificate_that_the_server_refuses_gives_way_to_the_one_before() {
    let site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    // The first has it renew; the second refuses what it got.
    site.server.fault(Operation::Get, Fault::status(401).times(2));
    site.wait(Operation::Registration, "renewed", |exchange| exchange.client.common_name == ID);
    site.gets(2);
    site.until_well();
    assert_eq!(of_workload(&site, "w"), before);
}

#[test]
fn a_device_that_lost_its_labels_renews_all_the_same() {
    let site = Site::up(quick(), json!([]));
    site.server.set_device(ID, |device| device.labels.clear());
    // As if the certificate had ended: until there is another one.
    site.server.fault(Operation::Get, Fault::status(401).for_ever());
    let renewed = site.wait(Operation::Registration, "renewed", |exchange| {
        exchange.client.common_name == ID && exchange.status == 200 && exchange.end == End::Answered
    });
    assert!(renewed.content().get("hardware").is_none(), "what it fell over is left out");
    site.server.clear_faults();
    site.until_well();
}

#[test]
fn a_server_that_refuses_every_certificate_is_not_asked_for_more_and_more_of_them() {
    let site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    // As where the server's clock, or what it checks, is wrong: heartbeats are taken all the same.
    site.server.fault(Operation::Get, Fault::status(401).for_ever());
    let mut watch = site.server.watch();
    let begin = site.server.clock().now_ms();
    site.block(watch.next(|exchange| exchange.at_ms >= begin + 8_000)).expect("it goes on");
    let made = site.counted("flotta_server_certificates");
    assert!(made <= 5, "{made} certificates within 8 s; waits between renewals double from 2 s");
    site.server.clear_faults();
    site.hurried(Operation::Get, "taken", |get| get.status == 200);
    site.until_well();
    assert_eq!(of_workload(&site, "w"), before);
}
