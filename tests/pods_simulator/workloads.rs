//! What is desired: pods of all sorts, and profiles with CPU quotas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::models;
use flotta_agent::model::pod::{
    Container, Content, Contents, EnvValue, EnvVar, FileSource, Files, KeyRef, Mount, ObjectFiles, PodJob, PodSpec,
    PullPolicy, Referred, Resources, Security, Volume,
};
use flotta_agent::model::profile::{ConditionRef, ConditionSpec, ProfileRef, ProfileSpec};
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, Workload};

use crate::dice::Dice;

pub const IMAGES: [&str; 3] = ["registry/a:1", "registry/b:1", "localhost/own:1"];
/// No registry has it.
pub const NOWHERE: &str = "nowhere/none:1";
/// What it needs is always here; it is never edited, has no gates, and its containers do not end.
pub const STEADY: &str = "steady";
pub const STEADY_IMAGE: &str = "localhost/steady:1";

pub fn profiles() -> Vec<ProfileSpec> {
    let condition = |name: &str, expression: &str, hold_off, hold| ConditionSpec {
        name: name.into(),
        expression: expression.into(),
        hold_off: Duration::from_secs(hold_off),
        hold: Duration::from_secs(hold),
    };
    let conditions = vec![
        condition("low", "x < 5", 0, 0),
        condition("slow", "x >= 5 && y < 5", 3, 2),
        condition("unset", "y == nil", 0, 1),
    ];
    vec![ProfileSpec { name: "load".into(), conditions }]
}

/// Each version has a hash of its own.
pub fn workload(name: &str, version: u64, spec: PodSpec, restart: RestartPolicy) -> Workload {
    let content = Content::from([("key".to_owned(), b"value".to_vec())]);
    let config_maps = BTreeMap::from([("config".to_owned(), content.clone())]);
    let contents = Contents { config_maps, secrets: BTreeMap::from([("secret".to_owned(), content)]) };
    let payload = Payload::Pod(Arc::new(PodJob { spec, contents, ..PodJob::default() }));
    models::workload(name, version, Kind::Pod, payload, restart)
}

pub fn container(name: &str, script: &str, image: &str) -> Container {
    Container { name: name.into(), image: image.into(), command: vec![script.into()], ..Container::default() }
}

pub fn steady() -> Workload {
    let containers = vec![container("one", "steady", STEADY_IMAGE), container("two", "steady", STEADY_IMAGE)];
    let spec = PodSpec { containers, grace: Duration::from_secs(5), ..PodSpec::default() };
    workload(STEADY, 0, spec, RestartPolicy::Always)
}

/// A pod of any sort.
pub fn random(dice: &mut Dice, name: &str, version: u64) -> Workload {
    let restart =
        dice.pick(&[RestartPolicy::Always, RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never]);
    let sort = dice.below(24);
    let image = |dice: &mut Dice| if sort == 0 { NOWHERE } else { dice.pick(&IMAGES) };
    let mut containers = Vec::new();
    for at in 0..1 + dice.below(3) {
        let script = match restart {
            _ if sort == 1 && at == 0 => "bad",
            RestartPolicy::Always => "serve",
            RestartPolicy::OnFailure | RestartPolicy::Never => dice.pick(&["serve", "job"]),
        };
        let image = image(dice);
        containers.push(any(dice, &format!("main{at}"), script, image));
    }
    let mut init_containers = Vec::new();
    if dice.one_in(3) {
        for at in 0..1 + dice.below(2) {
            let image = image(dice);
            init_containers.push(any(dice, &format!("init{at}"), "init", image));
        }
    }
    let mut volumes = BTreeMap::new();
    if dice.one_in(3) {
        volumes.insert("scratch".to_owned(), Volume::Empty { memory: false, size_limit: None });
        let sub_path = if dice.one_in(4) { "part".to_owned() } else { String::new() };
        containers[0].mounts.push(mount("scratch", sub_path));
    }
    if dice.one_in(3) {
        let object = ObjectFiles { of: Referred::ConfigMap, name: "config".into(), items: Vec::new(), optional: false };
        let files = Files { sources: vec![FileSource::Object(object)], mode: 0o644 };
        volumes.insert("files".to_owned(), Volume::Files(files));
        containers[0].mounts.push(mount("files", String::new()));
    }
    if dice.one_in(3) {
        let key = KeyRef { of: Referred::Secret, name: "secret".into(), key: "key".into(), optional: false };
        let variable = EnvVar { name: "PASSWORD".into(), value: EnvValue::Key(key) };
        containers.iter_mut().chain(&mut init_containers).for_each(|one| one.env.push(variable.clone()));
    }
    let grace = Duration::from_secs(1 + dice.below(10));
    let spec = PodSpec { init_containers, containers, volumes, grace, ..PodSpec::default() };
    let mut made = workload(name, version, spec, restart);
    if dice.one_in(2) {
        let quota = |dice: &mut Dice| dice.pick(&[None, Some(20_000), Some(50_000)]);
        let mut conditions = Vec::new();
        for name in ["low", "slow", "unset"] {
            if dice.one_in(2) {
                conditions.push(ConditionRef { name: name.into(), cpu_quota_us: quota(dice) });
            }
        }
        made.gates = vec![ProfileRef { name: "load".into(), conditions }];
    }
    made
}

fn any(dice: &mut Dice, name: &str, script: &str, image: &str) -> Container {
    let limit = dice.pick(&[None, None, Some(30_000), Some(100_000)]);
    Container {
        pull: dice.pick(&[PullPolicy::IfNotPresent, PullPolicy::IfNotPresent, PullPolicy::Always, PullPolicy::Never]),
        resources: Resources { cpu_limit_us: limit, ..Resources::default() },
        security: Security { non_root: dice.one_in(8), ..Security::default() },
        ..container(name, script, image)
    }
}

fn mount(volume: &str, sub_path: String) -> Mount {
    Mount { volume: volume.into(), path: "/data".into(), sub_path, read_only: false, propagation: "rprivate" }
}
