//! What podman is told of an image's registry: the header `X-Registry-Auth`, base64 (for URLs) of JSON.
//!
//! An image that names its registry gets that registry's credentials and no others. One that does not (`nginx`) is looked for
//! where podman's own settings say, so podman gets them by registry, and gives each registry its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value as Json, json};

use crate::model::hidden::Hidden;
use crate::model::registry::{Chosen, Credentials, Registries};

/// The header for pulling an image; `None`: nothing is known of its registry, and podman uses what it has itself.
pub(super) fn header(registries: &Registries, image: &str) -> Option<Hidden> {
    let said = match registries.of_image(image)? {
        Chosen::Of(key, credentials) => {
            let server = key.split('/').next().unwrap_or_default();
            let mut said = of(credentials);
            said["serveraddress"] = server.into();
            said
        }
        // Podman takes users and passwords by registry, and tokens only for an image that names its registry.
        Chosen::Any(all) => {
            let pairs: Json = all
                .iter()
                .filter(|(_, one)| one.identity_token.is_none())
                .map(|(key, one)| (key.clone(), of(one)))
                .collect();
            pairs.as_object().filter(|pairs| !pairs.is_empty())?;
            pairs
        }
    };
    Some(Hidden::new(URL_SAFE.encode(said.to_string())))
}

fn of(credentials: &Credentials) -> Json {
    let mut said = json!({ "username": credentials.user, "password": credentials.password.reveal() });
    if let Some(token) = &credentials.identity_token {
        said["identitytoken"] = token.reveal().into();
    }
    said
}
