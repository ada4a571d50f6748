//! What the targets share.

use std::future::Future;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// Runs something that would wait for podman.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// The texts of an input: a NUL stands between two. What is no UTF-8 is no text and left out.
pub fn texts(data: &[u8]) -> Vec<&str> {
    data.split(|byte| *byte == 0).filter_map(|part| std::str::from_utf8(part).ok()).collect()
}

/// A sentence for people: there, and of bounded length.
#[track_caller]
pub fn is_sentence(text: &str) {
    assert!(!text.is_empty(), "an error says something");
    assert!(text.len() < 4096, "an error of {} bytes: {:.200}…", text.len(), text);
}
