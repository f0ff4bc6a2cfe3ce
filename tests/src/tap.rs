//! A link that keeps a copy of all that passes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncWriteExt as _, copy};
use tokio::net::TcpStream;
use tokio_util::io::InspectReader;

use crate::Backend;

/// Listens, and dials its target for each connection. Stops when dropped.
#[derive(Debug)]
pub struct Tap {
    /// Where it listens.
    pub address: SocketAddr,
    /// Each direction of each connection.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    _listener: Backend,
}

impl Tap {
    /// One in front of `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let seen = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&seen);
        let listener = Backend::tcp(move |mut near| {
            let kept = Arc::clone(&kept);
            async move {
                let Ok(mut far) = TcpStream::connect(target).await else {
                    return;
                };
                let ((near_in, mut near_out), (far_in, mut far_out)) = (near.split(), far.split());
                let [forth, back] = [(); 2].map(|()| {
                    let mut kept = kept.lock().unwrap();
                    kept.push(Vec::new());
                    kept.len() - 1
                });
                let keep = |way: usize, bytes: &[u8]| kept.lock().unwrap()[way].extend(bytes);
                let mut near_in = InspectReader::new(near_in, |bytes: &[u8]| keep(forth, bytes));
                let mut far_in = InspectReader::new(far_in, |bytes: &[u8]| keep(back, bytes));
                // Whoever is left learns at once that the other is gone.
                let forth = async {
                    let _ = copy(&mut near_in, &mut far_out).await;
                    let _ = far_out.shutdown().await;
                };
                let back = async {
                    let _ = copy(&mut far_in, &mut near_out).await;
                    let _ = near_out.shutdown().await;
                };
                tokio::join!(forth, back);
            }
        })
        .await;
        Self {
            address: listener.address,
            seen,
            _listener: listener,
        }
    }

    /// What passed so far, in either direction.
    #[must_use]
    pub fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap().concat()
    }
}
