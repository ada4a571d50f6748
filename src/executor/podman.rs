//! Pods, as far as this version goes: it asks whether podman is there and says truthfully what stands in the way.
//!
//! The executor that runs pods takes this one's place; the trait and the statuses are the ones that stay.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::model::status::Reason;
use crate::model::workload::SharedWorkload;

use super::{Call, End, Executor, ExecutorError, Handle, Instance};

const DEADLINE: Duration = Duration::from_secs(5);

/// Asks a podman service whether it is there.
#[derive(Debug)]
pub struct PodmanProbe {
    socket: PathBuf,
    rootless: bool,
}

impl PodmanProbe {
    /// Behind this socket.
    #[must_use]
    pub fn new(socket: PathBuf, rootless: bool) -> PodmanProbe {
        PodmanProbe { socket, rootless }
    }

    async fn ping(&self) -> io::Result<()> {
        let asked = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: d\r\n\r\n").await?;
            let mut head = [0; 12];
            stream.read_exact(&mut head).await?;
            match head.starts_with(b"HTTP/1") && head.ends_with(b"200") {
                true => Ok(()),
                false => Err(io::Error::other("what listens there is not podman")),
            }
        };
        tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn next_step(&self) -> &'static str {
        if self.rootless {
            "as that user: systemctl --user enable --now podman.socket (or: podman system service --time=0 &), or set podman.rootless_socket"
        } else {
            "systemctl enable --now podman.socket (or, without systemd: podman system service --time=0 &), or set podman.socket"
        }
    }

    fn unsupported() -> ExecutorError {
        ExecutorError {
            reason: Reason::NotSupported,
            message: "podman is there, but this version of flotta-agent does not run pods yet; use type: shell".into(),
        }
    }
}

impl Executor for PodmanProbe {
    fn list(&self) -> Call<'_, Vec<Instance>> {
        Box::pin(async move {
            match self.ping().await {
                // Nothing was ever started here by this version, so nothing of ours is there.
                Ok(()) => Ok(Vec::new()),
                Err(why) => Err(ExecutorError {
                    reason: Reason::ExecutorUnreachable,
                    message: format!(
                        "podman cannot be reached at {}: {why}; {}; the pod starts by itself when podman answers",
                        self.socket.display(),
                        self.next_step()
                    ),
                }),
            }
        })
    }

    fn start(&self, _workload: SharedWorkload) -> Call<'_, Instance> {
        Box::pin(async { Err(PodmanProbe::unsupported()) })
    }

    fn stop(&self, _handle: Handle) -> Call<'_, End> {
        Box::pin(async { Err(PodmanProbe::unsupported()) })
    }

    fn remove(&self, _handle: Handle) -> Call<'_, ()> {
        Box::pin(async { Err(PodmanProbe::unsupported()) })
    }
}
