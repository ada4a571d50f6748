//! A Flotta server to try an agent with: certificates in a folder, and a control API for curl.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it tells a person what to do with it")]

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use clap::Parser;
use flotta_standin::{Approval, Control, Options, Standin};

/// A Flotta server to try an agent with; not for production.
#[derive(Parser)]
struct Arguments {
    /// Where ca.pem, register.pem and register.key go.
    #[arg(long)]
    dir: PathBuf,
    /// Where devices connect.
    #[arg(long, default_value = "127.0.0.1:8043")]
    listen: SocketAddr,
    /// The control API: plain HTTP, for this machine only.
    #[arg(long, default_value = "127.0.0.1:8044")]
    control: SocketAddr,
    /// New devices wait until they are approved.
    #[arg(long)]
    manual_approval: bool,
    /// How long device certificates live.
    #[arg(long, default_value_t = 30 * 86_400)]
    certificate_seconds: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let server = Standin::start(Options {
        listen: arguments.listen,
        approval: if arguments.manual_approval { Approval::Manual } else { Approval::Automatic },
        certificate_lifetime: Duration::from_secs(arguments.certificate_seconds),
        ..Options::default()
    })
    .await?;
    let control = Control::bind(server.clone(), arguments.control).await?;
    fs::create_dir_all(&arguments.dir)?;
    let dir = arguments.dir.canonicalize()?;
    let (certificate, key) = server.registration_pem();
    for (name, text) in [("ca.pem", server.ca_pem()), ("register.pem", certificate), ("register.key", key)] {
        write(&dir.join(name), &text)?;
    }
    println!("# For the agent's config.yaml:");
    println!("SERVER: {}", server.url());
    println!("CA_ROOT: {}", dir.join("ca.pem").display());
    println!("CERT: {}", dir.join("register.pem").display());
    println!("KEY: {}", dir.join("register.key").display());
    println!("# What can be done with it meanwhile: curl http://{}/", control.address());
    tokio::select! {
        () = control.serve() => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    server.stop().await;
    Ok(())
}

/// For nobody but the owner: one of the files is a key.
fn write(path: &Path, text: &str) -> io::Result<()> {
    // A file that is there already would keep its mode.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
