//! Servers on the device that probes ask: one of gRPC's health protocol, one over TLS.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What both have in common: whether they are well, and what they were asked last.
#[derive(Clone, Default)]
struct Mood {
    well: Arc<AtomicBool>,
    asked: Arc<Mutex<String>>,
}

impl Mood {
    fn note(&self, asked: String) {
        *self.asked.lock().expect("whole") = asked;
    }
}

fn runtime() -> (Runtime, TcpListener, u16) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (runtime, listener, port)
}

/// `grpc.health.v1.Health`.
pub struct Grpc {
    pub port: u16,
    mood: Mood,
    _runtime: Runtime,
}

impl Grpc {
    pub fn start() -> Grpc {
        let (runtime, listener, port) = runtime();
        let mood = Mood::default();
        let heard = mood.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(check(stream, heard.clone()));
            }
        });
        Grpc { port, mood, _runtime: runtime }
    }

    pub fn serve(&self, well: bool) {
        self.mood.well.store(well, Ordering::Relaxed);
    }

    pub fn last_service(&self) -> String {
        self.mood.asked.lock().expect("whole").clone()
    }
}

async fn check(stream: tokio::net::TcpStream, mood: Mood) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let mood = mood.clone();
        tokio::spawn(async move {
            let right = request.method() == "POST"
                && request.uri().path() == "/grpc.health.v1.Health/Check"
                && request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc")
                && request.headers().get("te").is_some_and(|te| te == "trailers");
            let mut body = request.into_body();
            let mut question = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                question.extend_from_slice(&piece);
            }
            // Five bytes of gRPC's, the tag, the length, the name.
            mood.note(String::from_utf8_lossy(question.get(7..).unwrap_or_default()).into_owned());
            let status = if mood.well.load(Ordering::Relaxed) { 1 } else { 2 };
            let head = hyper::Response::builder()
                .status(if right { 200 } else { 400 })
                .header("content-type", "application/grpc")
                .body(())
                .expect("a head");
            let Ok(mut answer) = respond.send_response(head, false) else { return };
            let _ = answer.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false);
            let mut trailers = hyper::HeaderMap::new();
            trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
            let _ = answer.send_trailers(trailers);
        });
    }
}

/// HTTP over TLS, with a certificate that nobody signed: 200 while it is well, else 503.
pub struct Https {
    pub port: u16,
    mood: Mood,
    _runtime: Runtime,
}

impl Https {
    pub fn start() -> Https {
        let (runtime, listener, port) = runtime();
        let mood = Mood::default();
        let heard = mood.clone();
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["elsewhere.example".to_owned()]).expect("names");
        let certificate = params.self_signed(&key).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("a pair");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, mood) = (acceptor.clone(), heard.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    mood.note(String::from_utf8_lossy(&head).into_owned());
                    let status = if mood.well.load(Ordering::Relaxed) { "200 OK" } else { "503 Not Now" };
                    let _ =
                        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Https { port, mood, _runtime: runtime }
    }

    pub fn serve(&self, well: bool) {
        self.mood.well.store(well, Ordering::Relaxed);
    }

    pub fn last_head(&self) -> String {
        self.mood.asked.lock().expect("whole").clone()
    }
}
