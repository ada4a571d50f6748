//! What is wrong with the agent's unix socket, for a person: nobody there, or not for this user.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Trouble;
use crate::http::unix::MAX_PATH;

/// Why no answer came over it.
pub(super) fn trouble(socket: &Path, why: &(dyn Error + 'static)) -> Trouble {
    let at = socket.display();
    match kind(why) {
        Some(ErrorKind::PermissionDenied) => Trouble::Wrong(format!("{at}: permission denied: {}", as_whom(socket))),
        Some(ErrorKind::InvalidInput) => {
            Trouble::Wrong(format!("{at} is no path of a unix socket: that has at most {MAX_PATH} bytes"))
        }
        _ => Trouble::Unreachable(at.to_string()),
    }
}

/// Of the system's error behind it.
fn kind(why: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let mut cause = Some(why);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

fn as_whom(socket: &Path) -> String {
    // What lies behind a closed directory cannot be looked at: then the directory's owner is asked for.
    let owner = socket.ancestors().find_map(|path| std::fs::metadata(path).ok()).map(|found| found.uid());
    match owner {
        Some(0) => "only root may do this; put sudo in front".into(),
        Some(uid) if uid != rustix::process::geteuid().as_raw() => {
            format!("only the agent's user may do this, with uid {uid}; put sudo -u '#{uid}' in front")
        }
        _ => "its mode does not let this user in, though it is theirs".into(),
    }
}
