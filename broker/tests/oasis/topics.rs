//! 4.7 Topic names and topic filters.

use crate::common::*;

/// Which of these topics a subscriber of the filter gets.
async fn matching(home: &Home, filter: &str, topics: &[&str]) -> Vec<String> {
    let mut client = home.client("c").await;
    assert_eq!(client.subscribe(&[(filter, 1)]).await, [1], "{filter}");
    for topic in topics {
        home.says(topic, "x", 0, false);
    }
    // The end, on a topic of the same filter, tells that nothing more comes.
    let end = filter.replace(['+', '#'], "end");
    home.says(&end, "end", 0, false);
    let mut got = Vec::new();
    loop {
        let message = client.take().await;
        if message.text() == "end" {
            return got;
        }
        got.push(message.topic);
    }
}

/// [MQTT-4.7.1-1] Wildcards must not be used in a topic name: not in that of a will either.
#[tokio::test]
async fn mqtt_4_7_1_1_a_will_on_a_wildcard_is_malformed() {
    let home = home().await;
    for topic in ["#", "a/+", "a/+/b", "a#"] {
        assert_eq!(home.answer(&connect("c", true, 0, Some((topic, "gone", 0, false)))).await, b"", "{topic}");
    }
}

/// [MQTT-4.7.1-2] `#` stands for a whole level, and the last: else the filter fails.
#[tokio::test]
async fn mqtt_4_7_1_2_a_misplaced_multi_level_wildcard_is_refused() {
    let home = home().await;
    let mut client = home.client("c").await;
    for filter in ["a/#/b", "a#", "a/b#", "#/a", "##", "#a", "/#/", "+#", "a/##"] {
        assert_eq!(client.subscribe(&[(filter, 0)]).await, [0x80], "{filter}");
    }
}

/// [MQTT-4.7.1-2] `#` matches the parent and any number of levels below.
#[tokio::test]
async fn mqtt_4_7_1_2_the_multi_level_wildcard_matches_the_parent_and_all_below() {
    let home = home().await;
    let topics = ["sport", "sport/", "sport/tennis", "sport/tennis/player1", "sports", "a/sport", "/sport"];
    assert_eq!(matching(&home, "sport/#", &topics).await, ["sport", "sport/", "sport/tennis", "sport/tennis/player1"]);
    assert_eq!(matching(&home, "#", &topics).await, topics);
    assert_eq!(matching(&home, "/#", &topics).await, ["/sport"]);
}

/// [MQTT-4.7.1-3] `+` stands for a whole level: else the filter fails.
#[tokio::test]
async fn mqtt_4_7_1_3_a_misplaced_single_level_wildcard_is_refused() {
    let home = home().await;
    let mut client = home.client("c").await;
    for filter in ["a+", "+a", "a/b+", "a/+b/c", "++", "a/++"] {
        assert_eq!(client.subscribe(&[(filter, 0)]).await, [0x80], "{filter}");
    }
}

/// [MQTT-4.7.1-3] `+` matches one level, an empty one too, wherever it stands and however often.
#[tokio::test]
async fn mqtt_4_7_1_3_the_single_level_wildcard_matches_one_level() {
    let home = home().await;
    let topics = ["sport", "sport/", "sport/tennis", "sport/tennis/player1", "/finance", "/"];
    assert_eq!(matching(&home, "sport/+", &topics).await, ["sport/", "sport/tennis"]);
    assert_eq!(matching(&home, "+", &topics).await, ["sport"]);
    assert_eq!(matching(&home, "+/+", &topics).await, ["sport/", "sport/tennis", "/finance", "/"]);
    assert_eq!(matching(&home, "/+", &topics).await, ["/finance", "/"]);
    assert_eq!(matching(&home, "+/tennis/#", &topics).await, ["sport/tennis", "sport/tennis/player1"]);
    assert_eq!(matching(&home, "sport/+/player1", &topics).await, ["sport/tennis/player1"]);
}

/// [MQTT-4.7.2-1] A filter that begins with a wildcard does not match a topic that begins with `$`.
#[tokio::test]
async fn mqtt_4_7_2_1_wildcards_do_not_match_topics_that_begin_with_a_dollar() {
    let home = home().await;
    let topics = ["$SYS/monitor", "$x", "a/$x"];
    assert_eq!(matching(&home, "#", &topics).await, ["a/$x"]);
    assert_eq!(matching(&home, "+/#", &topics).await, ["a/$x"]);
    assert_eq!(matching(&home, "+/monitor", &topics).await, [""; 0]);
    home.says("$SYS/monitor", "kept", 0, true);
    home.says("a/$x", "kept", 0, true);
    let mut client = home.client("c").await;
    client.subscribe(&[("#", 0)]).await;
    assert_eq!(client.take().await.topic, "a/$x");
    client.ping().await;
}

