//! What the Flotta server wants, from its JSON to desired state, merged with the manifests; real answers of a server in
//! `tests/flotta/`.

mod captures;
mod content;
mod faults;
mod last_good;
mod merged;
mod mutations;
mod registry;
mod said;
mod times;
