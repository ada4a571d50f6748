//! Bytes to and from a client, both ways at once, without a task or a buffer more than needed.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// What one read asks for: little from a quiet client, more from a busy one.
const CHUNK_MIN: usize = 512;
pub(crate) const CHUNK_MAX: usize = 16 * 1024;
/// An output buffer that has grown beyond this is given back once it is empty.
const KEEP_OUT: usize = 16 * 1024;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Io {
    /// Bytes were added to the input.
    Read,
    /// Bytes of the output were taken.
    Wrote,
    /// The client will send no more.
    End,
}

/// A stream with its two buffers.
pub(crate) struct Wire<S> {
    stream: S,
    pub input: BytesMut,
    pub out: BytesMut,
    /// Bytes read and written that nobody has counted yet.
    pub uncounted: (usize, usize),
    chunk: usize,
    /// The input has held a large packet since its buffer was new.
    grown: bool,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Wire {
            stream,
            input: BytesMut::new(),
            out: BytesMut::new(),
            uncounted: (0, 0),
            chunk: CHUNK_MIN,
            grown: false,
            unflushed: false,
        }
    }

    /// Writes what is in `out`, reads if `read`, and returns after the first of both. May be dropped without loss.
    pub async fn step(&mut self, read: bool) -> io::Result<Io> {
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll_out(cx) {
                return Poll::Ready(result.map(|()| Io::Wrote));
            }
            if read { self.poll_in(cx) } else { Poll::Pending }
        })
        .await
    }

    /// Writes what the stream takes without waiting.
    pub fn flush_now(&mut self) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        // An error changes nothing: this is the last thing before the stream is closed.
        let _ = self.poll_out(&mut context);
    }

    /// Writes all of `out` and closes.
    pub async fn finish(mut self) -> io::Result<()> {
        while !self.out.is_empty() || self.unflushed {
            self.step(false).await?;
        }
        tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await
    }

    /// Ready after progress only.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut progress = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(n) => {
                    self.out.advance(n);
                    self.uncounted.1 = self.uncounted.1.saturating_add(n);
                    self.unflushed = true;
                    progress = true;
                }
                Poll::Pending => return if progress { Poll::Ready(Ok(())) } else { Poll::Pending },
            }
        }
        if progress && self.out.capacity() > KEEP_OUT {
            self.out = BytesMut::new();
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
            progress = true;
        }
        if progress { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Io>> {
        if self.input.is_empty() && (self.grown || self.chunk == CHUNK_MIN && self.input.capacity() > CHUNK_MAX) {
            // Nobody keeps what a large packet took, and a quiet client not even what a busy one needs.
            (self.input, self.grown) = (BytesMut::new(), false);
        }
        self.input.reserve(self.chunk);
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        self.uncounted.0 = self.uncounted.0.saturating_add(read);
        self.grown |= self.input.len() > 2 * CHUNK_MAX;
        if read >= room {
            self.chunk = (self.chunk * 4).min(CHUNK_MAX);
        } else if read < self.chunk / 8 {
            self.chunk = (self.chunk / 2).max(CHUNK_MIN);
        }
        Poll::Ready(Ok(if read == 0 { Io::End } else { Io::Read }))
    }
}
