//! Variables that come from Secrets: a file of the pod, and a secret of podman's that reads it.

use std::collections::BTreeMap;

use super::env::Environment;
use super::{NewFile, NewSecret, Place};
use crate::executor::podman::{runtime, secrets};

/// What a container's variables are called, and podman's secrets for them; both are added to the pod's.
pub(super) fn variables(
    env: &Environment,
    version: &str,
    place: &Place,
    made: &mut Vec<NewSecret>,
    files: &mut Vec<NewFile>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (variable, value) in env.iter().filter(|(_, value)| value.secret) {
        let number = made.len();
        let name = format!("{}{number}", secrets::prefix(&place.owner, version));
        let path = format!("{}/{number}", runtime::ENV);
        made.push(NewSecret { name: name.clone(), file: format!("{}/{path}", place.files) });
        files.push(NewFile { path, mode: 0o600, bytes: value.text.clone().into_bytes() });
        found.insert(variable.clone(), name);
    }
    found
}
