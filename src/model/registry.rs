//! Credentials for image registries, and which of them an image gets (containers-auth.json(5)).

use std::collections::BTreeMap;

use super::hidden::Hidden;

/// Docker's own registry, under the name that images have.
const DOCKER: &str = "docker.io";
/// The names under which its credentials are stored, too.
const DOCKER_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// What a registry wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub user: String,
    /// With which password.
    pub password: Hidden,
    /// Or with which token.
    pub identity_token: Option<Hidden>,
}

/// Credentials by registry, or by a path in one: `quay.io`, `quay.io/team`, `localhost:5000`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    by_key: BTreeMap<String, Credentials>,
}

/// The credentials that an image gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// Of the registry that its name says.
    Of(&'a str, &'a Credentials),
    /// Its name says no registry: podman will choose one, and finds its credentials among these.
    Any(&'a BTreeMap<String, Credentials>),
}

impl Registries {
    /// Adds an entry under its key as a `config.json` has it. A key as podman writes it wins over docker's old form
    /// (`https://index.docker.io/v1/`).
    pub fn add(&mut self, key: &str, credentials: Credentials) {
        let (key, old_form) = normal(key);
        if !old_form || !self.by_key.contains_key(&key) {
            self.by_key.insert(key, credentials);
        }
    }

    /// Adds all of them; what is here already stays.
    pub fn extend(&mut self, more: Registries) {
        for (key, credentials) in more.by_key {
            self.by_key.entry(key).or_insert(credentials);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// What is there for an image, as a container names it: the entry with the longest path that the image lies below.
    #[must_use]
    pub fn of_image(&self, image: &str) -> Option<Chosen<'_>> {
        let Some(repository) = repository(image) else {
            return (!self.is_empty()).then_some(Chosen::Any(&self.by_key));
        };
        let mut key = repository.as_str();
        loop {
            if let Some((key, credentials)) = self.by_key.get_key_value(key) {
                return Some(Chosen::Of(key, credentials));
            }
            key = key.rsplit_once('/')?.0;
        }
    }
}

/// A key of a `config.json`, and whether it has docker's old form: an URL, of which only the host counts.
fn normal(key: &str) -> (String, bool) {
    let without = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let host = without.map(|rest| rest.split('/').next().unwrap_or_default());
    let key = host.unwrap_or(key).trim_end_matches('/');
    let (first, path) = key.split_once('/').map_or((key, None), |(first, path)| (first, Some(path)));
    let first = if DOCKER_ALIASES.contains(&first) { DOCKER } else { first };
    // `docker login` of old writes `index.docker.io/v1/` without a scheme, too.
    match path {
        Some(path) if path != "v1" && path != "v2" => (format!("{first}/{path}"), false),
        Some(_) => (first.to_owned(), true),
        None => (first.to_owned(), host.is_some() || first != key),
    }
}

/// `registry/path` of an image, without tag and digest; `None`: it names no registry.
fn repository(image: &str) -> Option<String> {
    let image = image.strip_prefix("docker://").unwrap_or(image);
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let (host, path) = image.split_once('/')?;
    if !(host.contains(['.', ':']) || host == "localhost") {
        return None;
    }
    let (parents, last) = path.rsplit_once('/').map_or(("", path), |(parents, last)| (parents, last));
    let last = last.split_once(':').map_or(last, |(name, _)| name);
    let host = if DOCKER_ALIASES.contains(&host) { DOCKER } else { host };
    Some(match parents {
        "" if host == DOCKER => format!("{host}/library/{last}"),
        "" => format!("{host}/{last}"),
        parents => format!("{host}/{parents}/{last}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(keys: &[&str]) -> Registries {
        let mut registries = Registries::default();
        for key in keys {
            let password = Hidden::new(format!("password of {key}"));
            registries.add(key, Credentials { user: (*key).to_owned(), password, identity_token: None });
        }
        registries
    }

    fn chosen(keys: &[&str], image: &str) -> Option<String> {
        match with(keys).of_image(image)? {
            Chosen::Of(_, credentials) => Some(credentials.user.clone()),
            Chosen::Any(all) => Some(format!("any of {}", all.len())),
        }
    }

    #[test]
    fn an_image_gets_the_credentials_of_its_registry_and_the_longest_path() {
        let cases: &[(&[&str], &str, Option<&str>)] = &[
            (&["quay.io"], "quay.io/ns/app:1", Some("quay.io")),
            (&["quay.io"], "quay.io/ns/app@sha256:00", Some("quay.io")),
            (&["quay.io"], "quay.io/ns/app:1@sha256:00", Some("quay.io")),
            (&["quay.io"], "notquay.io/ns/app", None),
            (&["quay.io"], "quay.io.evil.example/app", None),
            (&["quay.io"], "quay.io:443/app", None),
            (&["quay.io", "quay.io/ns", "quay.io/ns/app"], "quay.io/ns/app:1", Some("quay.io/ns/app")),
            (&["quay.io", "quay.io/ns", "quay.io/ns/app"], "quay.io/ns/other", Some("quay.io/ns")),
            (&["quay.io", "quay.io/ns"], "quay.io/nsx/other", Some("quay.io")),
            (&["quay.io/ns"], "quay.io/other/app", None),
            (&["localhost:5000"], "localhost:5000/app:1", Some("localhost:5000")),
            (&["localhost:5000"], "localhost:5001/app:1", None),
            (&["https://index.docker.io/v1/"], "docker.io/library/nginx", Some("https://index.docker.io/v1/")),
            (&["https://index.docker.io/v1/"], "docker.io/nginx", Some("https://index.docker.io/v1/")),
            (&["index.docker.io/v1/"], "docker.io/nginx", Some("index.docker.io/v1/")),
            (&["https://index.docker.io/v1/", "docker.io"], "docker.io/nginx", Some("docker.io")),
            (&["docker.io", "https://index.docker.io/v1/"], "docker.io/nginx", Some("docker.io")),
            (&["docker.io/library"], "docker.io/nginx", Some("docker.io/library")),
            (&["https://registry.example/v2/"], "registry.example/app", Some("https://registry.example/v2/")),
            (&["quay.io", "docker.io"], "nginx", Some("any of 2")),
            (&["quay.io"], "team/nginx:1", Some("any of 1")),
            (&[], "nginx", None),
            (&[], "quay.io/app", None),
        ];
        for (keys, image, wanted) in cases {
            assert_eq!(chosen(keys, image).as_deref(), *wanted, "{keys:?} {image}");
        }
    }

    #[test]
    fn no_debug_output_shows_a_password() {
        let shown = format!("{:?}", with(&["quay.io"]));
        assert!(shown.contains("quay.io") && !shown.contains("password of"), "{shown}");
    }
}