/// [MQTT-4.7.2-1] `$SYS/#` may be subscribed to, and gets what the broker says there.
#[tokio::test]
async fn mqtt_4_7_2_1_the_sys_tree_may_be_subscribed_to() {
    let home = home().await;
    let mut client = home.client("c").await;
    assert_eq!(client.subscribe(&[("$SYS/#", 0)]).await, [0]);
    home.says("$SYS/broker/of/this/test", "x", 0, false);
    while client.take().await.topic != "$SYS/broker/of/this/test" {}
}

/// [MQTT-4.7.2-1] The server should prevent clients from using topics with `$` among themselves.
#[tokio::test]
async fn mqtt_4_7_2_1_clients_cannot_publish_to_topics_that_begin_with_a_dollar() {
    let home = home().await;
    let mut client = home.client("c").await;
    for qos in 0..=2 {
        client.says("$SYS/broker/lie", "x", qos, true).await;
        client.says("$x", "x", qos, true).await;
    }
    assert_eq!(home.broker.counters().refused(Refusal::PublishTopic), 6);
}

/// [MQTT-4.7.3-1] Topic names and filters have at least one character.
#[tokio::test]
async fn mqtt_4_7_3_1_an_empty_topic_closes_the_connection_and_an_empty_filter_fails() {
    let home = home().await;
    for qos in 0..=2 {
        home.closes(&publish("", b"1", qos, 1, false)).await;
    }
    assert_eq!(home.answer(&connect("c", true, 0, Some(("", "gone", 0, false)))).await, b"");
    let mut client = home.client("c").await;
    assert_eq!(client.subscribe(&[("", 0), ("a", 0)]).await, [0x80, 0]);
}

/// [MQTT-4.7.3-2] Topic names and filters do not contain U+0000.
#[tokio::test]
async fn mqtt_4_7_3_2_a_null_character_in_a_topic_or_filter_closes_the_connection() {
    let home = home().await;
    for packet in [
        publish("a\0", b"1", 1, 1, false),
        publish("\0", b"1", 0, 0, false),
        subscribe(1, &[("a\0b", 0)]),
        unsubscribe(1, &["a\0b"]),
    ] {
        home.closes(&packet).await;
    }
}

/// [MQTT-4.7.3-3] Topics are at most 65 535 bytes. Here they are at most 1024 bytes and 32 levels; up to that they work.
#[tokio::test]
async fn mqtt_4_7_3_3_topics_up_to_the_limits_are_delivered() {
    let home = home().await;
    let long = "x".repeat(1024);
    let deep = ["x"; 32].join("/");
    let mut reader = home.client("reader").await;
    assert_eq!(reader.subscribe(&[(&long, 1), (&deep, 1)]).await, [1, 1]);
    let mut sender = home.client("sender").await;
    for topic in [&long, &deep] {
        sender.says(topic, "x", 1, false).await;
        assert_eq!(reader.take().await.topic, *topic);
    }
}

/// [MQTT-4.7.3-3] Beyond, a PUBLISH is acknowledged, counted and dropped, and a filter fails.
#[tokio::test]
async fn mqtt_4_7_3_3_topics_beyond_the_limits_are_dropped() {
    let home = home().await;
    let mut reader = home.client("reader").await;
    reader.subscribe(&[("#", 1)]).await;
    let mut client = home.client("c").await;
    let longest = "x".repeat(65_535);
    for topic in ["x".repeat(1025), ["x"; 33].join("/"), longest] {
        client.says(&topic, "x", 1, false).await;
        assert_eq!(client.subscribe(&[(&topic, 0)]).await, [0x80]);
    }
    client.says("end", "end", 1, false).await;
    assert_eq!(reader.texts().await, ["end"]);
    let counters = home.broker.counters();
    assert_eq!((counters.refused(Refusal::PublishTopic), counters.refused(Refusal::SubscribeFilter)), (3, 3));
}

/// [MQTT-4.7.3-4] Matching is character by character: nothing is normalized, folded or replaced.
#[tokio::test]
async fn mqtt_4_7_3_4_nothing_is_normalized() {
    let home = home().await;
    let topics = ["Å", "A\u{30a}", "\u{212b}", "å", "a", "A", "a ", " a", "a/", "/a", "a//b", "a/b", "a\u{200b}"];
    for topic in topics {
        let mut client = home.client("c").await;
        client.subscribe(&[(topic, 0)]).await;
        for other in topics.into_iter().filter(|&other| other != topic) {
            home.says(other, "x", 0, false);
        }
        home.says(topic, "x", 0, false);
        assert_eq!(client.message().await.topic, topic);
    }
}
