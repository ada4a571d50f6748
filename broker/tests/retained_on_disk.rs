//! What clients retained outlives the process, and a damaged disk costs as little as can be.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::*;

async fn on(dir: &Path) -> Home {
    home_on(dir, |limits| limits.flush_after = Duration::from_millis(20)).await
}

#[tokio::test]
async fn retained_messages_outlive_a_shutdown_and_the_agents_own_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let home = home_on(dir.path(), |limits| limits.flush_after = Duration::from_secs(3600)).await;
    let mut client = home.client("c").await;
    client.says("a/text", "on", 1, true).await;
    client.send(&publish("a/bytes", &[0, 255, 13, 10], 1, 9, true)).await;
    client.acknowledged(0x40, 9).await;
    client.says("a/live", "x", 1, false).await;
    home.says("mine", "mine", 1, true);
    soon(home.broker.shutdown()).await;

    let home = on(dir.path()).await;
    let mut client = home.client("c").await;
    client.subscribe(&[("#", 1)]).await;
    let (bytes, text) = (client.take().await, client.take().await);
    assert_eq!(
        (&*bytes.topic, &bytes.payload[..], bytes.qos, bytes.retain),
        ("a/bytes", &[0, 255, 13, 10][..], 1, true)
    );
    assert_eq!((&*text.topic, text.text(), text.retain), ("a/text", "on", true));
    client.ping().await;
    assert_eq!(home.broker.counters().retained_writes, 0, "what was read is not written again");
}

#[tokio::test]
async fn a_power_cut_costs_the_last_moments_only() {
    let dir = tempfile::tempdir().unwrap();
    let home = on(dir.path()).await;
    let mut client = home.client("c").await;
    client.says("a", "1", 1, true).await;
    home.until(|counters| counters.retained_writes >= 1).await;
    // What is on disk now is what would be there after a power cut.
    let cut = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), cut.path().join(file.file_name())).unwrap();
    }
    let after = on(cut.path()).await;
    let mut client = after.client("c").await;
    client.subscribe(&[("a", 1)]).await;
    assert_eq!(client.take().await.text(), "1");
}

#[tokio::test]
async fn a_thousand_changes_of_a_topic_are_one_write_and_a_cleared_one_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let home = home_on(dir.path(), |limits| limits.flush_after = Duration::from_millis(500)).await;
    let mut client = home.client("c").await;
    for i in 0..1000 {
        client.says("a", &i.to_string(), 0, true).await;
    }
    home.until(|counters| counters.retained_writes >= 1).await;
    let writes = home.broker.counters().retained_writes;
    assert!(writes <= 4, "{writes} writes");
    client.says("a", "", 1, true).await;
    soon(home.broker.shutdown()).await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no message, no file");
}

#[tokio::test]
async fn a_damaged_line_costs_its_own_message_only() {
    let dir = tempfile::tempdir().unwrap();
    let home = on(dir.path()).await;
    let mut client = home.client("c").await;
    for i in 0..200 {
        client.says(&format!("t/{i:03}"), "value", 1, true).await;
    }
    soon(home.broker.shutdown()).await;
    let damaged = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&damaged).unwrap();
    let line = text.lines().nth(1).unwrap().to_owned();
    fs::write(&damaged, text.replace(&line, &line.replace("value", "lies!"))).unwrap();

    let home = on(dir.path()).await;
    assert_eq!(home.broker.counters().retained_count, 199);
    assert!(fs::read_dir(dir.path()).unwrap().any(|file| file.unwrap().path().extension().unwrap() == "damaged"));
}

#[tokio::test]
async fn while_the_disk_takes_nothing_the_broker_goes_on_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("retained");
    fs::write(&place, "in the way").unwrap();
    let home = on(&place).await;
    let mut client = home.client("c").await;
    client.says("a", "1", 1, true).await;
    home.until(|counters| counters.retained_failures >= 1).await;
    client.says("a", "2", 1, true).await;
    client.subscribe(&[("a", 1)]).await;
    assert_eq!(client.take().await.text(), "2");
    fs::remove_file(&place).unwrap();
    soon(home.broker.shutdown()).await;
    let home = on(&place).await;
    assert_eq!(home.broker.counters().retained_count, 1, "it was written as soon as it could be");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_by_now_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let home = on(dir.path()).await;
    let mut client = home.client("c").await;
    client.says("other/status", "theirs", 1, true).await;
    soon(home.broker.shutdown()).await;
    // The reserved tree of these tests is `agent/`: as if the device had been given the other's name.
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        assert!(fs::read_to_string(&path).unwrap().contains("other/status"));
    }
    let home = home_with_rights(dir.path(), |topic| !topic.starts_with("other/")).await;
    assert_eq!(home.broker.counters().retained_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shutdown_waits_for_a_file_that_is_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let home = home_on(dir.path(), |limits| {
        limits.flush_after = Duration::ZERO;
        limits.retained_bytes = usize::MAX;
        limits.packet_bytes = 1 << 28;
    })
    .await;
    home.client("c").await.says("large", &"x".repeat(40_000_000), 1, true).await;
    let is_being_written = || {
        std::fs::read_dir(dir.path())
            .unwrap()
            .any(|entry| entry.unwrap().path().extension().is_some_and(|e| e == "tmp"))
    };
    soon(async {
        let mut again = tokio::time::interval(Duration::from_millis(1));
        while !is_being_written() {
            again.tick().await;
        }
    })
    .await;
    home.broker.shutdown().await;
    assert!(!is_being_written());
    assert_eq!(home.broker.counters().retained_writes, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_does_not_keep_the_others_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = home_on(dir.path(), |_| {}).await;
    std::fs::create_dir_all(dir.path().join(".retained-00.jsonl.tmp/in-the-way")).unwrap();
    let mut client = home.client("c").await;
    for i in 0..100 {
        client.says(&format!("t{i}"), "x", 1, true).await;
    }
    home.broker.shutdown().await;
    assert_eq!(home.broker.counters().retained_writes, 15);
    assert!(home.broker.counters().retained_failures > 0);
}
