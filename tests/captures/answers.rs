//! What is made of each answer: by whom it is asked next, what that says about the device, and in which words.

use flotta_agent::model::time::Wall;
use flotta_agent::source::flotta::identity::{Request, Store};
use flotta_agent::source::flotta::meaning::{Content, Meaning, meaning};
use flotta_agent::source::flotta::renewal::Receipt;
use flotta_agent::source::flotta::session::{Answer, Exchange};

use super::capture::{self, device, got};
use super::life::At;
use super::table::{Reaction, TABLE};

/// The reaction, as the table writes it.
fn react(at: At, read: &Meaning) -> String {
    let mut life = at.life();
    let verdict = life.answer(at.exchange(), read.answer);
    let verdict = verdict.map(|verdict| format!("{verdict:?}! ")).unwrap_or_default();
    let phase = life.session.phase();
    format!("{:?}: {verdict}{phase:?}, {}", read.answer, life.next())
}

#[test]
fn each_captured_answer_brings_about_what_the_contract_says() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for row in TABLE {
        let capture = capture::numbered(row.number);
        for Reaction(at, expected, words) in row.reactions {
            checked += 1;
            let read = meaning(at.exchange(), &got(&capture["response"]), device(&capture["request"]));
            let reaction = react(*at, &read);
            if reaction != *expected {
                wrong.push(format!("{} {at:?}:\n  contract {expected}\n  agent    {reaction}", row.number));
            }
            let said = read.trouble.as_deref();
            let right = if words.is_empty() { said.is_none() } else { said.is_some_and(|said| said.contains(words)) };
            if !right {
                wrong.push(format!("{} {at:?}: {words:?} is not in {said:?}", row.number));
            }
            if let Err(why) = carries(at.exchange(), &read, &capture["response"]["body"]["content"]) {
                wrong.push(format!("{} {at:?}: {why}", row.number));
            }
        }
    }
    println!("{checked} reactions to answers checked");
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 95, "{checked}");
}

/// What came with an answer is what the server sent, and only accepted answers bring anything.
fn carries(exchange: Exchange, read: &Meaning, sent: &serde_json::Value) -> Result<(), String> {
    let accepted = read.answer == Answer::Accepted;
    let right = match &read.content {
        Content::Nothing => !accepted || matches!(exchange, Exchange::Enrol | Exchange::Heartbeat | Exchange::Control),
        Content::Certificate(pem) => {
            matches!(exchange, Exchange::Register | Exchange::Renew) && sent["certificate"] == pem.as_str()
        }
        Content::Configuration(message) => exchange == Exchange::Get && message["content"] == *sent,
    };
    if right && (accepted || read.content == Content::Nothing) { Ok(()) } else { Err(format!("it brings {read:?}")) }
}

/// API 3.2: "verify cert matches own key".
#[test]
fn a_captured_certificate_is_of_another_key_and_changes_nothing_on_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut store, problems) = Store::open(dir.path(), "lab-dev-1");
    assert_eq!(problems, []);
    let request = Request::new("lab-dev-1").expect("a request");
    let mut tried = 0;
    for row in TABLE {
        let capture = capture::numbered(row.number);
        let Some(certificate) = capture["response"]["body"]["content"]["certificate"].as_str() else { continue };
        let receipt = Receipt { at: Wall(0), from_server: false, boot: "b".into(), mono_ms: 0 };
        let refused = store.put(&request, certificate, receipt);
        assert!(refused.as_ref().is_err_and(|why| why.contains("key")), "{}: {refused:?}", row.number);
        assert!(store.current().is_none() && store.candidate().is_none(), "{}", row.number);
        tried += 1;
    }
    let files = std::fs::read_dir(dir.path().join("identity")).expect("there").count();
    assert_eq!((tried, files), (6, 0));
}
