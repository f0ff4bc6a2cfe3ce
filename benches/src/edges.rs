//! `bench edges SERVER COUNT [CA]`: so many edges in one process. They are tasks: each has its tunnel, as an edge in a process
//! of its own has. None has a backend: nobody calls them.

use std::fs;
use std::future::pending;
use std::sync::Arc;

use grpc_multiplexer_client::{Backend, Edge, HostPort, ServerTls};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a server offers to edges.
const PROTOCOL: &[u8] = b"grpc-multiplexer/1";

/// Runs them until the process is killed. All dial at once.
pub(crate) async fn run(server: &str, count: &str, ca: Option<&str>) -> anyhow::Result<()> {
    let server: HostPort = server.parse()?;
    let tls = ca.map(trusting).transpose()?;
    let (backend, _incoming) = Backend::in_process();
    let mut tasks = JoinSet::new();
    eprintln!("dialling");
    for n in 0..count.parse()? {
        let id = format!("edge-{}", u64::to_string(&n)).parse()?;
        let mut edge = Edge::new(id, backend.clone(), server.clone());
        if let Some(tls) = &tls {
            edge = edge.with_tls(tls.clone());
        }
        tasks.spawn(async move { drop(edge.run(CancellationToken::new()).await) });
    }
    pending().await
}

/// TLS towards a server that this authority signed for.
fn trusting(ca: &str) -> anyhow::Result<ServerTls> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&fs::read(ca)?)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(ServerTls {
        config: Arc::new(config),
        name: None,
        verifier: None,
    })
}
