//! Tunnels of TCP connections: what the load says goes through them as it is, and they know nothing of calls.

use std::process::Command;

use grpc_multiplexer_tests::isolated;

use super::{Kind, Setup};

/// rathole.
pub(super) const RATHOLE: Kind = Kind {
    name: "rathole",
    program: "rathole",
    from: "cargo install rathole",
    start: rathole,
    control: |setup| setup.inner,
};

/// bore. Its control port cannot be chosen.
pub(super) const BORE: Kind = Kind {
    name: "bore",
    program: "bore",
    from: "cargo install bore-cli",
    start: bore,
    control: |_| ([127, 0, 0, 1], 7835).into(),
};

/// Without `nodelay` its 99th percentile is a delayed ACK.
fn rathole(setup: &Setup) -> Vec<Command> {
    let configuration = format!(
        "[server]
bind_addr = \"{inner}\"
default_token = \"bench\"
[server.transport]
type = \"tcp\"
[server.transport.tcp]
nodelay = true
[server.services.bench]
bind_addr = \"{address}\"
nodelay = true
[client]
remote_addr = \"{inner}\"
default_token = \"bench\"
[client.transport]
type = \"tcp\"
[client.transport.tcp]
nodelay = true
[client.services.bench]
local_addr = \"{backend}\"
nodelay = true\n",
        inner = setup.inner,
        address = setup.address,
        backend = setup.backend,
    );
    let file = setup.folder.put("rathole.toml", configuration);
    let end = |which: &str| {
        let mut command = isolated(&setup.program);
        command.args([which, &file]);
        command
    };
    vec![end("--server"), end("--client")]
}

fn bore(setup: &Setup) -> Vec<Command> {
    let (from, to) = (
        setup.address.port().to_string(),
        setup.backend.port().to_string(),
    );
    let mut server = isolated(&setup.program);
    server.args(["server", "--bind-addr", "127.0.0.1"]);
    server.args(["--min-port", &from, "--max-port", &from]);
    let mut client = isolated(&setup.program);
    client.args(["local", &to, "--local-host", "127.0.0.1"]);
    client.args(["--to", "127.0.0.1", "--port", &from]);
    vec![server, client]
}
