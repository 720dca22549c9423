//! TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use transducer_server::{Options, Tls};

use crate::support::*;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost`, as files and as a client trusts it.
fn certificate() -> (tempfile::TempDir, CertificateDer<'static>, Tls) {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write(dir.path());
    let tls = Tls::open(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap();
    (dir, certificate, tls)
}

/// A new certificate and its key, in a folder.
fn write(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn connect(server: &Running, certificate: &CertificateDer<'static>) -> Secure {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(client, server.connect())
}

/// The answer, if the client trusts the server.
fn ask_once(server: &Running, certificate: &CertificateDer<'static>, request: &str) -> Option<String> {
    let mut stream = connect(server, certificate);
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn ask(stream: &mut Secure, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_server_with_a_certificate_speaks_tls_and_drains() {
    let (_dir, certificate, tls) = certificate();
    let mut server = Running::ready_with(Options {
        tls: Some(tls),
        drain_limit: Duration::from_secs(15),
        ..Options::default()
    });
    // Those who say nothing hold up nobody.
    let _silent: Vec<_> = (0..100).map(|_| server.connect()).collect();
    let since = Instant::now();
    let get = "GET /v1/adapters HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = ask(&mut connect(&server, &certificate), get);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("echo"),
        "{answer}"
    );
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    // Who speaks plain HTTP is not answered in it.
    let mut plain = server.connect();
    plain.write_all(get.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");

    let mut running = connect(&server, &certificate);
    let slow = "POST /v1/tasks/slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    running.write_all(slow.as_bytes()).unwrap();
    server.slow_says("begun");
    server.stop();
    server.release.send(()).unwrap();
    let mut answer = String::new();
    running.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.end().unwrap();
}

#[test]
fn a_renewed_certificate_is_served_and_a_broken_one_is_not() {
    let (dir, first, tls) = certificate();
    let server = Running::ready_with(Options {
        tls: Some(tls),
        ..Options::default()
    });
    let get = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let serves =
        |certificate| ask_once(&server, certificate, get).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
    assert!(serves(&first));

    std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert!(serves(&first), "the one before goes on");

    let second = write(dir.path());
    std::thread::sleep(Duration::from_millis(1100));
    assert!(serves(&second));
    assert!(!serves(&first), "whoever trusts only the first one is not answered");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_by_its_file() {
    let (one, _, _) = certificate();
    let (other, _, _) = certificate();
    let (cert, key) = (one.path().join("cert.pem"), one.path().join("key.pem"));
    for (cert, key, said) in [
        (&cert, &other.path().join("key.pem"), "the certificate"),
        (&key, &key, "has no certificate"),
        (&cert, &cert, "cert.pem"),
        (&one.path().join("none.pem"), &key, "none.pem"),
    ] {
        let error = Tls::open(cert, key).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
