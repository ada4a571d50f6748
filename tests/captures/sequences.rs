//! The captures of several exchanges, in their order.

use flotta_agent::source::flotta::meaning::{Content, Meaning, meaning};
use flotta_agent::source::flotta::session::{Answer, Exchange, Holds, Phase, Verdict};
use serde_json::Value;

use super::capture::{self, got};
use super::life::Life;

fn exchanges(number: &str, count: usize) -> Vec<Value> {
    let all = capture::numbered(number)["exchanges"].as_array().expect("exchanges").clone();
    assert_eq!(all.len(), count, "{number}");
    all
}

/// Of an exchange in 33b, whose status and body stand in it, or in c0 and c1.
fn read(exchange: Exchange, captured: &Value) -> Meaning {
    let response = if captured.get("response").is_some() { &captured["response"] } else { captured };
    meaning(exchange, &got(response), "lab-short")
}

fn said(meaning: &Meaning) -> &str {
    meaning.trouble.as_deref().unwrap_or_default()
}

/// 33b: the certificate expires on a connection that lives on.
#[test]
fn an_expiry_is_noticed_by_the_configuration_renewed_and_asked_about_on_a_new_connection() {
    let captured = exchanges("33b", 6);
    let mut life = Life::new(Holds::Proven, &[]);
    let step = |life: &mut Life, exchange: Exchange, at: usize| {
        life.reach(exchange);
        let meaning = read(exchange, &captured[at]);
        let verdict = life.answer(exchange, meaning.answer);
        (meaning, verdict)
    };
    assert_eq!(step(&mut life, Exchange::Get, 0).0.answer, Answer::Accepted);
    life.reach(Exchange::Heartbeat);
    let (expired, verdict) = step(&mut life, Exchange::Get, 1);
    assert!(said(&expired).contains("401: the certificate has expired") && verdict.is_none(), "{expired:?}");
    assert_eq!(life.begin(), [Exchange::Renew], "at once");
    // The server takes heartbeats all the same, which says nothing about the expiry.
    let (beat, verdict) = step(&mut life, Exchange::Heartbeat, 2);
    assert_eq!((beat.answer, verdict), (Answer::Accepted, None));
    let before = life.session.epoch();
    let (renewed, _) = step(&mut life, Exchange::Renew, 3);
    assert!(matches!(renewed.content, Content::Certificate(_)));
    assert_ne!(life.session.epoch(), before, "another certificate, and so another connection");
    // What comes late on the old connection says nothing about the new certificate.
    let late = read(Exchange::Get, &captured[4]);
    assert_eq!(late.answer, Answer::Status(401));
    assert_eq!(life.session.answered(Exchange::Get, late.answer, before, life.now), None);
    assert_eq!(life.session.phase(), Phase::Proving);
    // Captured without its body: "NEW connection with the renewed certificate", 200.
    assert_eq!(captured[5]["status"], 200);
    life.reach(Exchange::Get);
    assert_eq!(life.answer(Exchange::Get, Answer::Accepted), Some(Verdict::Promote));
    assert_eq!(life.session.phase(), Phase::Registered);
}

/// 32 and 33b: a heartbeat is taken with an expired certificate too.
#[test]
fn a_heartbeat_that_is_taken_does_not_put_off_the_renewal_of_an_expired_certificate() {
    let captured = exchanges("33b", 6);
    let mut life = Life::new(Holds::Proven, &[]);
    life.reach(Exchange::Heartbeat);
    life.reach(Exchange::Get);
    life.answer(Exchange::Get, read(Exchange::Get, &captured[1]).answer);
    life.reach(Exchange::Renew);
    life.answer(Exchange::Renew, Answer::Unreachable);
    life.answer(Exchange::Heartbeat, read(Exchange::Heartbeat, &captured[2]).answer);
    assert_eq!(life.session.phase(), Phase::Renewing);
    assert_eq!(life.next(), "Renew soon");
}

