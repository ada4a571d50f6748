//! The configuration file of the agent before this one.

use flotta_standin::Operation;
use serde_json::json;

use super::site::{ID, Site, pod, quick};

#[test]
fn the_old_readmes_configuration_file_works_as_it_is() {
    let mut site = Site::new();
    let text = format!(
        "LOG_LEVEL: debug\nCA_ROOT: {dir}/ca.pem\nCERT: {dir}/register.pem\nKEY: {dir}/register.key\nSERVER: {}\nXDG_RUNTIME_DIR: /run/user/1000\nKUBECONFIG: /path/to/kubeconfig/if/any\nDEVICE_ID: {ID}\n",
        site.server.url(),
        dir = site.file("").display().to_string().trim_end_matches('/'),
    );
    std::fs::write(site.file("config.yaml"), text).expect("written");
    let gate = flotta_standin::Gate::new();
    site.server.fault(Operation::Enrolment, flotta_standin::Fault::held(&gate));
    let mut command = site.device.command();
    command.arg("--config").arg(site.file("config.yaml"));
    site.device.launch(command);
    site.answered(Operation::Enrolment, 200);
    site.server.set_configuration(ID, quick());
    site.server.set_workloads(ID, json!([pod("w")]));
    gate.open();
    site.answered(Operation::Registration, 200);
    site.until_state("connected");
    assert_eq!(site.until_workload("w", "error")["reason"], "ExecutorUnreachable");
    site.beats(2);
    let problems = site.problems();
    assert!(problems.contains("/path/to/kubeconfig/if/any is not there"), "{problems}");
    assert!(!problems.contains("does not talk to a Flotta server"), "{problems}");
}
