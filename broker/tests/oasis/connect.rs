//! 3.1 CONNECT: what is let in, and what is closed.

use crate::common::*;

/// [MQTT-3.1.0-1] The first packet of a client must be a CONNECT.
#[tokio::test]
async fn mqtt_3_1_0_1_a_first_packet_that_is_not_connect_is_closed_unanswered() {
    let home = home().await;
    for first in [
        publish("a", b"x", 1, 1, false),
        subscribe(1, &[("a", 0)]),
        unsubscribe(1, &["a"]),
        ack(PUBREL, 1),
        PINGREQ.to_vec(),
        DISCONNECT.to_vec(),
        vec![CONNACK, 2, 0, 0],
    ] {
        assert_eq!(home.answer(&first).await, b"", "{first:02x?}");
    }
}

/// [MQTT-3.1.0-2] A second CONNECT is a protocol violation: the server disconnects the client.
#[tokio::test]
async fn mqtt_3_1_0_2_a_second_connect_is_a_protocol_violation() {
    let home = home().await;
    for id in ["same", "another"] {
        home.client("same").await.is_closed_for(&connect(id, true, 0, None)).await;
    }
}

/// [MQTT-3.1.2-1] With an incorrect protocol name the server may disconnect; it must not go on in line with 3.1.1.
#[tokio::test]
async fn mqtt_3_1_2_1_an_unknown_protocol_name_is_closed() {
    let home = home().await;
    for name in ["MQTx", "mqtt", "MQTTX", "MQT", "", "MQIsdx"] {
        let hello = connect_as(name.as_bytes(), 4, CLEAN, 0, &[b"c"]);
        assert_eq!(home.answer(&hello).await, b"", "{name}");
    }
}

/// [MQTT-3.1.2-2] An unsupported protocol level gets CONNACK with return code 1, then the connection is closed.
#[tokio::test]
async fn mqtt_3_1_2_2_an_unsupported_level_gets_return_code_1() {
    let home = home().await;
    for (name, level) in [("MQIsdp", 3), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0), ("MQTT", 255)] {
        let hello = connect_as(name.as_bytes(), level, CLEAN, 0, &[b"c"]);
        assert_eq!(home.answer(&hello).await, [CONNACK, 2, 0, 1], "{name} {level}");
    }
    assert_eq!(home.broker.counters().refused(Refusal::Version), 5);
}

/// [MQTT-3.1.2-2] The same for version 5, in the form that version 5 reads (reason 0x84, no properties).
#[tokio::test]
async fn mqtt_3_1_2_2_a_version_5_client_is_told_in_its_own_form() {
    let home = home().await;
    let hello = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00";
    assert_eq!(home.answer(hello).await, [CONNACK, 3, 0, 0x84, 0]);
}

/// [MQTT-3.1.2-3] The server disconnects a client whose CONNECT has the reserved flag set.
#[tokio::test]
async fn mqtt_3_1_2_3_a_set_reserved_flag_is_closed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | 1, &[b"c"])).await, b"");
}

/// [MQTT-3.1.2-9] With the will flag, will topic and will message must be in the payload.
#[tokio::test]
async fn mqtt_3_1_2_9_a_will_flag_without_topic_and_message_is_malformed() {
    let home = home().await;
    for fields in [&[&b"c"[..]][..], &[b"c", b"wills/c"]] {
        assert_eq!(home.answer(&connect_with(CLEAN | WILL, fields)).await, b"", "{fields:?}");
    }
}

/// [MQTT-3.1.2-11] Without the will flag, no will topic and no will message may be in the payload.
#[tokio::test]
async fn mqtt_3_1_2_11_a_will_without_its_flag_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN, &[b"c", b"wills/c", b"gone"])).await, b"");
}

/// [MQTT-3.1.2-13] Without the will flag the will QoS must be 0.
#[tokio::test]
async fn mqtt_3_1_2_13_a_will_qos_without_a_will_is_malformed() {
    let home = home().await;
    for qos in 1..=3 {
        assert_eq!(home.answer(&connect_with(CLEAN | qos << 3, &[b"c"])).await, b"", "{qos}");
    }
}

