//! What a connection may cost: slow callers, bodies that are too large, and TLS.

use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use quadrille_tests::{Pipeline, Setup, key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Far longer than the time that the settings of these tests give a caller.
const PATIENCE: Duration = Duration::from_secs(20);

async fn orders_with(common: &str) -> Pipeline {
    Pipeline::with(Setup { consumers: vec!["orders"], common: common.to_owned(), ..Setup::keyed("") }).await
}

/// Sends this and nothing more; what came back until the other side hung up.
async fn send(pipeline: &Pipeline, text: &str) -> String {
    let address = pipeline.door("orders", "").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "still open after {PATIENCE:?}: {text}");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies_are_hung_up_on_and_lengths_are_checked_before_they_are_read() {
    let pipeline = orders_with("request_timeout = '1s'\n").await;
    let head = |more: &str| {
        format!(
            "POST /orders HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {}\r\nContent-Type: application/json\r\n{more}",
            key("web")
        )
    };
    let slow_head = (0..20).map(|_| send(&pipeline, "POST /orders HTTP/1.1\r\nHost: lo"));
    for answer in futures_join(slow_head).await {
        assert!(!answer.contains("202"), "{answer}");
    }
    let slow_body = send(&pipeline, &head("Content-Length: 500\r\n\r\n{\"customer\"")).await;
    assert!(slow_body.starts_with("HTTP/1.1 408 "), "{slow_body}");
    let chunked = send(&pipeline, &head("Transfer-Encoding: chunked\r\n\r\n5\r\n{\"cus\r\n")).await;
    assert!(chunked.starts_with("HTTP/1.1 408 "), "{chunked}");
    let began = Instant::now();
    let huge = send(&pipeline, &head("Connection: close\r\nContent-Length: 100000000000\r\n\r\n{")).await;
    assert!(huge.starts_with("HTTP/1.1 413 ") && huge.contains("at most 2000000 bytes"), "{huge}");
    assert!(began.elapsed() < Duration::from_millis(900), "it is not read first: {:?}", began.elapsed());
    let unkeyed = "POST /orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{";
    let began = Instant::now();
    assert!(send(&pipeline, unkeyed).await.starts_with("HTTP/1.1 401 "));
    assert!(began.elapsed() < Duration::from_millis(900), "without a key nothing is read: {:?}", began.elapsed());
    assert_eq!(pipeline.count("select count(*) from orders.\"order\"").await, 0);
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}

async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (one, slot) in all.iter_mut().zip(&mut done).filter(|(_, slot)| slot.is_none()) {
            if let std::task::Poll::Ready(value) = one.as_mut().poll(context) {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A certificate for this machine that signs itself, and its key.
fn certificate() -> (X509, PKey<Private>) {
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "quadrille test").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    made.append_extension(BasicConstraints::new().ca().build().unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().ip("127.0.0.1").dns("localhost").build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(names).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    (made.build(), key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate_the_routes_speak_tls_and_nothing_else() {
    let (certificate, private) = certificate();
    let folder = std::env::temp_dir().join(format!("quadrille-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (pem, key_pem) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&pem, certificate.to_pem().unwrap()).unwrap();
    std::fs::write(&key_pem, private.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let tls = format!(
        "request_timeout = '1s'\ntls_certificate = '{0}'\ntls_authority = '{0}'\ntls_key = '{1}'\n",
        pem.display(),
        key_pem.display()
    );
    let pipeline = orders_with(&tls).await;
    let url = pipeline.door("orders", "/readyz").replace("http://", "https://");
    let settings = runtime::Settings::from_toml(&pipeline.settings_toml()).unwrap();
    let trusting = runtime::http::client(settings.common()).unwrap().build().unwrap();
    assert_eq!(trusting.get(&url).send().await.unwrap().status(), 200);
    let unknown = trusting.get(url.replace("/readyz", &format!("/orders/{}", uuid::Uuid::nil()))).send().await.unwrap();
    assert_eq!(unknown.status(), 404, "the client shows its program's key");
    assert!(pipeline.http.get(&url).send().await.is_err(), "who does not know the authority does not trust it");
    assert!(pipeline.http.get(pipeline.door("orders", "/readyz")).send().await.is_err(), "no plain HTTP");
    assert_eq!(send(&pipeline, "").await, "", "a handshake that does not come is hung up on");
    assert!(runtime::http::url(settings.common(), "127.0.0.1:1".parse().unwrap()).starts_with("https://"));
    std::fs::remove_dir_all(&folder).unwrap();
    pipeline.finish_without_audit("orders has no others to decide with: its orders stay open").await;
}
