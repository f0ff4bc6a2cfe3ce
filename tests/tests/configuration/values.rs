//! Values arrive as they were typed, also behind the command line: at the server, and in calls.

use grpc_multiplexer_tests::{Backend, Caller, Folder, Mux, Process, command, until};

use crate::{EDGE, SERVER};

#[tokio::test]
async fn a_client_id_stays_what_was_typed_wherever_it_was_typed() {
    let mux = Mux::start().await;
    let folder = Folder::new("typed");
    let mut edges = Vec::new();
    let address = mux.multiplexer.to_string();
    let start = |set: &dyn Fn(&mut std::process::Command)| {
        let mut command = command(EDGE);
        command.args(["--multiplexer-address", &address]);
        set(&mut command);
        Process::of(command)
    };
    for id in ["0123", "1e3", "no", "0x1F", "1.0", "2026-11-21"] {
        let file = folder.put(&format!("{id}.yaml"), format!("client-id: {id}\n"));
        edges.push(start(&|command| _ = command.args(["--config", &file])));
    }
    edges.push(start(&|command| {
        _ = command.env("GRPC_MULTIPLEXER_CLIENT_CLIENT_ID", "007")
    }));
    edges.push(start(&|command| _ = command.args(["--client-id", "1_000"])));
    let wanted = [
        "007",
        "0123",
        "0x1F",
        "1.0",
        "1_000",
        "1e3",
        "2026-11-21",
        "no",
    ];
    until("all edges", async || {
        (mux.listed().await == wanted).then_some(())
    })
    .await;
}

/// Nothing but files: as a service runs.
#[tokio::test]
async fn a_call_goes_through_a_server_and_an_edge_that_have_only_files() {
    let home = Folder::new("only-files");
    let start = |program: &str, text: String| {
        home.put(&format!(".{program}/{program}.yaml"), text);
        let mut command = command(program);
        command.env("HOME", &home.0);
        Process::of(command)
    };
    let listeners = "proxy-listener: 127.0.0.1:0\nmultiplexer-listener: 127.0.0.1:0\n";
    let server = start(SERVER, listeners.to_owned());
    let line = server.says(" listening ").await;
    let address = |field: &str| {
        let value = line.split(' ').find_map(|word| word.strip_prefix(field));
        value.unwrap().to_owned()
    };
    let backend = Backend::pong().await;
    let edge = format!(
        "client-id: 0123\nmultiplexer-address: [{}]\ngrpc-server-address: {}\n",
        address("multiplexer_listener="),
        backend.address
    );
    let edge = start(EDGE, edge);
    edge.says(" connected ").await;
    let caller = Caller::connect(address("proxy_listener=").parse().unwrap()).await;
    let answer = caller.call("/s/m", &[("client-id", "0123")], b"").await;
    assert_eq!(answer.body, b"pong");
}
