//! The server and the device find out whom they talk to: CAs that change, files that are not there, enrolments that are refused.

use flotta_standin::{Fault, Gate, Operation, Options, Standin};
use serde_json::json;

use super::identity::{living, of_workload};
use super::site::{ID, Site, gated, quick, side_by_side};

#[test]
fn a_new_ca_beside_the_old_one_is_a_bundle_of_both_and_nothing_stops() {
    let mut site = Site::up_with(living(6), quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    site.server.rotate_authority().expect("rotated");
    std::fs::write(site.file("ca.pem"), site.server.ca_pem()).expect("written");
    site.onwards();
    site.block(site.server.restart()).expect("the same port");
    // The next certificate is of the new CA.
    let renewal = site.answered(Operation::Registration, 200);
    site.wait(Operation::Get, "with the new one", |get| get.number > renewal.number && get.status == 200);
    site.server.forget_old_authorities();
    site.block(site.server.restart()).expect("the same port");
    site.onwards();
    site.answered(Operation::Get, 200);
    site.answered(Operation::Heartbeat, 200);
    site.until_well();
    assert_eq!(of_workload(&site, "w"), before);
    let refused = site.server.exchanges().iter().filter(|exchange| [401, 403].contains(&exchange.status)).count();
    assert_eq!(refused, 0);
}

#[test]
fn a_server_with_another_ca_is_said_in_words_and_a_new_ca_root_needs_no_restart() {
    let mut site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    site.server.rotate_authority().expect("rotated");
    site.block(site.server.restart()).expect("the same port");
    let says = site.until_words("is not the CA of");
    assert_eq!(says["state"], "unreachable", "{says}");
    assert!(says["message"].as_str().is_some_and(|words| words.contains("ca.pem")), "{says}");
    assert_eq!(of_workload(&site, "w"), before);
    site.onwards();
    std::fs::write(site.file("ca.pem"), site.server.ca_pem()).expect("written");
    site.answered(Operation::Get, 200);
    site.until_well();
    assert_eq!(of_workload(&site, "w"), before);
}

#[test]
fn a_server_set_up_anew_takes_the_device_again_with_its_new_files() {
    let mut site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    site.block(site.server.stop());
    let options = Options { listen: site.server.address(), deadline: super::device::deadline(), ..Options::default() };
    let anew = site.block(Standin::start(options)).expect("the same port");
    site.until_words("is not the CA of");
    let (certificate, key) = anew.registration_pem();
    std::fs::write(site.file("register.pem"), certificate).expect("written");
    std::fs::write(site.file("register.key"), key).expect("written");
    std::fs::write(site.file("ca.pem"), anew.ca_pem()).expect("written");
    // Its old certificate is good for nothing there, and it does not know the device.
    site.server = anew;
    site.onwards();
    let gate = Gate::new();
    site.server.fault(Operation::Enrolment, Fault::held(&gate));
    site.hurried(Operation::Enrolment, "enrols", |_| true);
    // The same workload, wanted by another server.
    site.server.set_configuration(ID, quick());
    site.server.set_workloads(ID, json!([gated("w")]));
    gate.open();
    site.answered(Operation::Registration, 200);
    site.wait(Operation::Get, "its own", |get| get.status == 200 && get.client.common_name == ID);
    site.until_well();
    assert_eq!(of_workload(&site, "w"), before);
}

#[test]
fn without_its_files_it_says_so_and_manifests_go_on_until_they_appear() {
    for missing in ["ca.pem", "register.pem", "register.key"] {
        let mut site = Site::new();
        let manifest = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: ours }\nspec:\n  type: pod\n  profiles: [ { name: absent, conditions: [ none ] } ]\n  pod: { spec: { containers: [ { name: c, image: \"localhost/none:1\" } ] } }\n";
        site.device.manifest("ours.yaml", manifest);
        std::fs::rename(site.file(missing), site.file("aside")).expect("moved");
        site.start();
        let says = site.until_words(missing);
        assert_eq!(says["state"], "unreachable", "{says}");
        site.until_waits("ours");
        assert_eq!(site.server.exchange_count(), 0);
        std::fs::rename(site.file("aside"), site.file(missing)).expect("moved");
        site.answered(Operation::Registration, 200);
        site.until_state("connected");
        site.until_waits("ours");
    }
}

#[test]
fn a_server_that_comes_back_on_its_port_is_talked_to_again() {
    let mut site = Site::up(quick(), json!([gated("w")]));
    let before = of_workload(&site, "w");
    for _ in 0..2 {
        site.block(site.server.stop());
        let says = site.until_state("unreachable");
        assert!(says["message"].as_str().is_some_and(|words| words.contains("cannot be reached")), "{says}");
        site.block(site.server.restart()).expect("the same port");
        site.onwards();
        site.answered(Operation::Get, 200);
        site.answered(Operation::Heartbeat, 200);
        site.until_well();
    }
    assert_eq!(of_workload(&site, "w"), before);
    assert_eq!(site.server.device(ID).expect("there").registrations, 1);
}

#[test]
fn an_enrolment_that_is_refused_is_said_in_words_and_goes_on_when_it_is_hurried() {
    let faults = [
        ("400", Fault::status(400), "refused", "neither the id nor the hardware"),
        ("401", Fault::status(401), "refused", "was not signed by this server's CA"),
        ("403", Fault::status(403), "refused", "the enrolment with 403"),
        ("422", Fault::status(422), "refused", "422"),
        (
            "a page",
            Fault::status_with(404, "<html>not here</html>"),
            "refused",
            "is SERVER the address of the Flotta server itself?",
        ),
    ];
    side_by_side(faults, |(name, fault, state, words)| {
        let mut site = Site::new();
        site.server.fault(Operation::Enrolment, fault.for_ever());
        site.start();
        site.wait(Operation::Enrolment, "the fault", |exchange| exchange.faulty);
        let says = site.until_words(words);
        assert_eq!(says["state"], state, "{name}: {says}");
        site.server.clear_faults();
        site.hurried(Operation::Enrolment, "enrols", |exchange| {
            [200, 208].contains(&exchange.status) && !exchange.faulty
        });
        site.answered(Operation::Registration, 200);
        site.until_well();
    });
}

#[test]
fn the_first_registration_carries_no_hardware_and_the_first_heartbeat_does() {
    // Hardware that a server cannot store would use up the registration certificate.
    let mut site = Site::new();
    site.start();
    let first = site.answered(Operation::Registration, 200);
    assert!(first.content().get("hardware").is_none(), "{}", first.content());
    let beat = site.answered(Operation::Heartbeat, 200);
    assert!(beat.content()["hardware"]["cpu"]["flags"].is_array(), "{}", beat.content());
    site.until_well();
}