/// [MQTT-3.1.2-14] The will QoS must not be 3.
#[tokio::test]
async fn mqtt_3_1_2_14_a_will_qos_of_3_is_malformed() {
    let home = home().await;
    let hello = connect_with(CLEAN | WILL | 3 << 3, &[b"c", b"wills/c", b"gone"]);
    assert_eq!(home.answer(&hello).await, b"");
}

/// [MQTT-3.1.2-15] Without the will flag the will retain flag must be 0.
#[tokio::test]
async fn mqtt_3_1_2_15_a_will_retain_without_a_will_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | WILL_RETAIN, &[b"c"])).await, b"");
}

/// [MQTT-3.1.2-18] Without the user name flag, no user name may be in the payload.
#[tokio::test]
async fn mqtt_3_1_2_18_a_user_name_without_its_flag_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN, &[b"c", b"user"])).await, b"");
}

/// [MQTT-3.1.2-19] With the user name flag, a user name must be in the payload.
#[tokio::test]
async fn mqtt_3_1_2_19_a_user_name_flag_without_a_user_name_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | USER, &[b"c"])).await, b"");
}

/// [MQTT-3.1.2-20] Without the password flag, no password may be in the payload.
#[tokio::test]
async fn mqtt_3_1_2_20_a_password_without_its_flag_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | USER, &[b"c", b"user", b"password"])).await, b"");
}

/// [MQTT-3.1.2-21] With the password flag, a password must be in the payload.
#[tokio::test]
async fn mqtt_3_1_2_21_a_password_flag_without_a_password_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | USER | PASSWORD, &[b"c", b"user"])).await, b"");
}

/// [MQTT-3.1.2-21] The password is bytes (3.1.3.5): any, or none.
#[tokio::test]
async fn mqtt_3_1_2_21_a_password_may_be_any_bytes() {
    let home = home().await;
    for password in [&b"\x00\xff\xfe\xc0"[..], b"", b"text"] {
        let hello = connect_with(CLEAN | USER | PASSWORD, &[b"c", b"user", password]);
        home.connected(&hello).await.0.disconnect().await;
    }
}

/// [MQTT-3.1.2-22] Without the user name flag the password flag must be 0.
#[tokio::test]
async fn mqtt_3_1_2_22_a_password_flag_without_a_user_name_flag_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | PASSWORD, &[b"c", b"password"])).await, b"");
}

/// [MQTT-3.1.3-1] The fields are in the order client id, will topic, will message, user name, password.
#[tokio::test]
async fn mqtt_3_1_3_1_the_fields_are_read_in_their_order() {
    let home = home().await;
    let mut watcher = home.client("watcher").await;
    watcher.subscribe(&[("two", 0)]).await;
    let flags = CLEAN | WILL | USER | PASSWORD;
    let (client, _) = home.connected(&connect_with(flags, &[b"one", b"two", b"three", b"four", b"five"])).await;
    drop(client);
    assert_eq!(watcher.message().await.text(), "three");
}

/// [MQTT-3.1.3-3] The client id must be there, as the first field of the payload.
#[tokio::test]
async fn mqtt_3_1_3_3_a_connect_without_a_client_id_field_is_malformed() {
    let home = home().await;
    for flags in [CLEAN, 0] {
        assert_eq!(home.answer(&connect_with(flags, &[])).await, b"", "{flags}");
    }
}

/// [MQTT-3.1.3-4] The client id must be UTF-8.
#[tokio::test]
async fn mqtt_3_1_3_4_a_client_id_that_is_not_utf_8_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN, &[b"c\xff"])).await, b"");
}

/// [MQTT-3.1.3-10] The will topic must be UTF-8.
#[tokio::test]
async fn mqtt_3_1_3_10_a_will_topic_that_is_not_utf_8_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | WILL, &[b"c", b"a\xff", b"gone"])).await, b"");
}

/// [MQTT-3.1.3-11] The user name must be UTF-8.
#[tokio::test]
async fn mqtt_3_1_3_11_a_user_name_that_is_not_utf_8_is_malformed() {
    let home = home().await;
    assert_eq!(home.answer(&connect_with(CLEAN | USER, &[b"c", b"a\xff"])).await, b"");
}
