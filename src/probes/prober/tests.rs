use super::*;

fn pace(initial: u64, period: u64, successes: u32, failures: u32) -> Option<Pace> {
    Some(Pace { initial_delay: Duration::from_secs(initial), period: Duration::from_secs(period), successes, failures })
}

fn at(seconds: u64) -> Mono {
    Mono(1_000_000 + seconds * 1_000)
}

fn now(mono: Mono) -> Now {
    Now { mono, wall: Wall(i64::try_from(mono.0).expect("small")) }
}

/// Plays results, each taken the moment it is due, until they run out; what was tried when, with what it meant.
fn play(paces: Paces, adopted: bool, results: &str) -> (Vec<String>, Prober) {
    let mut prober = Prober::new(&paces, at(0), at(0), adopted);
    let mut said = Vec::new();
    for result in results.bytes() {
        let Some(due) = prober.next() else {
            said.push("nothing is due".to_owned());
            break;
        };
        let kind = prober.take(due).expect("it is due");
        let result = if result == b'+' { Ok(()) } else { Err("no".to_owned()) };
        let meaning = prober.result(kind, result, now(due));
        let state = match (&meaning, prober.unready()) {
            (Meaning::End(why), _) => format!("end: {why}"),
            (_, None) => "ready".to_owned(),
            (_, Some(NotReady { starting: true, .. })) => "starting".to_owned(),
            (_, Some(NotReady { starting: false, .. })) => "not ready".to_owned(),
        };
        let changed = if meaning == Meaning::Changed { "!" } else { "" };
        said.push(format!("{} {} {state}{changed}", (due.0 - at(0).0) / 1000, &kind.as_str()[..1]));
    }
    (said, prober)
}

#[test]
fn results_mean_what_kubernetes_makes_of_them() {
    let readiness = |pace| Paces { readiness: pace, ..Paces::default() };
    let liveness = |pace| Paces { liveness: pace, ..Paces::default() };
    let startup = Paces { startup: pace(0, 1, 1, 3), readiness: pace(5, 2, 1, 1), liveness: pace(0, 3, 1, 1) };
    for (what, paces, adopted, results, expected) in [
        ("ready with its first success", readiness(pace(0, 10, 1, 3)), false, "+", &["0 r ready!"][..]),
        ("the first try is after the initial delay", readiness(pace(7, 10, 1, 3)), false, "+", &["7 r ready!"]),
        (
            "not ready, having failed often enough, and ready again with a success",
            readiness(pace(0, 2, 1, 3)),
            false,
            "+---+",
            &["0 r ready!", "2 r ready", "4 r ready", "6 r not ready!", "8 r ready!"],
        ),
        (
            "a success in between begins the count anew",
            readiness(pace(0, 1, 1, 2)),
            false,
            "+-+-",
            &["0 r ready!", "1 r ready", "2 r ready", "3 r ready"],
        ),
        (
            "several successes where they are asked for",
            readiness(pace(0, 1, 2, 1)),
            false,
            "+-++",
            &["0 r starting", "1 r not ready!", "2 r not ready", "3 r ready!"],
        ),
        (
            "one that was never ready starts until it has failed often enough",
            readiness(pace(0, 1, 1, 2)),
            false,
            "--",
            &["0 r starting!", "1 r not ready!"],
        ),
        (
            "what keeps failing is said once",
            readiness(pace(0, 1, 1, 1)),
            false,
            "---",
            &["0 r not ready!", "1 r not ready", "2 r not ready"],
        ),
        (
            "a liveness probe ends it, having failed often enough, and nothing is due after that",
            liveness(pace(1, 5, 1, 2)),
            false,
            "+-+--+",
            &[
                "1 l ready",
                "6 l ready",
                "11 l ready",
                "16 l ready",
                "21 l end: its liveness probe failed 2 times (no)",
                "nothing is due",
            ],
        ),
        (
            "until the startup probe succeeds the others wait, and then come at once if their delay is over",
            startup,
            false,
            "--+++",
            &["0 s starting!", "1 s starting", "2 s starting!", "2 l starting", "5 r ready!"],
        ),
        (
            "a startup probe that failed often enough ends it",
            startup,
            false,
            "---",
            &["0 s starting!", "1 s starting", "2 s end: its startup probe failed 3 times (no)"],
        ),
        (
            "an adopted one is ready until a probe has failed often enough",
            readiness(pace(0, 1, 1, 2)),
            true,
            "--+",
            &["0 r ready", "1 r not ready!", "2 r ready!"],
        ),
        (
            "an adopted one passes its startup probe once more, without a word",
            startup,
            true,
            "+++",
            &["0 s ready", "0 l ready", "3 l ready"],
        ),
        ("without probes nothing is ever due", Paces::default(), false, "+", &["nothing is due"]),
    ] {
        let (said, _) = play(paces, adopted, results);
        assert_eq!(said, expected, "{what}");
    }
}

