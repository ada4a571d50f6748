use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, IsCa};

use crate::model::time::Wall;
use crate::source::flotta::identity::{Request, Store, Stored};
use crate::source::flotta::renewal::Receipt;
use crate::source::flotta::testing::{ALWAYS, Ca, at};

pub(super) fn receipt() -> Receipt {
    Receipt { at: at("2027-01-01T00:00:00Z"), from_server: true, boot: "boot".into(), mono_ms: 7 }
}

fn open(dir: &Path) -> Store {
    let (store, problems) = Store::open(dir, "edge-1");
    assert!(problems.is_empty(), "{problems:?}");
    store
}

fn issue(store: &mut Store, ca: &Ca) {
    let request = Request::new("edge-1").expect("a request");
    let stored = store.put(&request, &ca.sign(&request, "edge-1", ALWAYS), receipt());
    assert_eq!(stored, Ok(Stored::Durably));
}

fn generations(store: &Store) -> (Option<u64>, Option<u64>) {
    (store.current().map(|it| it.generation), store.candidate().map(|it| it.generation))
}

#[test]
fn a_request_is_one_that_openssl_and_the_server_read_with_the_devices_name_and_key() {
    let request = Request::new("edge-1").expect("a request");
    assert!(request.csr().starts_with("-----BEGIN CERTIFICATE REQUEST-----\n") && !request.csr().contains('\r'));
    let csr = rcgen::CertificateSigningRequestParams::from_pem(request.csr()).expect("a signed request");
    let name = csr.params.distinguished_name.get(&rcgen::DnType::CommonName).expect("a CN");
    assert_eq!(format!("{name:?}"), format!("{:?}", rcgen::DnValue::Utf8String("edge-1".into())));
    assert_eq!(csr.public_key.algorithm(), &rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!(format!("{request:?}"), "Request { .. }");
}

#[test]
fn a_new_pair_is_tried_then_proven_and_found_again_after_a_restart() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    assert_eq!(generations(&store), (None, None));
    issue(&mut store, &ca);
    assert_eq!(generations(&open(dir.path())), (None, Some(1)));
    store.promote();
    assert_eq!(generations(&open(dir.path())), (Some(1), None));
    issue(&mut store, &ca);
    let mut store = open(dir.path());
    assert_eq!(generations(&store), (Some(1), Some(2)), "the old one goes on until the new one is proven");
    let candidate = store.candidate().expect("one");
    assert_eq!((candidate.receipt.clone(), candidate.proven), (receipt(), false));
    assert_eq!(candidate.pair.certificate().namespace.as_deref(), Some("default"));
    store.promote();
    assert_eq!(generations(&open(dir.path())), (Some(2), None));
}

#[test]
fn a_refused_candidate_is_dropped_and_the_old_pair_goes_on() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    issue(&mut store, &ca);
    store.promote();
    issue(&mut store, &ca);
    assert!(store.discard());
    assert_eq!(generations(&store), (Some(1), None));
    assert_eq!(generations(&open(dir.path())), (Some(1), None));
    issue(&mut store, &ca);
    assert_eq!(generations(&store), (Some(1), Some(3)), "a generation is not used twice");
}

#[test]
fn the_only_pair_there_is_is_never_dropped() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    issue(&mut store, &ca);
    assert!(!store.discard());
    assert_eq!(generations(&store), (None, Some(1)));
    issue(&mut store, &ca);
    assert_eq!(generations(&store), (Some(1), Some(2)), "unproven both: the older is what is fallen back on");
    assert!(store.discard());
    assert_eq!(generations(&open(dir.path())), (None, Some(1)));
}

