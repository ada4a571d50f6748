//! The streams of podman, events and pulls, in any pieces: the first byte says how long a piece is.
#![no_main]

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use flotta_agent::executor::podman::client::Client;
use flotta_agent::executor::podman::labels;
use flotta_agent::executor::podman::transport::{Answer, Later, Pieces, Request, Transport};
use flotta_agent::executor::podman::wire::Event;
use flotta_agent::model::id::WorkloadId;

#[derive(Clone)]
struct Pieced(VecDeque<Bytes>);

impl Transport for Pieced {
    fn send(&self, _: Request) -> Later<'_, Result<Answer, String>> {
        let pieces = self.clone();
        Box::pin(async move { Ok(Answer { status: 200, body: Box::new(pieces) }) })
    }
}

impl Pieces for Pieced {
    fn next(&mut self) -> Later<'_, Result<Option<Bytes>, String>> {
        let piece = self.0.pop_front();
        Box::pin(async move { Ok(piece) })
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((step, body)) = data.split_first() else { return };
    let step = usize::from(*step) + 1;
    let client = |step: usize| Client::new(Arc::new(Pieced(body.chunks(step).map(Bytes::copy_from_slice).collect())));
    flotta_fuzz::block_on(async {
        let mut lines = client(step).events("a=b", None).await.expect("a stream");
        let mut all: Vec<Vec<u8>> = Vec::new();
        while let Some(line) = lines.next().await.expect("no line is too long") {
            assert!(!line.contains(&b'\n'));
            if let Ok(event) = serde_json::from_slice::<Event>(&line) {
                let of = |name: &str| event.actor.attributes.get(name).map(String::as_str).unwrap_or_default();
                if let Ok(id) = WorkloadId::try_new(of(labels::NAMESPACE), of(labels::NAME)) {
                    assert_eq!(WorkloadId::parse(&id.to_string()), Ok(id));
                }
            }
            all.push(line);
        }
        let mut expected: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
        if expected.last().is_some_and(|last| last.is_empty()) {
            expected.pop();
        }
        assert_eq!(all, expected, "the lines of the body, in whatever pieces they come");

        let pulled = client(step).pull("x", None).await;
        assert_eq!(client(body.len().max(1)).pull("x", None).await, pulled);
    });
});
