//! One body as the answer to each of podman's calls; the first two bytes are its status. And what a list of containers
//! means for a pod.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotta_agent::executor::podman::client::{ApiError, Client};
use flotta_agent::executor::podman::observe::{Details, pods};
use flotta_agent::executor::podman::transport::{Answer, Later, Pieces, Request, Transport};
use flotta_agent::executor::podman::wire::Listed;
use flotta_agent::executor::{End, Phase};

struct Always {
    status: u16,
    body: Bytes,
}

struct Once(Option<Bytes>);

impl Transport for Always {
    fn send(&self, _: Request) -> Later<'_, Result<Answer, String>> {
        let (status, body) = (self.status, self.body.clone());
        Box::pin(async move { Ok(Answer { status, body: Box::new(Once(Some(body))) }) })
    }
}

impl Pieces for Once {
    fn next(&mut self) -> Later<'_, Result<Option<Bytes>, String>> {
        let piece = self.0.take();
        Box::pin(async move { Ok(piece) })
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [high, low, body @ ..] = data else { return };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 500;
    let client = Client::new(Arc::new(Always { status, body: Bytes::copy_from_slice(body) }));
    flotta_fuzz::block_on(async {
        said(client.info().await);
        if let Ok(listed) = client.list(&["a=b".to_owned()]).await {
            are_pods(listed);
        }
        said(client.pods("a=b").await);
        said(client.inspect("x").await);
        said(client.tail("x").await);
        said(client.infra("x").await);
        if let Some(id) = said(client.create_pod(serde_json::Value::Null).await) {
            assert!(!id.is_empty());
        }
        said(client.create_volume(serde_json::Value::Null).await);
        said(client.volumes(&[]).await);
        said(client.volume("x").await);
        said(client.start("x").await);
        said(client.stop("x", Duration::from_secs(u64::MAX)).await);
        said(client.kill("x").await);
        said(client.remove_pod("x", true).await);
        said(client.remove_forgotten("x").await);
        said(client.update_cpu("x", None, true).await);
        said(client.has_image("x").await);
        said(client.image_user("x").await);
        said(client.pull("x", None).await);
    });
});

fn said<T>(result: Result<T, ApiError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(why) => {
            assert!(!why.to_string().is_empty(), "{why:?}");
            None
        }
    }
}

fn are_pods(listed: Vec<Listed>) {
    let count = listed.len();
    let pods = pods(listed);
    assert!(pods.iter().map(|pod| pod.parts().count()).sum::<usize>() <= count);
    for pod in pods {
        assert!(!pod.pod_id.is_empty());
        assert!(pod.started_at().rfc3339().ends_with('Z'));
        assert!(pod.ended().count() <= pod.parts().count());
        assert!(pod.init_to_do().len() <= pod.init.len());
        for stopped in [false, true] {
            match pod.phase(&Details::new(), stopped) {
                Phase::Ended(end) => is_end(&end),
                Phase::Degraded(down) => {
                    assert!(!down.is_empty());
                    down.iter().for_each(|one| is_end(&one.end));
                }
                Phase::Running | Phase::Starting(_) => {
                    assert!(pod.is_whole() && pod.parts().any(|part| part.at.runs()), "{pod:?}");
                }
                Phase::Unfinished => assert!(pod.is_whole(), "{pod:?}"),
            }
        }
    }
}

fn is_end(end: &End) {
    assert!(end.code.is_none_or(|code| (0..=255).contains(&code)), "{end:?}");
    assert!(!end.how.is_empty());
    assert!(end.at.rfc3339().ends_with('Z'));
}
