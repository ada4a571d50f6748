//! docs/configuration.md, made from the key table.

use std::fmt::Write as _;

use super::keys::{FLAGS, Fallback, KEYS};

/// The whole text of docs/configuration.md.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for key in KEYS {
        let default = match key.default {
            Fallback::Is("") => "none".into(),
            Fallback::Is(text) => format!("`{text}`"),
            Fallback::Found(words) => words.into(),
            Fallback::Unset => "not set".into(),
        };
        let flag = FLAGS.iter().find(|(_, path)| *path == key.path).map_or("", |(flag, _)| flag);
        let flag = if flag.is_empty() { String::new() } else { format!(" `{flag}`") };
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "| `{}` | {} | {default} | {} | `{}`{flag} |", key.path, key.kind, key.meaning, key.env());
    }
    text.push_str(TAIL);
    text
}

const HEAD: &str = "\
<!-- Made from src/config/keys.rs. After a change there: FLOTTA_WRITE_DOCS=1 cargo test --test config_doc -->
# Configuration

`flotta-agent --config config.yaml`; without `--config` the file `/etc/flotta-agent/config.yaml` if it is there, else
defaults and the environment. A flag wins over the environment, the environment over the file, the file over the default.

A dot is a level in the file: `http.listen` is written

```yaml
http: { listen: \"127.0.0.1:8080\" }
```

- **path**: relative ones start at the configuration file's directory; from the environment and flags, at the working
  directory. `$XDG_RUNTIME_DIR` and `$HOME` may stand at the beginning.
- **duration**: `250ms`, `30s`, `5m`, `1h30m`, `2d`, or whole seconds.
- **list**: a YAML list; in the environment separated by commas.
- A key without a value, and an empty variable, count as not written.

A key that nobody knows, a value of the wrong type and an unreadable `--config` end the start with code 2 and one line
each. A certificate, key, kubeconfig or manifests directory that is not there is a warning, and is tried again. An
`EDGE_DEVICE_*` variable that nobody knows is a warning.

| key | type | default | meaning | environment, flag |
|---|---|---|---|---|
";

const TAIL: &str = "
`remote.host_paths: allow` still refuses `/`, `/etc`, `/proc`, `/sys`, `/dev`, `/boot`, `/root`, the agent's own state and
container sockets.
";
