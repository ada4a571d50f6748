use std::path::{Path, PathBuf};

use crate::model::time::Wall;
use crate::source::flotta::identity::{Pair, Roots};
use crate::source::flotta::testing::Ca;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/flotta/identity/fixtures").join(name)
}

fn refused(cert: &Path, key: &Path) -> String {
    Pair::registration(cert, key).expect_err("refused")
}

#[test]
fn a_registration_key_is_read_in_every_form_that_is_handed_out() {
    for (cert, key) in [("ec.crt", "ec.key"), ("ec.crt", "ec-pkcs8.key"), ("rsa.crt", "rsa.key")] {
        let pair = Pair::registration(&fixture(cert), &fixture(key)).expect(key);
        let certificate = pair.certificate();
        assert_eq!((certificate.common_name.as_str(), certificate.ca), ("register", false), "{key}");
        assert!(certificate.not_before < certificate.not_after && certificate.not_before > Wall(0));
    }
}

#[test]
fn certificate_and_key_may_stand_in_one_file_with_windows_line_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let both = dir.path().join("both.pem");
    let read = |name| std::fs::read_to_string(fixture(name)).expect("a fixture");
    std::fs::write(&both, (read("ec.crt") + &read("ec.key")).replace('\n', "\r\n")).expect("written");
    assert_eq!(Pair::registration(&both, &both).expect("read").certificate().common_name, "register");
}

#[test]
fn what_is_wrong_with_a_registration_certificate_is_said_with_file_and_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let (cert, key) = (fixture("ec.crt"), fixture("ec.key"));
    let cut = std::fs::read_to_string(&cert).expect("a fixture");
    let damaged = put("damaged.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cases = [
        (dir.path().join("no.crt"), key.clone(), "no.crt does not exist; set CERT"),
        (cert.clone(), dir.path().join("no.key"), "no.key does not exist; set KEY"),
        (dir.path().to_path_buf(), key.clone(), "cannot be read"),
        (key.clone(), key.clone(), "ec.key holds no certificate but EC PARAMETERS; a PEM block that begins with"),
        (put("empty.crt", " \n"), key.clone(), "holds no certificate (it is empty)"),
        (put("text.crt", "hello"), key.clone(), "holds no certificate (it is not PEM)"),
        (put("cut.crt", &cut[..cut.len() / 2]), key.clone(), "its PEM is damaged"),
        (damaged, key.clone(), "is damaged: it is not an X.509 certificate"),
        (cert.clone(), cert.clone(), "ec.crt holds no private key but CERTIFICATE"),
        (cert.clone(), fixture("rsa.key"), "rsa.key does not belong to CERT"),
        (cert.clone(), fixture("ec-encrypted.key"), "ec-encrypted.key is encrypted"),
        (cert.clone(), fixture("ec-encrypted-old.key"), "ec-encrypted-old.key is encrypted"),
    ];
    for (cert, key, expected) in cases {
        let why = refused(&cert, &key);
        assert!(why.contains(expected), "{expected}: {why}");
    }
}

#[test]
fn nothing_that_is_shown_of_a_pair_or_said_of_a_key_holds_a_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = std::fs::read_to_string(fixture("ec.key")).expect("a fixture");
    let secret = text.lines().rev().nth(2).expect("a line of the key");
    let pair = Pair::registration(&fixture("ec.crt"), &fixture("ec.key")).expect("read");
    assert!(!format!("{pair:?}").contains(secret));
    let broken = dir.path().join("broken.key");
    std::fs::write(&broken, text.replace(secret, &format!("{secret}*"))).expect("written");
    let why = refused(&fixture("ec.crt"), &broken);
    assert!(why.contains("broken.key: its PEM is damaged") && !why.contains(secret), "{why}");
}

#[test]
fn a_file_of_one_or_several_roots_is_read_and_one_that_is_no_ca_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (Ca::new(), Ca::named("another"));
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, format!("a comment\n{}\n{}", first.pem, second.pem)).expect("written");
    let roots = Roots::read(&path).expect("read");
    let subjects: Vec<&str> = roots.certificates().iter().map(|root| root.subject.as_str()).collect();
    assert_eq!(subjects, ["O=flotta-operator", "O=another"]);
    assert!(roots.not_before().is_some());
    let bare = rcgen::generate_simple_self_signed(vec!["old".to_owned()]).expect("a certificate").cert.pem();
    std::fs::write(&path, bare).expect("written");
    Roots::read(&path).expect("an old one that does not say that it is a CA");
    let why = Roots::read(&fixture("ec.crt")).expect_err("refused");
    assert!(why.contains("ec.crt: certificate 1") && why.contains("is not that of a CA"), "{why}");
    let why = Roots::read(&dir.path().join("no.pem")).expect_err("refused");
    assert!(why.contains("no.pem does not exist; set CA_ROOT"), "{why}");
}
