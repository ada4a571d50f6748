//! What a person is told when the agent is up.

use std::collections::BTreeMap;

use crate::config::{self, Config};
use crate::model::problem::Problem;

/// What a person is told when the agent is up.
#[derive(Debug)]
pub struct Banner<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// Who the device is.
    pub device_id: &'a str,
    /// What was bound: `http`, `mqtt`, `control`.
    pub endpoints: BTreeMap<&'static str, String>,
    /// What a person should mend.
    pub problems: &'a [Problem],
}

impl std::fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Banner { config, device_id, endpoints, problems } = self;
        let root = &config.mqtt.root;
        let port_of =
            |what: &str| endpoints.get(what).and_then(|at| at.rsplit_once(':')).map(|(_, port)| port.to_owned());
        writeln!(f, "flotta-agent {} runs device {device_id}", env!("CARGO_PKG_VERSION"))?;
        writeln!(
            f,
            "  manifests  {}  (edit, add or delete a file: it follows at once)",
            config.manifests.dir.display()
        )?;
        writeln!(f, "  state      {}", config.state.dir.display())?;
        let at = |what: &str| endpoints.get(what).cloned().unwrap_or_else(|| "not yet: see below".into());
        writeln!(f, "  HTTP       {}", at("http"))?;
        writeln!(f, "  commands   {}", at("control"))?;
        match &config.mqtt.broker {
            config::Broker::Embedded => writeln!(f, "  MQTT       {}  (the broker inside)", at("mqtt"))?,
            config::Broker::External { host, port, .. } => writeln!(f, "  MQTT       {host}:{port}")?,
            config::Broker::None => writeln!(f, "  MQTT       none")?,
        }
        for problem in *problems {
            writeln!(f, "  problem    {problem}")?;
        }
        writeln!(f, "Next, in another terminal:")?;
        if let Some(port) = port_of("mqtt") {
            let port = if port == "1883" { String::new() } else { format!(" -p {port}") };
            writeln!(f, "  mosquitto_sub{port} -v -t '{root}/#'")?;
            writeln!(f, "  mosquitto_pub{port} -t {root}/metrics/cpu -m 20")?;
        }
        if let Some(at) = endpoints.get("http") {
            writeln!(f, "  curl -d '{{\"value\":90,\"name\":\"cpu\"}}' {at}/metrics")?;
            // As it was called, so that it can be typed as it stands.
            let program = std::env::args().next().unwrap_or_else(|| "flotta-agent".into());
            writeln!(f, "  {program} status --url http://{at}")?;
        }
        write!(f, "Ctrl-C ends it")
    }
}
