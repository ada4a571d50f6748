//! Which zone is the device's own, and what is said where there is none.

use std::path::Path;

use super::super::Schedule;
use super::*;

const ZONES: &str = "/usr/share/zoneinfo";

fn system(directory: &Path, localtime: &Path, tz: Option<&str>) -> Database {
    Database { directories: vec![directory.to_owned()], localtime: localtime.to_owned(), tz: tz.map(str::to_owned) }
}

fn wall(text: &str) -> Wall {
    Wall::parse_rfc3339(text).expect(text)
}

/// What a clock there shows on the first of July 2026 at noon UTC.
fn noon(zone: &Zone) -> String {
    let at = wall("2026-07-01T12:00:00Z");
    zone.clock(at, at)
}

#[test]
fn the_devices_own_zone_is_tz_else_etc_localtime_else_utc() {
    let dir = tempfile::tempdir().expect("a directory");
    let zones = Path::new(ZONES);
    let link = dir.path().join("localtime");
    std::os::unix::fs::symlink(zones.join("Asia/Tokyo"), &link).expect("a link");
    let local = |tz: Option<&str>| system(zones, &link, tz).local();
    for (tz, name, shows) in [
        (None, "Asia/Tokyo", "21:00"),
        (Some(""), "UTC", "12:00"),
        (Some("Europe/Berlin"), "Europe/Berlin", "14:00"),
        (Some(":Europe/Berlin"), "Europe/Berlin", "14:00"),
        (Some("/usr/share/zoneinfo/America/Lima"), "America/Lima", "07:00"),
        (Some("CET-1CEST,M3.5.0,M10.5.0/3"), "local", "14:00"),
        (Some("<+0330>-3:30"), "local", "15:30"),
    ] {
        let zone = local(tz).unwrap_or_else(|why| panic!("{tz:?}: {why}"));
        assert_eq!((zone.name(), noon(&zone).as_str()), (name, shows), "{tz:?}");
    }
    for tz in ["Europe/Berlim", "/etc/passwd", "/nowhere", "\u{1}", "A-99999999999999999999", ":../../etc/passwd"] {
        let why = local(Some(tz)).expect_err(tz);
        assert!(why.starts_with(&format!("TZ={tz}: ")), "{why}");
    }
    // A file and no link: its name is not known.
    let copy = dir.path().join("copy");
    std::fs::copy(zones.join("Asia/Tokyo"), &copy).expect("a copy");
    let zone = system(zones, &copy, None).local().expect("a zone");
    assert_eq!((zone.name(), noon(&zone).as_str()), ("local", "21:00"));
    std::fs::write(&copy, "Asia/Tokyo\n").expect("written");
    assert!(system(zones, &copy, None).local().expect_err("no zone").contains("is no file of a time zone"));
    let zone = system(zones, &dir.path().join("none"), None).local().expect("UTC");
    assert_eq!(zone, Zone::utc());
}

#[test]
fn an_unknown_zone_is_answered_with_what_would_be_right() {
    let database = system(Path::new(ZONES), Path::new("/nowhere"), None);
    for (name, says) in [
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("America/New York", "write its IANA name"),
        ("America/NewYork", "did you mean America/New_York?"),
        ("Europe/Berlim", "there is no time zone Europe/Berlim in /usr/share/zoneinfo; write an IANA name"),
        ("Europe", "there is no time zone Europe"),
        ("tzdata.zi", "write its IANA name"),
        ("../../../etc/passwd", "write its IANA name"),
        ("/etc/localtime", "write its IANA name"),
        ("+01:00", "write its IANA name"),
        ("", "write its IANA name"),
    ] {
        let why = database.named(name).expect_err(name);
        assert!(why.contains(says), "{name}: {why}");
    }
    let long = database.named(&"a".repeat(100_000)).expect_err("too long");
    assert!(long.len() < 200, "{long}");
}

#[test]
fn without_a_time_zone_database_there_is_utc_and_a_sentence_that_says_what_to_install() {
    let dir = tempfile::tempdir().expect("a directory");
    let (none, link) = (dir.path().join("zoneinfo"), dir.path().join("localtime"));
    let database = system(&none, &link, None);
    assert_eq!(database.local().map(|zone| zone.name().to_owned()), Ok("UTC".into()));
    assert_eq!(database.named("Etc/UTC").map(|zone| noon(&zone)), Ok("12:00".into()));
    let why = database.named("Europe/Berlin").expect_err("no database");
    assert!(why.contains("install the package tzdata"), "{why}");
    // What was set has gone.
    std::os::unix::fs::symlink(none.join("Europe/Berlin"), &link).expect("a link");
    assert!(database.local().expect_err("a link to nowhere").contains("install the package tzdata"));
}

#[test]
fn every_zone_of_the_system_shows_what_its_file_says_up_to_the_year_2100() {
    let list = std::fs::read_to_string(format!("{ZONES}/tzdata.zi")).expect("the package tzdata is installed");
    let names = list.lines().filter_map(|line| line.strip_prefix("Z ")?.split(' ').next());
    let mut zones = 0;
    for name in names {
        let bytes = std::fs::read(format!("{ZONES}/{name}")).expect(name);
        let file = tz::TimeZone::from_tz_data(&bytes).expect(name);
        let zone = Zone::named(name).expect(name);
        // 13 days and a bit apart, so that every time of the day has its turn.
        for at in (0..4_133_980_800_i64).step_by(13 * 86_400 + 5_231) {
            let offset = i64::from(file.find_local_time_type(at).expect(name).ut_offset());
            assert_eq!(zone.table.local(at), at + offset, "{name} at {at}");
        }
        zones += 1;
    }
    assert!(zones > 300, "{zones}");
}

#[test]
fn a_rule_is_carried_out_as_posix_has_it() {
    for rule in [
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "<-02>2<-01>,M3.5.0/0,M10.5.0/24",
        "XXX3YYY,J60,J300/4",
        "XXX3YYY,59,300/4",
        "XXX3EDT4,0/0,J365/23",
    ] {
        let oracle = tz::TimeZone::from_posix_tz(rule).expect(rule);
        let table = tzif::rule(rule).expect(rule);
        for at in (86_400..4_133_980_800_i64).step_by(3 * 3_600 + 1_801 + 86_400) {
            let offset = i64::from(oracle.find_local_time_type(at).expect(rule).ut_offset());
            assert_eq!(table.local(at), at + offset, "{rule} at {at}");
        }
    }
}

#[test]
fn a_time_is_said_with_its_day_where_that_is_another() {
    let berlin = Zone::named("Europe/Berlin").expect("a zone");
    let today = wall("2026-11-21T22:00:00Z");
    for (at, says) in [
        ("2026-11-21T22:59:59Z", "23:59"),
        ("2026-11-21T23:00:00Z", "Sun 22 Nov 00:00"),
        ("2026-12-31T23:00:00Z", "Fri 1 Jan 2027 00:00"),
    ] {
        assert_eq!(berlin.clock(wall(at), today), says);
    }
    assert!(!berlin.clock(Wall(i64::MAX), Wall(i64::MIN)).is_empty());
}

#[test]
fn a_schedule_is_another_in_another_zone_and_the_same_in_the_same() {
    let of = |zone: &str| Schedule::parse("0 0 * * *", Zone::named(zone).expect(zone)).expect("a line");
    assert_eq!(of("Europe/Berlin"), of("Europe/Berlin"));
    assert_ne!(of("Europe/Berlin"), of("Europe/Rome"));
    assert_eq!(of("Europe/Rome").in_zone(Zone::named("Europe/Berlin").expect("a zone")), of("Europe/Berlin"));
}
