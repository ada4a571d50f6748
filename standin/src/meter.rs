//! Streams that count their bytes, and stop at a given one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What passed through a stream, and how much may still be written to it.
#[derive(Debug)]
pub(crate) struct Meter {
    read: AtomicU64,
    written: AtomicU64,
    allowance: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { read: AtomicU64::new(0), written: AtomicU64::new(0), allowance: AtomicU64::new(u64::MAX) }
    }
}

impl Meter {
    /// Bytes read so far.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// From here on, so many bytes may be written; the next one fails. `u64::MAX`: no end.
    pub(crate) fn allow(&self, bytes: u64) {
        self.allowance.store(bytes, Ordering::Release);
    }
}

/// A stream with a meter.
pub(crate) struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len().saturating_sub(before);
        self.meter.read.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let allowance = self.meter.allowance.load(Ordering::Acquire);
        if allowance == 0 && !buf.is_empty() {
            // What was allowed has to arrive, or the cut would not be where it was asked for.
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "cut by a fault")));
        }
        let part = usize::try_from(allowance).unwrap_or(usize::MAX).min(buf.len());
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &buf[..part]))?;
        let bytes = u64::try_from(written).unwrap_or(0);
        self.meter.written.fetch_add(bytes, Ordering::Relaxed);
        if allowance != u64::MAX {
            self.meter.allow(allowance.saturating_sub(bytes));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
