//! One call.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};

use super::connection::Connection;

/// What gRPC puts before a message.
pub(super) const PREFIX: usize = 5;

/// A message as it is on the wire.
pub(crate) fn message(contents: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(PREFIX + contents.len());
    message.put_u8(0);
    message.put_u32(contents.len().try_into().expect("no message is that long"));
    message.put(contents);
    message.freeze()
}

/// What became of calls that were not answered as they should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(BTreeMap<String, usize>);

impl Failures {
    pub(crate) fn add(&mut self, error: &anyhow::Error) {
        *self.0.entry(format!("{error:#}")).or_default() += 1;
    }

    pub(crate) fn and(&mut self, others: Self) {
        for (reason, times) in others.0 {
            *self.0.entry(reason).or_default() += times;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.count())?;
        let mut reasons = self.0.iter();
        reasons.try_for_each(|(reason, times)| write!(f, "\n  {times} x {reason}"))
    }
}

/// Sends what begins a call, once the connection takes one more.
pub(super) async fn start(
    send: &SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
    end: bool,
) -> anyhow::Result<(ResponseFuture, SendStream<Bytes>)> {
    let mut send = send.clone().ready().await?;
    let (response, mut stream) = send.send_request(request, false)?;
    if end || !body.is_empty() {
        stream.send_data(body, end)?;
    }
    Ok((response, stream))
}

/// Begins a call, and leaves it open.
pub(crate) async fn begin(
    connection: &Connection,
    method: &str,
    body: Bytes,
) -> anyhow::Result<(ResponseFuture, SendStream<Bytes>)> {
    start(&connection.send, connection.request(method), body, false).await
}

/// Waits for a good answer, whatever is in it.
pub(crate) async fn end(response: ResponseFuture) -> anyhow::Result<()> {
    answered(response, drop).await
}

/// A unary call. Sees that the answer is as long as the request.
pub(super) async fn echoed(
    send: &SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
) -> anyhow::Result<()> {
    let wanted = body.len();
    let (response, _stream) = start(send, request, body, true).await?;
    let mut length = 0;
    answered(response, |chunk| length += chunk.len()).await?;
    ensure!(length == wanted, "{length} bytes are no answer");
    Ok(())
}

/// Reads an answer to its end, which must be a good one.
pub(super) async fn answered(
    response: ResponseFuture,
    mut each: impl FnMut(Bytes),
) -> anyhow::Result<()> {
    let (head, mut body) = response.await?.into_parts();
    ensure!(head.status == StatusCode::OK, "status {}", head.status);
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        each(chunk);
    }
    ended(&head.headers, body).await
}

/// Reads the trailers.
pub(super) async fn ended(headers: &HeaderMap, mut body: RecvStream) -> anyhow::Result<()> {
    let trailers = body.trailers().await?;
    let of = trailers.as_ref().unwrap_or(headers);
    let status = of.get("grpc-status").context("no grpc-status")?;
    if status != "0" {
        let text = |name| of.get(name).and_then(|value| value.to_str().ok());
        bail!(
            "grpc-status {status:?} {}",
            text("grpc-message").unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn failures_are_counted_by_their_reason() {
        let mut failures = Failures::default();
        failures.add(&anyhow!("gone"));
        failures.add(&anyhow!("gone"));
        failures.and(failures.clone());
        assert_eq!(failures.to_string(), "4 failed\n  4 x gone");
    }

    #[test]
    fn a_message_has_its_length_before_it() {
        assert_eq!(message(b"ab")[..], [0, 0, 0, 0, 2, b'a', b'b']);
    }
}
