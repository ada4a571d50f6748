//! 1.5.3 UTF-8 encoded strings.

use crate::common::*;

/// Surrogates, overlong forms, beyond U+10FFFF, cut off, lone continuation.
const ILL_FORMED: [&[u8]; 8] = [
    b"a\xed\xa0\x80",
    b"a\xed\xbf\xbf",
    b"a\xed\xa0\xbd\xed\xb8\x80",
    b"a\xc0\xaf",
    b"a\xe0\x80\xaf",
    b"a\xf4\x90\x80\x80",
    b"a\xe2\x82",
    b"\x80a",
];

/// [MQTT-1.5.3-1] Strings must be well-formed UTF-8, without surrogates; else the connection is closed.
#[tokio::test]
async fn mqtt_1_5_3_1_an_ill_formed_topic_closes_the_connection() {
    let home = home().await;
    for topic in ILL_FORMED {
        home.closes(&publish_to(topic, b"", 1, 1, false)).await;
    }
}

/// [MQTT-1.5.3-1] … in the filters of SUBSCRIBE and UNSUBSCRIBE,
#[tokio::test]
async fn mqtt_1_5_3_1_an_ill_formed_filter_closes_the_connection() {
    let home = home().await;
    for filter in ILL_FORMED {
        home.closes(&subscribe_to(1, &[(filter, 0)])).await;
        home.closes(&unsubscribe_from(1, &[filter])).await;
    }
}

/// [MQTT-1.5.3-1] … and in client id, will topic and user name.
#[tokio::test]
async fn mqtt_1_5_3_1_an_ill_formed_string_in_connect_closes_the_connection() {
    let home = home().await;
    for text in ILL_FORMED {
        assert_eq!(home.answer(&connect_with(CLEAN, &[text])).await, b"", "id {text:02x?}");
        let will = connect_with(CLEAN | WILL, &[b"c", text, b"gone"]);
        assert_eq!(home.answer(&will).await, b"", "will topic {text:02x?}");
        assert_eq!(home.answer(&connect_with(CLEAN | USER, &[b"c", text])).await, b"", "user name {text:02x?}");
    }
}

/// [MQTT-1.5.3-2] Strings must not contain U+0000; else the connection is closed.
#[tokio::test]
async fn mqtt_1_5_3_2_a_null_character_closes_the_connection() {
    let home = home().await;
    home.closes(&publish("a\0b", b"", 1, 1, false)).await;
    home.closes(&subscribe(1, &[("a", 0), ("a\0b", 0)])).await;
    home.closes(&unsubscribe(1, &["a\0b"])).await;
}

/// [MQTT-1.5.3-2] … in client id, will topic and user name as well.
#[tokio::test]
async fn mqtt_1_5_3_2_a_null_character_in_connect_closes_the_connection() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | WILL, &[b"c", b"a\0", b"gone"])).await, b"", "will topic");
    assert_eq!(home.answer(&connect_with(CLEAN | USER, &[b"c", b"a\0"])).await, b"", "user name");
    assert_eq!(home.answer(&connect_with(CLEAN, &[b"c\0"])).await, b"", "id");
}

/// [MQTT-1.5.3-3] The bytes EF BB BF are U+FEFF wherever they are, and are not stripped.
#[tokio::test]
async fn mqtt_1_5_3_3_a_byte_order_mark_is_a_character_like_any_other() {
    let home = home().await;
    let mut client = home.client("c").await;
    let marked = "\u{feff}a/\u{feff}";
    client.subscribe(&[(marked, 0), ("end", 0)]).await;
    for topic in ["a/", "a/\u{feff}", "\u{feff}a/", marked, "end"] {
        home.says(topic, "x", 0, false);
    }
    assert_eq!(client.message().await.topic, marked);
    assert_eq!(client.message().await.topic, "end");
}

/// [MQTT-1.5.3-1] Well-formed strings of one to four bytes a character are fine everywhere.
#[tokio::test]
async fn mqtt_1_5_3_1_characters_of_one_to_four_bytes_are_delivered() {
    let home = home().await;
    let (mut client, _) = home.connected(&connect("aé€😀", true, 0, Some(("wills/é", "ü", 0, false)))).await;
    client.subscribe(&[("é/+/😀", 1)]).await;
    let mut sender = home.client("ü").await;
    sender.says("é/€/😀", "x", 1, false).await;
    assert_eq!(client.take().await.topic, "é/€/😀");
    sender.subscribe(&[("wills/é", 1)]).await;
    drop(client);
    assert_eq!(sender.take().await.text(), "ü");
}