#[test]
fn the_words_are_of_the_first_failure_in_a_row_and_stay() {
    let paces = Paces { readiness: pace(0, 1, 1, 2), ..Paces::default() };
    let mut prober = Prober::new(&paces, at(0), at(0), false);
    for (second, why) in [(0, "one"), (1, "two"), (2, "three")] {
        assert_eq!(prober.take(at(second)), Some(Kind::Readiness));
        prober.result(Kind::Readiness, Err(why.to_owned()), now(at(second)));
    }
    let since = now(at(0)).wall.clock();
    let why = format!("its readiness probe failed 2 times since {since} (one)");
    assert_eq!(prober.unready(), Some(NotReady { why, starting: false }));
}

#[test]
fn a_slow_try_delays_the_next_one_and_never_runs_beside_it() {
    let paces = Paces { liveness: pace(0, 2, 1, 3), ..Paces::default() };
    let mut prober = Prober::new(&paces, at(0), at(0), false);
    assert_eq!(prober.take(at(0)), Some(Kind::Liveness));
    assert_eq!((prober.take(at(2)), prober.next()), (None, None));
    prober.result(Kind::Liveness, Ok(()), now(at(5)));
    assert_eq!(prober.next(), Some(at(5)));
    assert_eq!(prober.take(at(5)), Some(Kind::Liveness));
    // Back on a grid: a short try does not shift it.
    prober.result(Kind::Liveness, Ok(()), now(at(6)));
    assert_eq!(prober.next(), Some(at(7)));
}

#[test]
fn a_delay_counts_from_the_containers_start_also_for_who_comes_later() {
    let paces = Paces { readiness: pace(10, 2, 1, 1), ..Paces::default() };
    assert_eq!(Prober::new(&paces, at(0), at(4), true).next(), Some(at(10)));
    assert_eq!(Prober::new(&paces, at(0), at(400), true).next(), Some(at(400)));
}

#[test]
fn one_that_was_adopted_after_its_startup_probes_time_has_started() {
    let paces = Paces { startup: pace(1, 2, 1, 3), liveness: pace(0, 5, 1, 1), ..Paces::default() };
    for (age, expected) in [(6, Kind::Startup), (7, Kind::Liveness), (1000, Kind::Liveness)] {
        let mut prober = Prober::new(&paces, at(0), at(age), true);
        assert_eq!(prober.take(at(age)), Some(expected), "{age} s old");
    }
    assert_eq!(Prober::new(&paces, at(0), at(1000), false).take(at(1000)), Some(Kind::Startup));
}

#[test]
fn what_could_not_be_asked_says_nothing_and_is_asked_at_the_next_time() {
    let paces = Paces { liveness: pace(0, 2, 1, 2), ..Paces::default() };
    let mut prober = Prober::new(&paces, at(0), at(0), false);
    for (second, asked) in [(0, true), (2, false), (4, false)] {
        assert_eq!(prober.take(at(second)), Some(Kind::Liveness));
        if asked {
            assert_eq!(prober.result(Kind::Liveness, Err("no".into()), now(at(second))), Meaning::Nothing);
        } else {
            prober.unasked(Kind::Liveness, at(second));
        }
    }
    assert_eq!(prober.take(at(6)), Some(Kind::Liveness));
    assert!(matches!(prober.result(Kind::Liveness, Err("no".into()), now(at(6))), Meaning::End(_)));
}

#[test]
fn what_could_not_be_ended_is_probed_again_from_the_beginning() {
    let paces = Paces { liveness: pace(0, 2, 1, 2), ..Paces::default() };
    let (_, mut prober) = play(paces, false, "--");
    assert_eq!(prober.next(), None);
    prober.spared(at(3));
    assert_eq!(prober.next(), Some(at(5)));
    assert_eq!(prober.take(at(5)), Some(Kind::Liveness));
    assert_eq!(prober.result(Kind::Liveness, Err("no".into()), now(at(5))), Meaning::Nothing);
}

#[test]
fn a_result_that_nobody_waits_for_means_nothing_and_time_saturates() {
    let paces = Paces {
        readiness: Some(Pace { initial_delay: Duration::MAX, period: Duration::MAX, successes: 0, failures: 0 }),
        ..Paces::default()
    };
    let mut prober = Prober::new(&paces, at(0), at(0), false);
    assert_eq!(prober.result(Kind::Readiness, Ok(()), now(at(1))), Meaning::Nothing);
    assert_eq!(prober.result(Kind::Liveness, Err("no".into()), now(at(1))), Meaning::Nothing);
    assert_eq!(prober.next(), Some(Mono(u64::MAX)));
    assert_eq!(prober.take(at(1)), None);
}
