//! The PodSpec, from YAML to what podman is asked to make: every field is carried out, warned about, or refused with its place.

use std::sync::Arc;

use flotta_agent::executor::podman::resolver::Resolver;
use flotta_agent::executor::podman::translate::{Blueprint, Place, translate};
use flotta_agent::model::workload::{Payload, Workload};
use flotta_agent::source::manifests::{Directory, Settings};
use flotta_agent::spec_hash::DeviceKey;
use serde_json::{Value as Json, json};

const MAPS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\ndata: { a: \"1\", b-c: \"two\" }\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { key: hush }\n";

fn workload(head: &str, spec: &str) -> Arc<Workload> {
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: web, labels: {{ app: shop }} }}\nspec: {{ {head}pod: {{ spec: {spec} }} }}\n"
    );
    let mut directory = Directory::default();
    directory.put("manifests", "a.yaml", Ok(&text));
    directory.put("manifests", "maps.yaml", Ok(MAPS));
    let settings = Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) };
    let desired = directory.outcome(&settings).desired;
    let one = desired.workloads.into_values().next();
    one.unwrap_or_else(|| panic!("{spec}: no workload: {:?}", desired.problems))
}

fn place(cpu: bool) -> Place {
    Place {
        owner: "us".into(),
        device: "d".into(),
        cpu,
        memory: cpu,
        cores: 4,
        memory_total: 1 << 30,
        no_limits: "no controller",
        files: "/files".into(),
        resolver: Resolver::parse("nameserver 10.0.0.1\nsearch lan\noptions ndots:1\n"),
    }
}

fn blueprint(spec: &str, quota: Option<u32>, cpu: bool) -> Blueprint {
    let workload = workload("", spec);
    match &workload.payload {
        Payload::Pod(job) => translate(&workload, job, &place(cpu), quota),
        other => panic!("{spec}: {other:?}"),
    }
}

/// A pod of one container with these fields.
fn one(fields: &str) -> Blueprint {
    blueprint(&format!("{{ containers: [ {{ name: c, image: i, {fields} }} ] }}"), None, true)
}

#[test]
fn a_field_of_a_container_becomes_what_podman_understands() {
    let cases: &[(&str, &str, Json)] = &[
        ("command: [ /bin/x, \"$(A)\" ], env: [ { name: A, value: \"1\" } ]", "/entrypoint", json!(["/bin/x", "1"])),
        ("args: [ \"$$(A)\", \"$(NONE)\" ]", "/command", json!(["$(A)", "$(NONE)"])),
        ("args: [ 1, true ]", "/command", json!(["1", "true"])),
        ("env: [ { name: A, value: x }, { name: B, value: \"$(A)y\" } ]", "/env/B", json!("xy")),
        ("env: []", "/env/DEVICE_ID", json!("d")),
        ("env: [ { name: A, valueFrom: { configMapKeyRef: { name: m, key: a } } } ]", "/env/A", json!("1")),
        ("env: [ { name: A, valueFrom: { secretKeyRef: { name: s, key: key } } } ]", "/env/A", Json::Null),
        ("env: [ { name: A, valueFrom: { fieldRef: { fieldPath: metadata.name } } } ]", "/env/A", json!("web")),
        (
            "env: [ { name: A, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } } ]",
            "/env/A",
            json!("default"),
        ),
        (
            "env: [ { name: A, valueFrom: { configMapKeyRef: { name: no, key: a, optional: true } } } ]",
            "/env/A",
            Json::Null,
        ),
        ("envFrom: [ { prefix: P_, configMapRef: { name: m } } ]", "/env/P_a", json!("1")),
        ("workingDir: /srv", "/work_dir", json!("/srv")),
        ("tty: true", "/terminal", json!(true)),
        ("stdin: true", "/stdin", json!(true)),
        ("securityContext: { runAsUser: 7 }", "/user", json!("7")),
        ("securityContext: { runAsUser: 7, runAsGroup: 8 }", "/user", json!("7:8")),
        // The user is the image's: what it is, podman is asked.
        ("securityContext: { runAsGroup: 8 }", "/user", Json::Null),
        ("securityContext: { privileged: true }", "/privileged", json!(true)),
        (
            "securityContext: { capabilities: { add: [ NET_ADMIN ], drop: [ ALL ] } }",
            "/cap_add",
            json!(["CAP_NET_ADMIN"]),
        ),
        ("securityContext: { capabilities: { drop: [ ALL ] } }", "/cap_drop", json!(["ALL"])),
        ("securityContext: { readOnlyRootFilesystem: true }", "/read_only_filesystem", json!(true)),
        ("securityContext: { allowPrivilegeEscalation: false }", "/no_new_privileges", json!(true)),
        ("resources: { limits: { cpu: 250m } }", "/resource_limits/cpu/quota", json!(25_000)),
        ("resources: { limits: { cpu: 2 } }", "/resource_limits/cpu/quota", json!(200_000)),
        ("resources: { limits: { memory: 64Mi } }", "/resource_limits/memory/limit", json!(67_108_864)),
        ("resources: { requests: { cpu: 500m } }", "/resource_limits/cpu/shares", json!(512)),
        ("resources: { requests: { memory: 1k } }", "/resource_limits/memory/reservation", json!(1000)),
        ("securityContext: { seccompProfile: { type: Unconfined } }", "/seccomp_profile_path", json!("unconfined")),
        ("securityContext: { seccompProfile: { type: RuntimeDefault } }", "/seccomp_profile_path", Json::Null),
        ("securityContext: { procMount: Unmasked }", "/unmask", json!(["ALL"])),
        ("stdinOnce: true, terminationMessagePath: /x, terminationMessagePolicy: File", "/stdin", Json::Null),
        ("env: []", "/restart_policy", json!("no")),
        ("env: []", "/image_pull_policy", json!("never")),
        ("env: []", "/stop_timeout", json!(30)),
        ("env: []", "/labels/project-flotta.io~1owner", json!("us")),
    ];
    for (fields, pointer, expected) in cases {
        let made = one(fields);
        let found = made.containers[0].body.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, *expected, "{fields}: {pointer}");
        assert_eq!(made.warnings, [""; 0], "{fields}");
    }
}

