//! The line breaks at every byte of an answer. Over HTTP/1.1, where an answer can be cut to the byte.

use flotta_standin::{End, Exchange, Fault, Operation, Options, Protocols, SIGNED_REQUEST_LABEL};
use serde_json::json;

use super::site::{ID, Site, files, gated, manual, quick, side_by_side};

/// Sites that share the lengths of one kind of answer.
const PARTS: u64 = 3;
/// More than the head of an answer has.
const HEAD: u64 = 170;

fn plain() -> Options {
    Options { protocols: Protocols::Http1, ..Options::default() }
}

fn readmit(site: &Site) {
    site.server.set_device(ID, |device| {
        device.labels.insert(SIGNED_REQUEST_LABEL.into(), "true".into());
    });
}

fn cut(exchange: &Exchange, operation: Operation, at: u64) -> bool {
    exchange.operation == operation && exchange.end == End::Cut(at)
}

#[test]
fn a_configuration_that_is_cut_anywhere_leaves_the_last_one_in_force() {
    side_by_side(0..PARTS, |part| {
        let site = Site::up_with(plain(), quick(), json!([gated("w")]));
        let before = site.until_waits("w");
        let mut watch = site.server.watch();
        let bytes =
            site.server.exchanges().iter().find(|one| one.operation == Operation::Get).expect("it asked").answer_bytes
                as u64;
        // All of them beforehand, and one that stays: between two it may ask by itself, and would get the whole.
        let cuts = || (part..bytes).step_by(PARTS as usize);
        cuts().for_each(|at| site.server.fault(Operation::Get, Fault::cut_after(at)));
        site.server.fault(Operation::Get, Fault::abort().for_ever());
        // Something new, of which no part may count.
        let mut other = quick();
        other["heartbeat"]["period_seconds"] = json!(2);
        site.server.set_configuration(ID, other);
        site.server.set_workloads(ID, json!([gated("v")]));
        for at in cuts() {
            site.hurried_from(&mut watch, "a cut answer", |one| cut(one, Operation::Get, at));
        }
        assert_eq!((site.workloads(), site.counted("flotta_server_configurations")), (vec!["w".to_owned()], 1));
        assert_eq!(site.until_waits("w")["since"], before["since"]);
        site.server.clear_faults();
        // The rest of it, up to the whole.
        for at in ((bytes + part)..(bytes + 2 * HEAD)).step_by(PARTS as usize) {
            site.server.fault(Operation::Get, Fault::cut_after(at));
            site.hurried_from(&mut watch, "a cut answer", |one| cut(one, Operation::Get, at));
            if site.workloads() == ["v"] {
                break;
            }
        }
        site.until_waits("v");
        site.until_well();
    });
}

#[test]
fn an_enrolment_that_is_cut_anywhere_is_made_again() {
    side_by_side(0..PARTS, |part| {
        let mut site = Site::with(Options { protocols: Protocols::Http1, ..manual() });
        let mut watch = site.server.watch();
        site.start();
        for at in (part..HEAD).step_by(PARTS as usize) {
            site.server.fault(Operation::Enrolment, Fault::cut_after(at));
            site.hurried_from(&mut watch, "a cut answer", |one| cut(one, Operation::Enrolment, at));
        }
        assert!(site.server.approve(ID));
        site.hurried(Operation::Registration, "registers", |one| one.status == 200);
        site.until_well();
    });
}

#[test]
fn a_registration_that_is_cut_anywhere_never_loses_a_certificate_that_arrived() {
    let after = json!({ "directive": "registration", "message_id": uuid() }).to_string().len() as u64;
    side_by_side(0..PARTS, |part| {
        let mut site = Site::with(Options { protocols: Protocols::Http1, ..manual() });
        let mut watch = site.server.watch();
        site.start();
        site.answered(Operation::Registration, 404);
        assert!(site.server.approve(ID));
        // As long as the certificate is not whole, it has none; an administrator lets it in again each time.
        let mut at = part;
        let first = loop {
            site.server.fault(Operation::Registration, Fault::cut_after(at));
            readmit(&site);
            let fits = |one: &Exchange| cut(one, Operation::Registration, at) || one.operation == Operation::Get;
            let seen = site.hurried_from(&mut watch, "a cut answer", fits);
            match seen.operation {
                // What was cut before was saved all the same.
                Operation::Get => break at - PARTS,
                _ if seen.status == 200 => at += PARTS,
                // It came before the administrator.
                _ => {}
            }
        };
        site.server.clear_faults();
        site.until_well();
        assert!(first > 600, "a certificate is longer than {first} bytes");
        // From there on it is whole, wherever the rest ends.
        for at in (first + PARTS..first + after + 2 * PARTS).step_by(PARTS as usize) {
            site.device.kill();
            std::fs::remove_dir_all(site.file("state/identity")).expect("there");
            site.server.fault(Operation::Registration, Fault::cut_after(at));
            readmit(&site);
            let mut watch = site.server.watch();
            site.start();
            site.block(watch.next(|one| cut(one, Operation::Registration, at))).expect("it registers");
            let with =
                |one: &Exchange| one.operation == Operation::Get && one.status == 200 && one.client.common_name == ID;
            site.block(watch.next(with)).unwrap_or_else(|why| panic!("cut at {at}: {why}; {:#}", site.says()));
            assert!(!files(&site.file("state/identity")).is_empty());
        }
    });
}

fn uuid() -> &'static str {
    "00000000-0000-4000-8000-000000000000"
}

#[test]
fn a_renewal_that_is_cut_anywhere_leaves_a_certificate_that_works() {
    side_by_side(0..PARTS, |part| {
        let site = Site::up_with(plain(), quick(), json!([gated("w")]));
        let before = site.until_waits("w");
        let mut watch = site.server.watch();
        site.server.fault(Operation::Get, Fault::status(401).for_ever());
        for at in (part * 7..1_400).step_by(PARTS as usize * 7) {
            site.server.fault(Operation::Registration, Fault::cut_after(at));
            site.hurried_from(&mut watch, "a cut answer", |one| cut(one, Operation::Registration, at));
        }
        site.server.clear_faults();
        site.until_well();
        assert_eq!(site.until_waits("w")["since"], before["since"]);
        let enrolled = site.server.exchanges().iter().filter(|one| one.operation == Operation::Enrolment).count();
        assert_eq!(enrolled, 1, "the certificate that it had went on");
    });
}

#[test]
fn a_first_certificate_that_got_lost_is_said_and_the_device_goes_on_once_it_is_let_in_again() {
    side_by_side([false, true], |delete| {
        let mut site = Site::with(plain());
        site.server.fault(Operation::Registration, Fault::cut_after(300));
        site.start();
        site.wait(Operation::Registration, "cut", |one| one.end == End::Cut(300));
        let says = site.until_state("needs_administrator");
        let message = says["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("edgedeviceSignedRequest=true") && message.contains("delete the EdgeDevice toto"),
            "{says}"
        );
        assert!(files(&site.file("state/identity")).is_empty());
        if delete {
            assert!(site.server.delete(ID));
        } else {
            readmit(&site);
        }
        site.hurried(Operation::Registration, "goes on", |one| one.status == 200 && one.end == End::Answered);
        site.until_well();
    });
}
