//! A hook over gRPC that is reached over TLS, and knows who asks.

use std::net::SocketAddr;
use std::sync::Arc;

use grpc_multiplexer_tests::{Authority, Backend, Folder, Mux};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::hook::Hook;
use crate::{edge, yes};

/// TLS in front of a hook, which asks for certificates of `authority`.
async fn secured(hook: SocketAddr, authority: &Authority) -> Backend {
    let tls = authority
        .signs("127.0.0.1")
        .server(Some(authority), &["h2"]);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    Backend::tcp(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut secure) = acceptor.accept(socket).await {
                let mut plain = TcpStream::connect(hook).await.unwrap();
                let _ = copy_bidirectional(&mut secure, &mut plain).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn grpc_over_tls_with_a_certificate_on_either_side() {
    let folder = Folder::new("hooks-mutual");
    let authority = Authority::new("hooks");
    let hook = Hook::saying(yes()).await;
    let secured = secured(hook.address, &authority).await;
    let ca = format!("--hooks-ca={}", folder.put("ca.pem", authority.pem()));
    let [certificate, key] = authority.signs("mux").put(&folder, "mux");
    let certificate = format!("--hooks-certificate={certificate}");
    let key = format!("--hooks-key={key}");
    let address = format!("--hooks-address=https://{}", secured.address);

    // Who shows none is not heard, nor is one listened to whom nobody vouches for.
    let other = Authority::new("other");
    let unlisted = format!("--hooks-crl={}", folder.put("crl.pem", other.revokes(&[])));
    let wrong_ca = format!("--hooks-ca={}", folder.put("other.pem", other.pem()));
    for (options, said) in [
        (&[&*address, &ca][..], "the hook did not say who may come"),
        (
            &[&*address, &wrong_ca, &certificate, &key],
            "TLS with it failed; --hooks-ca says whom to trust",
        ),
        (
            &[&*address, &ca, &unlisted, &certificate, &key],
            "TLS with it failed; --hooks-ca says whom to trust",
        ),
    ] {
        let mux = Mux::with(options).await;
        let refused = edge(&mux, "rainbow", &[]);
        refused.says("the server's hook does not say").await;
        mux.says(said).await;
        assert_eq!(hook.asked(), []);
    }

    let mux = Mux::with(&[&address, &ca, &certificate, &key]).await;
    let let_in = edge(&mux, "rainbow", &[]);
    let_in.says(" connected ").await;
    hook.told_of("rainbow", 1).await;
    assert_eq!(hook.asked().len(), 1);
}