#[test]
fn a_field_of_a_pod_becomes_what_podman_understands() {
    let container = "containers: [ { name: c, image: i, ports: [ { containerPort: 80, hostPort: 8080, hostIP: 127.0.0.1, protocol: UDP }, { containerPort: 81 } ] } ]";
    let plain = "containers: [ { name: c, image: i, ports: [ { containerPort: 80 } ] } ]";
    let cases: &[(&str, &str, Json)] = &[
        ("", "/hostname", json!("web")),
        (", hostname: h", "/hostname", json!("h")),
        (", hostNetwork: true", "/netns/nsmode", json!("host")),
        (", hostNetwork: true", "/portmappings", Json::Null),
        (
            "",
            "/portmappings",
            json!([{ "container_port": 80, "host_port": 8080, "host_ip": "127.0.0.1", "protocol": "udp" }]),
        ),
        (", shareProcessNamespace: true", "/shared_namespaces", json!(["ipc", "net", "uts", "pid"])),
        (", hostAliases: [ { ip: 10.0.0.1, hostnames: [ a, b ] } ]", "/hostadd", json!(["a:10.0.0.1", "b:10.0.0.1"])),
        (", dnsPolicy: ClusterFirst", "/dns_server", Json::Null),
        (", dnsPolicy: ClusterFirstWithHostNet", "/dns_server", Json::Null),
        (", dnsConfig: { nameservers: [ 9.9.9.9 ] }", "/dns_server", json!(["10.0.0.1", "9.9.9.9"])),
        (", dnsConfig: { nameservers: [ 9.9.9.9 ] }", "/dns_search", Json::Null),
        (", dnsConfig: { searches: [ shop ] }", "/dns_search", json!(["lan", "shop"])),
        (", dnsConfig: { searches: [ shop ] }", "/dns_server", Json::Null),
        (
            ", dnsConfig: { options: [ { name: ndots, value: 2 }, { name: edns0 } ] }",
            "/dns_option",
            json!(["ndots:2", "edns0"]),
        ),
        (", dnsPolicy: None, dnsConfig: { nameservers: [ 9.9.9.9 ] }", "/dns_server", json!(["9.9.9.9"])),
        (", dnsPolicy: None, dnsConfig: { nameservers: [ 9.9.9.9 ] }", "/dns_search", json!(["."])),
        (", subdomain: shop", "/hostname", json!("web")),
        (", subdomain: shop.example, setHostnameAsFQDN: true", "/hostname", json!("web.shop.example")),
        (
            ", securityContext: { sysctls: [ { name: net.core.somaxconn, value: 7 } ] }",
            "/sysctl",
            json!({ "net.core.somaxconn": "7" }),
        ),
        (", hostPID: true, shareProcessNamespace: true", "/shared_namespaces", Json::Null),
        ("", "/exit_policy", json!("continue")),
        ("", "/labels/app", json!("shop")),
        (", terminationGracePeriodSeconds: 3", "/labels/project-flotta.io~1grace", json!("3")),
    ];
    for (more, pointer, expected) in cases {
        // On the device's own network there is nothing to publish.
        let container = if more.contains("hostNetwork") { plain } else { container };
        let made = blueprint(&format!("{{ {container}{more} }}"), None, true);
        let found = made.pod.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, *expected, "{more}: {pointer}");
    }
    let groups = "{ containers: [ { name: c, image: i } ], securityContext: { supplementalGroups: [ 20, 5 ] } }";
    assert_eq!(blueprint(groups, None, true).containers[0].body["groups"], json!(["20", "5"]));
}

