//! Lines to copy into another terminal.

/// Calls through the running demo with stock tools.
pub(crate) fn lines(proxy: &str, client_id: &str) -> String {
    format!(
        r#"
Try it from another terminal

  buf curl --http2-prior-knowledge --protocol grpc \
    --header 'client-id: {client_id}' --reflect-header 'client-id: {client_id}' \
    --data '{{"text": "hello"}}' \
    http://{proxy}/grpc.multiplexer.examples.v1.EchoService/Echo

  grpcurl -plaintext -H 'client-id: {client_id}' -d '{{"text": "hello"}}' \
    {proxy} grpc.multiplexer.examples.v1.EchoService/Echo

  # pip install grpcio; the message is raw protobuf: field 2, "hello"
  python3 - <<'EOF'
import grpc
channel = grpc.insecure_channel("{proxy}")
echo = channel.unary_unary("/grpc.multiplexer.examples.v1.EchoService/Echo")
print(echo(b"\x12\x05hello", metadata=[("client-id", "{client_id}")]))
EOF

The edges, from the server itself: no client-id needed

  buf curl --http2-prior-knowledge --protocol grpc --data '{{"details": true}}' \
    http://{proxy}/grpc.multiplexer.v1.DiscoveryService/ListGRPCServer

  grpcurl -plaintext -d '{{"snapshot": true}}' \
    {proxy} grpc.multiplexer.v1.DiscoveryService/WatchGRPCServer

Ctrl-C ends all three processes."#
    )
}
