//! What images are fetched with: the content of a docker `config.json` (containers-auth.json(5)), as the server sends it
//! (`imageRegistries.authFile`) and as a Secret of type `kubernetes.io/dockerconfigjson` has it (`imagePullSecrets`).

use serde_json::Value as Json;

use crate::model::hidden::Hidden;
use crate::model::pod::Content;
use crate::model::registry::{Credentials, Registries};

use super::kube;
use super::tree::short;

/// The most bytes that are read: what is found there travels in a header.
const MAX_AUTH_FILE: usize = 256 * 1024;
/// The most registries.
const MAX_REGISTRIES: usize = 1_000;

/// What a file says, and what of it cannot be used: sentences without a value of it.
pub(crate) fn read(file: &Hidden) -> (Registries, Vec<String>) {
    let mut registries = Registries::default();
    let mut warnings = Vec::new();
    if file.reveal().len() > MAX_AUTH_FILE {
        warnings.push(format!("is larger than {} KiB", MAX_AUTH_FILE >> 10));
        return (registries, warnings);
    }
    let Ok(Json::Object(root)) = serde_json::from_str(file.reveal()) else {
        warnings.push("is not the content of a docker config.json, which is a JSON object".to_owned());
        return (registries, warnings);
    };
    for helper in ["credsStore", "credHelpers"] {
        if root.get(helper).is_some_and(|value| !value.is_null()) {
            warnings.push(format!("{helper} names a program that is not on this device, and is ignored"));
        }
    }
    let entries = match root.get("auths") {
        Some(Json::Object(entries)) => entries,
        None | Some(Json::Null) => {
            warnings.push("has no `auths`".to_owned());
            return (registries, warnings);
        }
        Some(_) => {
            warnings.push("`auths` must be an object: {\"quay.io\":{\"auth\":\"…\"}}".to_owned());
            return (registries, warnings);
        }
    };
    if entries.len() > MAX_REGISTRIES {
        warnings.push(format!("names more than {MAX_REGISTRIES} registries; the first ones by name are used"));
    }
    for (key, entry) in entries.iter().take(MAX_REGISTRIES) {
        match credentials(entry) {
            Ok(found) => registries.add(key, found),
            Err(why) => warnings.push(format!("the entry of {:?} {why}", short(key))),
        }
    }
    (registries, warnings)
}

/// The key of such a Secret.
const KEY: &str = ".dockerconfigjson";

/// Adds what a Secret says; what of it cannot be used: sentences without a value of it.
pub(crate) fn add_secret(registries: &mut Registries, name: &str, secret: Option<&Content>) -> Vec<String> {
    let said = |what: &str| vec![format!("imagePullSecrets: Secret {name} {what}")];
    let Some(secret) = secret else { return said("is not there: images are fetched without it") };
    let Some(text) = secret.get(KEY).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return said(&format!("has no text under the key {KEY}: images are fetched without it"));
    };
    let (found, wrong) = read(&Hidden::new(text));
    registries.extend(found);
    wrong.into_iter().flat_map(|what| said(&what)).collect()
}

fn credentials(entry: &Json) -> Result<Credentials, &'static str> {
    let text = |field: &str| match entry.get(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err("has a field that is not text"),
    };
    if !entry.is_object() {
        return Err("must be an object with `auth`, or `username` and `password`");
    }
    let identity_token = text("identitytoken")?.map(Hidden::new);
    let pair = match text("auth")? {
        Some(auth) => Some(pair(auth).ok_or("has an `auth` that is not base64 of user:password")?),
        None => text("username")?.map(str::to_owned).zip(text("password")?.map(Hidden::new)),
    };
    match (pair, &identity_token) {
        (Some((user, password)), _) => Ok(Credentials { user, password, identity_token }),
        (None, Some(_)) => Ok(Credentials { identity_token, ..Credentials::default() }),
        (None, None) => Err("has neither `auth` nor `username` and `password`"),
    }
}

fn pair(auth: &str) -> Option<(String, Hidden)> {
    let text = String::from_utf8(kube::base64(auth)?).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker pads with NUL.
    Some((user.to_owned(), Hidden::new(password.trim_matches('\0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::registry::Chosen;

    fn of(file: &str, image: &str) -> Option<(String, String, Option<String>)> {
        match read(&Hidden::new(file)).0.of_image(image)? {
            Chosen::Of(_, found) => Some((
                found.user.clone(),
                found.password.reveal().to_owned(),
                found.identity_token.as_ref().map(|token| token.reveal().to_owned()),
            )),
            Chosen::Any(_) => None,
        }
    }

    #[test]
    fn credentials_are_read_in_each_of_their_forms() {
        let pass = |user: &str, password: &str| Some((user.to_owned(), password.to_owned(), None));
        let image = "quay.io/a/b";
        assert_eq!(of(r#"{"auths":{"quay.io":{"auth":"dXNlcjpwYXNz"}}}"#, image), pass("user", "pass"));
        assert_eq!(of(r#"{"auths":{"quay.io":{"auth":"dTpwOnE="}}}"#, image), pass("u", "p:q"), "u:p:q");
        assert_eq!(of(r#"{"auths":{"quay.io":{"username":"u","password":"p"}}}"#, image), pass("u", "p"));
        let token = Some((String::new(), String::new(), Some("t".to_owned())));
        assert_eq!(of(r#"{"auths":{"quay.io":{"identitytoken":"t"}}}"#, image), token);
        assert_eq!(of(r#"{"auths":{"quay.io":{"auth":"dXNlcjpwYXNz"}}}"#, "docker.io/x"), None);
    }

    #[test]
    fn what_cannot_be_used_is_said_without_showing_it() {
        for (file, says) in [
            ("hunter2", "not the content of a docker config.json"),
            ("[]", "not the content of a docker config.json"),
            ("{}", "no `auths`"),
            (r#"{"auths":7}"#, "`auths` must be an object"),
            (r#"{"auths":{"quay.io":{}}}"#, "neither `auth` nor"),
            (r#"{"auths":{"quay.io":{"auth":"hunter2"}}}"#, "not base64"),
            (r#"{"auths":{"quay.io":{"auth":"aHVudGVyMg=="}}}"#, "not base64 of user:password"),
            (r#"{"auths":{"quay.io":{"auth":7}}}"#, "not text"),
            (r#"{"auths":{"quay.io":"hunter2"}}"#, "must be an object"),
            (r#"{"auths":{},"credsStore":"x"}"#, "credsStore"),
        ] {
            let (registries, warnings) = read(&Hidden::new(file));
            assert!(registries.is_empty(), "{file}");
            let said = warnings.join("\n");
            assert!(said.contains(says) && !said.contains("hunter2"), "{file}: {said}");
        }
    }
}