#[test]
fn with_the_devices_network_or_processes_each_container_is_told_what_a_pod_cannot_say_for_it() {
    let body = |more: &str| {
        let made = blueprint(&format!("{{ containers: [ {{ name: c, image: i }} ], {more} }}"), None, true);
        (made.pod, made.containers[0].body.clone())
    };
    let more = "hostAliases: [ { ip: 10.0.0.1, hostnames: [ a ] } ], dnsConfig: { nameservers: [ 9.9.9.9 ] }";
    let (pod, container) = body(&format!("hostNetwork: true, {more}"));
    assert_eq!((&pod["hostadd"], &pod["dns_server"]), (&Json::Null, &Json::Null));
    assert_eq!(
        (&container["hostadd"], &container["dns_server"]),
        (&json!(["a:10.0.0.1"]), &json!(["10.0.0.1", "9.9.9.9"]))
    );
    let (pod, container) = body(more);
    assert_eq!((&pod["hostadd"], &container["hostadd"]), (&json!(["a:10.0.0.1"]), &Json::Null));
    let (_, container) = body("hostPID: true, hostIPC: true");
    assert_eq!(
        (&container["pidns"], &container["ipcns"]),
        (&json!({ "nsmode": "host" }), &json!({ "nsmode": "host" }))
    );
}

#[test]
fn an_annotation_puts_the_pod_on_a_network_of_podmans_where_others_find_it_by_its_names() {
    let with = |text: &str, spec: &str| {
        let manifest = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: web, annotations: {{ project-flotta.io/network: \"{text}\" }} }}\nspec: {{ pod: {{ spec: {{ containers: [ {{ name: c, image: i }} ], {spec} }} }} }}\n"
        );
        let mut directory = Directory::default();
        directory.put("manifests", "a.yaml", Ok(&manifest));
        let settings = Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) };
        directory.outcome(&settings).desired.workloads.into_values().next().expect("a workload")
    };
    let pod = |text: &str, spec: &str| {
        let workload = with(text, spec);
        let Payload::Pod(job) = &workload.payload else { panic!("{:?}", workload.payload) };
        translate(&workload, job, &place(true), None).pod
    };
    let made = pod("lan:ip=10.89.0.9,alias=db other", "hostname: h, subdomain: shop");
    assert_eq!(made["netns"], json!({ "nsmode": "bridge" }));
    let aliases = json!({ "aliases": ["db", "h", "h.shop", "web"], "static_ips": ["10.89.0.9"] });
    assert_eq!(made["Networks"], json!({ "lan": aliases, "other": { "aliases": ["h", "h.shop", "web"] } }));
    let own = "dnsConfig: { nameservers: [ 9.9.9.9 ] }";
    assert_eq!(pod("lan", own)["dns_server"], json!(["9.9.9.9"]), "the network's own DNS is podman's to put first");
    assert_eq!(pod("none", "hostname: h")["netns"], json!({ "nsmode": "none" }));
    assert_eq!(pod("host", "")["netns"], json!({ "nsmode": "host" }));
    let Payload::Invalid(why) = &with("a/b", "").payload else { panic!("taken") };
    assert!(why.contains("metadata.annotations project-flotta.io/network") && why.contains("a/b"), "{why}");
}