#[test]
fn a_certificate_that_is_not_for_this_key_device_or_purpose_is_refused_and_changes_nothing() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    issue(&mut store, &ca);
    store.promote();
    let before = std::fs::read(dir.path().join("identity/a.json")).expect("there");
    let (request, other) = (Request::new("edge-1").expect("one"), Request::new("edge-1").expect("another"));
    let backwards = (ALWAYS.1, ALWAYS.0);
    let is_ca = |params: &mut rcgen::CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cases = [
        (ca.sign(&other, "edge-1", ALWAYS), "does not belong to the certificate"),
        (ca.sign(&request, "edge-2", ALWAYS), "issued to \"edge-2\", not to this device, \"edge-1\""),
        (ca.sign(&request, "edge-1", backwards), "never valid"),
        (ca.sign_as(&request, "edge-1", ALWAYS, is_ca), "that of a CA"),
        (request.csr().to_owned(), "holds no certificate but CERTIFICATE REQUEST"),
        (String::new(), "holds no certificate (it is empty)"),
    ];
    for (certificate, expected) in cases {
        let why = store.put(&request, &certificate, receipt()).expect_err(expected);
        assert!(why.contains(expected) && !why.contains("PRIVATE"), "{expected}: {why}");
        assert_eq!(generations(&store), (Some(1), None));
    }
    assert_eq!(std::fs::read(dir.path().join("identity/a.json")).expect("there"), before);
    assert!(!dir.path().join("identity/b.json").exists());
    let stored = store.put(&request, &ca.sign(&request, "EDGE-1", ALWAYS), receipt());
    assert_eq!(stored, Ok(Stored::Durably), "the server compares names without their case");
}

#[test]
fn everything_is_for_the_owner_alone_and_shows_no_secret() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    std::fs::create_dir(dir.path().join("identity")).expect("made, too open");
    let mut store = open(dir.path());
    issue(&mut store, &ca);
    store.promote();
    issue(&mut store, &ca);
    store.probe().expect("there is room");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let inside = dir.path().join("identity");
    assert_eq!(mode(&inside), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&inside).expect("a directory") {
        let entry = entry.expect("an entry");
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["a.json", "b.json"], "no key lies about in another file");
    let text = std::fs::read_to_string(inside.join("a.json")).expect("there");
    let secret = text.split("-----BEGIN PRIVATE KEY-----\\n").nth(1).expect("the key").get(..40).expect("its begin");
    assert!(!format!("{store:?}").contains(secret));
}

#[test]
fn a_slot_damaged_at_any_byte_is_said_and_the_other_one_is_used() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    issue(&mut store, &ca);
    store.promote();
    issue(&mut store, &ca);
    let path = dir.path().join("identity/b.json");
    let whole = std::fs::read(&path).expect("there");
    for cut in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..cut]).expect("cut");
        let (store, problems) = Store::open(dir.path(), "edge-1");
        assert_eq!(generations(&store), (Some(1), None), "cut at {cut}");
        assert!(problems[0].message.contains("cannot be used"), "{problems:?}");
        assert!(problems[0].place.ends_with("b.json"), "{problems:?}");
    }
}

#[test]
fn a_pair_of_another_device_id_is_not_used_and_is_there_again_when_the_id_is_set_back() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    issue(&mut store, &ca);
    store.promote();
    let (mut other, problems) = Store::open(dir.path(), "edge-2");
    assert_eq!(generations(&other), (None, None));
    let said = &problems[0].message;
    assert!(said.contains("\"edge-1\"") && said.contains("\"edge-2\"") && said.contains("DEVICE_ID"), "{said}");
    let request = Request::new("edge-2").expect("a request");
    let stored = other.put(&request, &ca.sign(&request, "edge-2", ALWAYS), receipt());
    assert_eq!(stored, Ok(Stored::Durably));
    assert_eq!(generations(&other), (None, Some(2)), "into the free slot");
    let (back, problems) = Store::open(dir.path(), "EDGE-1");
    assert_eq!((generations(&back), problems.len()), ((Some(1), None), 1));
}

#[test]
fn a_begin_that_the_servers_own_date_does_not_bear_out_is_no_floor() {
    let (dir, ca) = (tempfile::tempdir().expect("a directory"), Ca::new());
    let mut store = open(dir.path());
    let mut floor = |validity: (Wall, Wall), from_server| {
        let request = Request::new("edge-1").expect("a request");
        let receipt = Receipt { from_server, ..receipt() };
        let _ = store.put(&request, &ca.sign(&request, "edge-1", validity), receipt).expect("taken");
        store.candidate().expect("one").floor()
    };
    assert_eq!(floor(ALWAYS, true), Some(ALWAYS.0));
    assert_eq!(floor(ALWAYS, false), None);
    assert_eq!(floor((at("2098-12-31T00:00:00Z"), at("2099-01-30T00:00:00Z")), true), None);
}
