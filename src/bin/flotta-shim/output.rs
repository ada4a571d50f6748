//! The run's output: always drained, so that the command never waits for us; kept within two files, so that the disk is
//! never full because of it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use flotta_agent::executor::shell::run::{OLD_OUTPUT_FILE, OUTPUT_FILE, OUTPUT_FILE_MAX};

/// Read at once.
const CHUNK: usize = 16 * 1024;
/// Reads in a row before signals are looked at again.
const CHUNKS_AT_ONCE: u32 = 8;
/// Reads after the last process has ended: a pipe holds 64 KiB, and whoever got hold of it from outside shall not keep us.
const CHUNKS_AT_END: u32 = 64;

/// Where the output goes.
pub struct Output {
    /// `None`: every writer has closed it.
    pipe: Option<PipeReader>,
    file: Option<File>,
    size: u64,
    dropped: u64,
}

impl Output {
    /// The file is made with the first byte.
    pub fn new(pipe: PipeReader) -> Output {
        Output { pipe: Some(pipe), file: None, size: 0, dropped: 0 }
    }

    /// What to wait for.
    pub fn pipe(&self) -> Option<&PipeReader> {
        self.pipe.as_ref()
    }

    /// Bytes that could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes some of what is there.
    pub fn drain(&mut self) {
        self.take(CHUNKS_AT_ONCE);
    }

    /// Takes the last of it.
    pub fn finish(&mut self) {
        self.take(CHUNKS_AT_END);
    }

    fn take(&mut self, chunks: u32) {
        let mut chunk = [0; CHUNK];
        for _ in 0..chunks {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(n) => self.write(chunk.get(..n).unwrap_or_default()),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// What cannot be written is counted and let go.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.size >= OUTPUT_FILE_MAX {
                self.turn_over();
            }
            let room = usize::try_from(OUTPUT_FILE_MAX.saturating_sub(self.size)).unwrap_or(0);
            let part = bytes.get(..room).unwrap_or(bytes);
            let Some(written) = self.file().and_then(|file| file.write(part).ok()).filter(|n| *n > 0) else {
                self.dropped = self.dropped.saturating_add(bytes.len() as u64);
                return;
            };
            self.size = self.size.saturating_add(written as u64);
            bytes = bytes.get(written..).unwrap_or_default();
        }
    }

    fn file(&mut self) -> Option<&mut File> {
        if self.file.is_none() {
            self.file = OpenOptions::new().append(true).create(true).mode(0o600).open(OUTPUT_FILE).ok();
            self.size = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |file| file.len());
        }
        self.file.as_mut()
    }

    /// The full file becomes the old one; if it cannot, it begins again.
    fn turn_over(&mut self) {
        if std::fs::rename(OUTPUT_FILE, OLD_OUTPUT_FILE).is_err() {
            let _ = self.file.as_ref().map(|file| file.set_len(0));
        }
        self.file = None;
        self.size = 0;
    }
}