#[test]
fn images_are_fetched_with_what_the_pods_pull_secrets_say_and_one_that_is_of_no_use_is_a_warning() {
    use flotta_agent::model::registry::Chosen;
    let with = |secret: &str| {
        let mut directory = Directory::default();
        let pod = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: { name: web }\nspec: { pod: { spec: { containers: [ { name: c, image: quay.io/a/b } ], imagePullSecrets: [ { name: pull } ] } } }\n";
        directory.put("manifests", "a.yaml", Ok(pod));
        directory.put("manifests", "s.yaml", Ok(secret));
        let settings = Settings { device_id: None, fallback_id: "d".into(), key: DeviceKey::new([7; 32]) };
        let workload = directory.outcome(&settings).desired.workloads.into_values().next().expect("a workload");
        let Payload::Pod(job) = workload.payload.clone() else { panic!("{:?}", workload.payload) };
        (job, workload.warnings.join("\n"))
    };
    let secret = |data: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: pull }}\ntype: kubernetes.io/dockerconfigjson\nstringData: {{ {data} }}\n"
        )
    };
    let (job, said) =
        with(&secret(r#"".dockerconfigjson": '{"auths":{"quay.io":{"username":"u","password":"hunter2"}}}'"#));
    let Some(Chosen::Of(_, found)) = job.registries.of_image("quay.io/a/b") else { panic!("none") };
    assert_eq!((found.user.as_str(), found.password.reveal(), said.as_str()), ("u", "hunter2", ""));
    for (data, says) in [
        ("password: hunter2", "no text under the key .dockerconfigjson"),
        (r#"".dockerconfigjson": hunter2"#, "not the content of a docker config.json"),
    ] {
        let (job, said) = with(&secret(data));
        assert!(job.registries.is_empty() && said.contains("Secret pull") && said.contains(says), "{said}");
        assert!(!said.contains("hunter2"));
    }
    assert!(with("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: m }\n").1.contains("Secret pull is not there"));
}

#[test]
fn volumes_are_the_pods_own_and_secrets_are_files() {
    let spec = "{ volumes: [ { name: e, emptyDir: {} }, { name: h, hostPath: { path: /srv/x, type: Directory } }, { name: m, configMap: { name: m, items: [ { key: a, path: deep/a, mode: 0600 } ] } }, { name: s, secret: { secretName: s, defaultMode: 0400 } } ], containers: [ { name: c, image: i, volumeMounts: [ { name: e, mountPath: /e }, { name: h, mountPath: /h, readOnly: true }, { name: m, mountPath: /m }, { name: s, mountPath: /s/key, subPath: key } ] } ] }";
    let made = blueprint(spec, None, true);
    let name = &made.name;
    assert_eq!(made.volumes.iter().map(|v| v.name.clone()).collect::<Vec<_>>(), [format!("{name}-e")]);
    assert_eq!(made.volumes[0].body.pointer("/Label/project-flotta.io~1owner"), Some(&json!("us")));
    let files: Vec<_> = made.files.iter().map(|f| (f.path.as_str(), f.mode, f.bytes.as_slice())).collect();
    assert_eq!(files, [("m/deep/a", 0o600, b"1".as_slice()), ("s/key", 0o400, b"hush".as_slice())]);
    let body = &made.containers[0].body;
    assert_eq!(body["volumes"], json!([{ "Name": format!("{name}-e"), "Dest": "/e", "Options": ["nocopy", "rw"] }]));
    let mounts = body["mounts"].as_array().expect("mounts");
    let of = |n: usize| (mounts[n]["source"].clone(), mounts[n]["destination"].clone(), mounts[n]["options"].clone());
    assert_eq!(of(0), (json!("/srv/x"), json!("/h"), json!(["rbind", "rprivate", "ro"])));
    assert_eq!(of(1), (json!("/files/m"), json!("/m"), json!(["rbind", "rprivate", "ro", "z"])));
    assert_eq!(of(2), (json!("/files/s/key"), json!("/s/key"), json!(["rbind", "rprivate", "ro", "z"])));
    assert!(!format!("{made:?}").contains("hush"), "a secret is not shown");
}

#[test]
fn a_conditions_quota_is_shared_from_the_first_moment_and_limits_that_the_machine_cannot_keep_are_said() {
    let spec = "{ initContainers: [ { name: i, image: i } ], containers: [ { name: a, image: i, resources: { limits: { cpu: 300m } } }, { name: b, image: i, resources: { limits: { cpu: 100m } } } ] }";
    let quotas = |made: &Blueprint| -> Vec<Json> {
        let quota = |body: &Json| body.pointer("/resource_limits/cpu/quota").cloned().unwrap_or_default();
        made.containers.iter().map(|container| quota(&container.body)).collect()
    };
    assert_eq!(quotas(&blueprint(spec, Some(20_000), true)), [json!(20_000), json!(15_000), json!(5_000)]);
    assert_eq!(quotas(&blueprint(spec, None, true)), [Json::Null, json!(30_000), json!(10_000)]);
    let unlimited = blueprint(spec, Some(20_000), false);
    assert_eq!(quotas(&unlimited), [Json::Null, Json::Null, Json::Null]);
    assert!(unlimited.warnings.iter().any(|w| w.starts_with("LimitNotEnforced:") && w.contains("container a")));
    let label = unlimited.pod.pointer("/labels/project-flotta.io~1warnings").and_then(Json::as_str);
    assert_eq!(label, Some(unlimited.warnings.join("\n").as_str()), "the agents after this one know as well");
}

#[test]
fn annotations_that_a_runtime_obeys_come_from_the_device_itself_only() {
    use flotta_agent::model::workload::SourceKind;
    let mut workload = Arc::unwrap_or_clone(workload("", "{ containers: [ { name: c, image: i } ] }"));
    workload.annotations.insert("run.oci.hooks.stdout".into(), "/etc/x".into());
    let Payload::Pod(job) = workload.payload.clone() else { panic!("a pod") };
    assert!(translate(&workload, &job, &place(true), None).containers[0].body["annotations"].is_object());
    workload.source = SourceKind::Flotta;
    assert!(translate(&workload, &job, &place(true), None).containers[0].body["annotations"].is_null());
}

/// What is refused, and words of the answer.
const REFUSED: &[(&str, &[&str])] = &[
    ("containers: [ { name: C, image: i } ]", &["containers[0].name", "lower-case"]),
    ("containers: [ { name: c, image: i }, { name: c, image: i } ]", &["used twice"]),
    ("initContainers: [ { name: c, image: i } ], containers: [ { name: c, image: i } ]", &["used twice"]),
    ("containers: [ { name: c, image: i, imagePullPolicy: Sometimes } ]", &["Always, IfNotPresent, Never"]),
    ("containers: [ { name: c, image: i, workingDir: srv } ]", &["workingDir", "absolute"]),
    ("containers: [ { name: c, image: i, resources: { limits: { cpu: lots } } } ]", &["limits.cpu"]),
    ("containers: [ { name: c, image: i, resources: { limits: { memory: -5 } } } ]", &["limits.memory"]),
    ("containers: [ { name: c, image: i, ports: [ { hostPort: 80 } ] } ]", &["containerPort: is missing"]),
    ("containers: [ { name: c, image: i, ports: [ { containerPort: 70000 } ] } ]", &["containerPort"]),
    ("containers: [ { name: c, image: i, ports: [ { containerPort: 80, hostIP: here } ] } ]", &["not an IP address"]),
    ("containers: [ { name: c, image: i, ports: [ { containerPort: 80, protocol: ICMP } ] } ]", &["TCP, UDP, SCTP"]),
    (
        "containers: [ { name: c, image: i, securityContext: { capabilities: { add: [ net_admin ] } } } ]",
        &["NET_ADMIN"],
    ),
    ("containers: [ { name: c, image: i, securityContext: { runAsNonRoot: true, runAsUser: 0 } } ]", &["contradict"]),
    ("securityContext: { runAsNonRoot: true, runAsUser: 0 }, containers: [ { name: c, image: i } ]", &["contradict"]),
    ("containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: /v } ] } ]", &["has no volume \"v\""]),
    (
        "volumes: [ { name: v, emptyDir: {} } ], containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: v } ] } ]",
        &["mountPath must be absolute"],
    ),
    (
        "volumes: [ { name: v, emptyDir: {} } ], containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: /a }, { name: v, mountPath: /a } ] } ]",
        &["used twice"],
    ),
    (
        "volumes: [ { name: v, emptyDir: {} } ], containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: /a, subPath: x } ] } ]",
        &["subPath", "only carried out for configMap, secret"],
    ),
    (
        "volumes: [ { name: v, hostPath: { path: /srv } } ], containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: /a, subPath: x } ] } ]",
        &["subPath", "only carried out for configMap, secret"],
    ),
    (
        "volumes: [ { name: v, hostPath: { path: srv } } ], containers: [ { name: c, image: i } ]",
        &["hostPath.path", "absolute"],
    ),
    (
        "volumes: [ { name: v, hostPath: { path: /srv/../etc } } ], containers: [ { name: c, image: i } ]",
        &["without \"..\""],
    ),
    (
        "volumes: [ { name: v, hostPath: { path: /srv, type: Dir } } ], containers: [ { name: c, image: i } ]",
        &["DirectoryOrCreate"],
    ),
    ("volumes: [ { name: v } ], containers: [ { name: c, image: i } ]", &["says nothing"]),
    (
        "volumes: [ { name: v, emptyDir: {}, hostPath: { path: /x } } ], containers: [ { name: c, image: i } ]",
        &["more than one thing"],
    ),
    (
        "volumes: [ { name: v, nfs: { server: s } } ], containers: [ { name: c, image: i } ]",
        &["volumes[0].nfs: is not carried out"],
    ),
    (
        "volumes: [ { name: v, persistentVolumeClaim: { claimName: P_1 } } ], containers: [ { name: c, image: i } ]",
        &["persistentVolumeClaim.claimName", "P_1"],
    ),
    (
        "volumes: [ { name: v, persistentVolumeClaim: { claimName: p } } ], containers: [ { name: c, image: i, volumeMounts: [ { name: v, mountPath: /a, subPath: x } ] } ]",
        &["volumeMounts[0].subPath", "volume of its own"],
    ),
    ("volumes: [ { name: v, configMap: {} } ], containers: [ { name: c, image: i } ]", &["configMap.name: is missing"]),
    (
        "volumes: [ { name: v, configMap: { name: m, items: [ { key: a, path: ../x } ] } } ], containers: [ { name: c, image: i } ]",
        &["the path is relative"],
    ),
    (
        "volumes: [ { name: v, secret: { secretName: s, defaultMode: 99999 } } ], containers: [ { name: c, image: i } ]",
        &["defaultMode", "0644"],
    ),
    (
        "volumes: [ { name: v, configMap: { name: absent } } ], containers: [ { name: c, image: i } ]",
        &["ConfigMap default/absent", "not there"],
    ),
    (
        "containers: [ { name: c, image: i, env: [ { name: A, valueFrom: { secretKeyRef: { name: s, key: no } } } ] } ]",
        &["Secret default/s has no key \"no\""],
    ),
    ("hostname: A_b, containers: [ { name: c, image: i } ]", &["hostname"]),
    (
        "hostname: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, containers: [ { name: c, image: i } ]",
        &["hostname", "63"],
    ),
    ("hostAliases: [ { ip: x, hostnames: [ a ] } ], containers: [ { name: c, image: i } ]", &["not an IP address"]),
    (
        "hostAliases: [ { ip: ::1, hostnames: [ 'a b' ] } ], containers: [ { name: c, image: i } ]",
        &["not a name of a host"],
    ),
    ("subdomain: A_b, containers: [ { name: c, image: i } ]", &["subdomain"]),
    (
        "dnsPolicy: Mine, containers: [ { name: c, image: i } ]",
        &["dnsPolicy", "Default, ClusterFirst, ClusterFirstWithHostNet, None"],
    ),
    ("dnsPolicy: None, containers: [ { name: c, image: i } ]", &["None needs dnsConfig.nameservers"]),
    (
        "dnsConfig: { nameservers: [ here ] }, containers: [ { name: c, image: i } ]",
        &["nameservers[0]", "not an IP address"],
    ),
    (
        "dnsConfig: { nameservers: [ 1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4 ] }, containers: [ { name: c, image: i } ]",
        &["more than 3"],
    ),
    ("dnsConfig: { searches: [ \"a b\" ] }, containers: [ { name: c, image: i } ]", &["searches[0]", "not a domain"]),
    ("dnsConfig: { options: [ { value: 2 } ] }, containers: [ { name: c, image: i } ]", &["options[0]", "name: ndots"]),
    (
        "hostNetwork: true, containers: [ { name: c, image: i, ports: [ { containerPort: 80, hostPort: 8080 } ] } ]",
        &["must be its containerPort 80"],
    ),
    (
        "containers: [ { name: c, image: i, ports: [ { containerPort: 80, hostPort: 8080 } ] }, { name: d, image: i, ports: [ { containerPort: 81, hostPort: 8080, hostIP: 127.0.0.1 } ] } ]",
        &["c and d both ask for hostPort 8080/tcp"],
    ),
    ("runtimeClassName: kata, containers: [ { name: c, image: i } ]", &["runtimeClassName", "containers.conf"]),
    (
        "securityContext: { sysctls: [ { name: vm.swappiness, value: 1 } ] }, containers: [ { name: c, image: i } ]",
        &["sysctls[0].name", "not a pod's own"],
    ),
    (
        "hostNetwork: true, securityContext: { sysctls: [ { name: net.core.somaxconn, value: 1 } ] }, containers: [ { name: c, image: i } ]",
        &["would be the device's own with hostNetwork"],
    ),
    (
        "containers: [ { name: c, image: i, securityContext: { procMount: All } } ]",
        &["procMount", "neither Default nor Unmasked"],
    ),
];

#[test]
fn what_cannot_be_carried_out_is_refused_with_its_place_and_what_would_be_right() {
    for (spec, expected) in REFUSED {
        let workload = workload("", &format!("{{ {spec} }}"));
        let Payload::Invalid(why) = &workload.payload else { panic!("{spec}: taken: {:?}", workload.payload) };
        for part in *expected {
            assert!(why.contains(part), "{spec}\n  answers: {why}\n  lacks:   {part}");
        }
    }
}

#[test]
fn names_that_are_too_long_together_are_refused_before_podman_has_to() {
    let volume = "v".repeat(244);
    let spec =
        format!("{{ volumes: [ {{ name: {volume}, emptyDir: {{}} }} ], containers: [ {{ name: c, image: i }} ] }}");
    let Payload::Invalid(why) = &workload("", &spec).payload else { panic!("taken") };
    assert!(why.contains("too long together: shorten one by 6 characters"), "{why}");
}

#[test]
fn what_is_not_carried_out_yet_is_a_warning_by_its_field() {
    let cases = [
        (
            "containers: [ { name: c, image: i, lifecycle: { stopSignal: SIGINT } } ]",
            "containers[0].lifecycle.stopSignal",
        ),
        ("containers: [ { name: c, image: i, imagePulPolicy: Never } ]", "imagePulPolicy"),
        ("containers: [ { name: c, image: i } ], nodeSelector: { a: b }", "nodeSelector"),
        ("containers: [ { name: c, image: i } ], securityContext: { fsGroup: 3 }", "securityContext.fsGroup"),
        (
            "volumes: [ { name: v, emptyDir: { medium: HugePages } } ], containers: [ { name: c, image: i } ]",
            "emptyDir.medium",
        ),
    ];
    for (spec, field) in cases {
        let workload = workload("", &format!("{{ {spec} }}"));
        assert!(matches!(workload.payload, Payload::Pod(_)), "{spec}: {:?}", workload.payload);
        let said = workload.warnings.join("\n");
        assert!(said.contains(field) && said.contains("a.yaml:4:"), "{spec}: {said}");
    }
}

#[test]
fn a_claims_volume_is_its_namespaces_and_its_own_and_of_no_pod() {
    use flotta_agent::executor::podman::translate::claim_volume;
    assert_eq!(claim_volume("default", "db"), "default_db");
    // Neither a namespace nor a name can have an underscore in it.
    let all = [("a", "b-c"), ("a-b", "c"), ("a.b", "c"), ("a", "b.c"), ("a-b-c", "x")];
    let names: std::collections::BTreeSet<String> = all.iter().map(|(of, name)| claim_volume(of, name)).collect();
    assert_eq!(names.len(), all.len(), "{names:?}");
}
