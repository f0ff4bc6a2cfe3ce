//! Cases of one message each way, and those that repeat them.

use grpc_multiplexer_proto::testing::{BoolValue, Empty, SimpleRequest};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Status};

use super::{LARGE_ANSWER, failed, large, same, sized};
use crate::flags::Flags;
use crate::peer::{Peer, Stub};

pub(super) async fn empty_unary(peer: &Peer) -> anyhow::Result<()> {
    peer.stub().empty_call(Empty {}).await?;
    Ok(())
}

pub(super) async fn large_unary(mut stub: Stub, request: SimpleRequest) -> anyhow::Result<()> {
    let answer = stub.unary_call(request).await?.into_inner();
    sized(answer.payload.as_ref(), LARGE_ANSWER)
}

pub(super) async fn client_compressed_unary(peer: &Peer) -> anyhow::Result<()> {
    let expecting = |value| SimpleRequest {
        expect_compressed: Some(BoolValue { value }),
        ..large()
    };
    let probe = failed(peer.stub().unary_call(expecting(true)).await)?;
    same(probe.code(), Code::InvalidArgument)?;
    large_unary(peer.stub().send_compressed(Gzip), expecting(true)).await?;
    large_unary(peer.stub(), expecting(false)).await
}

pub(super) async fn server_compressed_unary(peer: &Peer) -> anyhow::Result<()> {
    for value in [true, false] {
        let flags = Flags::default();
        let stub = peer.watched_stub(&flags).accept_compressed(Gzip);
        let asked = SimpleRequest {
            response_compressed: Some(BoolValue { value }),
            ..large()
        };
        large_unary(stub, asked).await?;
        same(flags.next(), Some(value))?;
    }
    Ok(())
}

pub(super) fn unimplemented<T>(answer: Result<T, Status>) -> anyhow::Result<()> {
    same(failed(answer)?.code(), Code::Unimplemented)
}

pub(super) async fn rpc_soak(peer: &Peer) -> anyhow::Result<()> {
    for _ in 0..100 {
        large_unary(peer.stub(), large()).await?;
    }
    Ok(())
}

pub(super) async fn channel_soak(peer: &Peer) -> anyhow::Result<()> {
    for _ in 0..20 {
        large_unary(peer.separate_stub(), large()).await?;
    }
    Ok(())
}
