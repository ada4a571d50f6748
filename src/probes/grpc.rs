//! Asking by gRPC's health protocol: `grpc.health.v1.Health/Check`, over HTTP/2 without TLS, as the kubelet does.
//! Its two messages are so small that they are written and read here.

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use tokio::net::TcpStream;

use super::http::AGENT;

/// The longest answer that is read; a right one has 7 bytes.
const ANSWER_MAX: usize = 1024;

/// Asks whether a service (empty: the server) serves; the error: why that is no success.
///
/// # Errors
/// A sentence's worth of words.
pub async fn ask(stream: TcpStream, authority: &str, service: &str) -> Result<(), String> {
    let no = |why: h2::Error| format!("no answer by gRPC: {why}");
    let (sender, connection) = h2::client::handshake(stream).await.map_err(no)?;
    let mut connection = std::pin::pin!(connection);
    let exchange = async {
        let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .header(USER_AGENT, AGENT)
            .body(())
            .map_err(|why| why.to_string())?;
        let mut sender = sender.ready().await.map_err(no)?;
        let (answer, mut body) = sender.send_request(request, false).map_err(no)?;
        body.send_data(question(service), true).map_err(no)?;
        let (head, mut body) = answer.await.map_err(no)?.into_parts();
        if head.status != 200 {
            return Err(format!("answered {}", head.status.as_u16()));
        }
        let bytes = collect(&mut body).await?;
        let trailers = body.trailers().await.map_err(no)?;
        meaning(&bytes, trailers.as_ref().filter(|t| t.contains_key("grpc-status")).unwrap_or(&head.headers))
    };
    let mut exchange = std::pin::pin!(exchange);
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            said = &mut exchange => break said,
            // How it ended, the exchange knows.
            _ = &mut connection, if !over => over = true,
        }
    }
}

async fn collect(body: &mut RecvStream) -> Result<Bytes, String> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|why| format!("no answer by gRPC: {why}"))?;
        let _ = body.flow_control().release_capacity(piece.len());
        if all.len().saturating_add(piece.len()) > ANSWER_MAX {
            return Err("its answer is too long for one of the health protocol".into());
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// `HealthCheckRequest { string service = 1 }` behind gRPC's five bytes: not compressed, and how long.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, u64::try_from(service.len()).unwrap_or(0));
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
    frame.put_slice(&message);
    frame.freeze()
}

fn put_varint(into: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        into.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8((value & 0x7f) as u8);
}

/// `HealthCheckResponse { ServingStatus status = 1 }`, and the status of the call.
fn meaning(frame: &[u8], call: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| call.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status") {
        "0" | "" => {}
        "5" => return Err("the server knows no such service".into()),
        "12" => return Err("the server does not implement grpc.health.v1.Health".into()),
        code => {
            let words: String = text("grpc-message").chars().take(200).collect();
            return Err(format!("gRPC status {code} {words}").trim_end().to_owned());
        }
    }
    let Some(message) = frame.get(5..) else { return Err("its answer is none of the health protocol".into()) };
    match serving_status(message) {
        Some(1) => Ok(()),
        Some(0) => Err("its status is UNKNOWN".into()),
        Some(2) => Err("its status is NOT_SERVING".into()),
        Some(3) => Err("its status is SERVICE_UNKNOWN".into()),
        Some(other) => Err(format!("its status is {other}, which is none")),
        None => Err("its answer is none of the health protocol".into()),
    }
}

/// The last field 1 of the message; others are skipped. A message without it says 0.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut message)?;
                if tag >> 3 == 1 {
                    status = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_what_protobuf_writes() {
        assert_eq!(question(""), Bytes::from_static(b"\0\0\0\0\0"));
        assert_eq!(question("ab"), Bytes::from_static(b"\0\0\0\0\x04\x0a\x02ab"));
        let long = question(&"x".repeat(200));
        assert_eq!(long.get(..8), Some(&b"\0\0\0\0\xcb\x0a\xc8\x01"[..]));
    }

    #[test]
    fn only_serving_is_a_success() {
        let say = |frame: &[u8], status: &str| {
            let mut call = HeaderMap::new();
            if !status.is_empty() {
                call.insert("grpc-status", status.parse().expect("a value"));
            }
            meaning(frame, &call)
        };
        assert_eq!(say(b"\0\0\0\0\x02\x08\x01", "0"), Ok(()));
        assert_eq!(say(b"\0\0\0\0\x05\x12\x01x\x08\x01", "0"), Ok(()), "unknown fields are skipped");
        for (frame, status, part) in [
            (&b"\0\0\0\0\0"[..], "0", "UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x02", "0", "NOT_SERVING"),
            (b"\0\0\0\0\x02\x08\x03", "0", "SERVICE_UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x09", "0", "9"),
            (b"", "", "none of the health protocol"),
            (b"\0\0\0\0\x01\x08", "0", "none of the health protocol"),
            (b"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "0", "none of the health protocol"),
            (b"\0\0\0\0\x03\x12\xff\x01", "0", "none of the health protocol"),
            (b"", "5", "no such service"),
            (b"", "12", "does not implement"),
            (b"", "14", "14"),
        ] {
            let why = say(frame, status).expect_err(part);
            assert!(why.contains(part), "{part} in {why}");
        }
    }
}