/// The same, where the server signs what it then refuses (a clock that is wrong): no storm of renewals.
#[test]
fn a_renewed_certificate_is_proven_by_the_configuration_and_not_by_a_heartbeat() {
    let captured = exchanges("33b", 6);
    let mut life = Life::new(Holds::Proven, &[]);
    let (mut renewals, begin) = (0, life.now);
    while life.now.since(begin).as_secs() < 600 {
        assert!(!life.begin().is_empty() && renewals < 100, "{renewals} renewals");
        for (exchange, at) in [(Exchange::Renew, 3), (Exchange::Heartbeat, 2), (Exchange::Get, 1)] {
            if life.is_under_way(exchange) {
                renewals += usize::from(exchange == Exchange::Renew);
                let verdict = life.answer(exchange, read(exchange, &captured[at]).answer);
                assert_ne!(verdict, Some(Verdict::Promote), "{exchange:?}");
            }
        }
    }
    assert!((2..=12).contains(&renewals), "{renewals} renewals in ten minutes");
}

/// 27, and the answer of 29 to the renewal: the certificate is another server's.
#[test]
fn a_certificate_of_another_ca_leads_over_a_renewal_that_is_refused_to_an_enrolment() {
    let mut life = Life::new(Holds::Proven, &[]);
    for (exchange, number) in [(Exchange::Get, "27"), (Exchange::Renew, "29")] {
        life.reach(exchange);
        assert_eq!(life.answer(exchange, read(exchange, capture::numbered(number)).answer), None);
    }
    assert_eq!((life.session.phase(), life.next().as_str()), (Phase::Distrusted, "Enrol at once"));
}

/// 28 and 27: a renewed certificate that is refused on both ways, while it enrols for that.
#[test]
fn going_back_to_the_certificate_before_leaves_no_enrolment_that_waits_for_ever() {
    let refused = |exchange, number| read(exchange, capture::numbered(number)).answer;
    let mut life =
        Life::new(Holds::Proven, &[(Exchange::Get, Answer::Status(401)), (Exchange::Renew, Answer::Accepted)]);
    life.reach(Exchange::Get);
    life.answer(Exchange::Heartbeat, refused(Exchange::Heartbeat, "28"));
    life.reach(Exchange::Enrol);
    assert_eq!(life.answer(Exchange::Get, refused(Exchange::Get, "27")), Some(Verdict::GoBack));
    for exchange in [Exchange::Get, Exchange::Heartbeat, Exchange::Enrol] {
        life.reach(exchange);
    }
    life.answer(Exchange::Enrol, Answer::Already);
    life.answer(Exchange::Get, Answer::Accepted);
    assert_eq!(life.session.phase(), Phase::Registered);
}

/// c0: what the server answers to a first start.
#[test]
fn a_first_start_goes_from_enrolment_to_a_configuration_without_a_detour() {
    let captured = exchanges("c0", 5);
    let mut life = Life::new(Holds::Nothing, &[]);
    let mut promoted = 0;
    let steps = [Exchange::Enrol, Exchange::Register, Exchange::Get, Exchange::Heartbeat, Exchange::Get];
    let phases = [Phase::Enrolled, Phase::Proving, Phase::Registered, Phase::Registered, Phase::Registered];
    for ((exchange, phase), captured) in steps.into_iter().zip(phases).zip(&captured) {
        life.reach(exchange);
        let meaning = read(exchange, captured);
        assert_eq!((meaning.answer, meaning.trouble.as_deref()), (Answer::Accepted, None), "{exchange:?}");
        promoted += usize::from(life.answer(exchange, meaning.answer) == Some(Verdict::Promote));
        assert_eq!(life.session.phase(), phase, "{exchange:?}");
    }
    assert_eq!(promoted, 1, "the certificate is proven once");
}

/// c1: where the reference agent went on for ever.
#[test]
fn an_expired_certificate_ends_with_a_renewal_whatever_the_heartbeats_do() {
    let captured = exchanges("c1", 4);
    let mut life = Life::new(Holds::Proven, &[]);
    life.reach(Exchange::Get);
    life.reach(Exchange::Heartbeat);
    assert_eq!(life.answer(Exchange::Get, read(Exchange::Get, &captured[0]).answer), None);
    let beat = read(Exchange::Heartbeat, &captured[1]);
    assert_eq!(beat.answer, Answer::Status(500));
    assert_eq!(life.answer(Exchange::Heartbeat, beat.answer), None);
    assert_eq!(life.next(), "Renew at once");
    for captured in &captured[2..] {
        let status = captured["response"]["status"].as_u64();
        assert!(status == Some(401) || status == Some(500), "it came to nothing");
    }
}
