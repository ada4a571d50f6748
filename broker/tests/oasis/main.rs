//! The broker against MQTT 3.1.1 (OASIS Standard, 29 October 2014): each test is named after the normative statement
//! that it holds the broker to, `mqtt_3_1_0_2_…` after [MQTT-3.1.0-2]. `docs/mqtt-conformance.md` lists all statements,
//! and `table` keeps that list true.

#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

#[path = "../common/mod.rs"]
mod common;

mod acknowledgements;
mod by_mosquitto;
mod by_paho;
mod connack;
mod connect;
mod disconnect;
mod errors;
mod fixed_header;
mod ping;
mod publish;
mod retained;
mod sessions;
mod subscribe;
mod table;
mod topics;
mod unsubscribe;
mod utf8;
mod wills;
