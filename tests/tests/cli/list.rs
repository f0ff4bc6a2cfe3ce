//! `list`.

use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt as _};
use grpc_multiplexer_proto::v1::discovery_service_server::{
    DiscoveryService, DiscoveryServiceServer,
};
use grpc_multiplexer_proto::v1::watch_grpc_server_response::Event;
use grpc_multiplexer_proto::v1::{
    Edge as Listed, ListGrpcServerRequest, ListGrpcServerResponse, WatchGrpcServerRequest,
    WatchGrpcServerResponse,
};
use grpc_multiplexer_tests::{Backend, Edge, Mux};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::run::{Said, documented, keys, run};

const NOBODY: &str = "127.0.0.1:1";

async fn list(proxy: &str) -> Said {
    run(&["list", "--proxy-address", proxy]).await
}

async fn list_json(proxy: &str) -> Said {
    run(&["list", "--json", "--proxy-address", proxy]).await
}

#[tokio::test]
async fn no_edge_is_said_on_stderr_and_no_failure() {
    let mux = Mux::start().await;
    let proxy = mux.proxy.to_string();
    for said in [list(&proxy).await, list_json(&proxy).await] {
        assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
        assert!(said.err.contains("no edge is connected"), "{said:?}");
    }
}

#[tokio::test]
async fn edges_are_a_table_for_people_and_objects_for_scripts() {
    let mux = Mux::start().await;
    let nobody = NOBODY.parse().unwrap();
    let names = ["ant", "bee", "cat.with-a_long.name", "dog"];
    let mut edges = Vec::new();
    for name in names {
        edges.push(Edge::start(&mux, name, nobody).await);
    }
    let proxy = mux.proxy.to_string();

    let table = list(&proxy).await;
    assert_eq!((table.code, table.err.as_str()), (0, ""), "{table:?}");
    let (heads, rows) = table.out.split_once('\n').unwrap();
    let address = heads.find("ADDRESS").unwrap();
    assert_eq!(rows.lines().count(), names.len());
    for (row, name) in rows.lines().zip(names) {
        assert!(row.starts_with(&format!("{name} ")), "{row}");
        assert!(row[address..].starts_with("127.0.0.1:"), "{row}");
        assert!(
            row.ends_with(concat!(
                "  0      grpc-multiplexer/",
                env!("CARGO_PKG_VERSION"),
                "  -"
            )),
            "{row}"
        );
    }

    let listed = list_json(&proxy).await;
    assert_eq!((listed.code, listed.err.as_str()), (0, ""), "{listed:?}");
    let objects = listed.objects();
    assert_eq!(objects.len(), names.len());
    documented("list", &objects[0]).await;
    for (object, name) in objects.iter().zip(names) {
        assert_eq!(object["client_id"], name);
        assert_eq!(
            keys(object),
            [
                "calls_in_flight",
                "client_id",
                "connected_since",
                "context",
                "generation",
                "heartbeat_rtt_seconds",
                "labels",
                "remote_address",
                "version",
            ]
        );
        assert_eq!(object["calls_in_flight"], 0);
        assert!(
            object["connected_since"].as_str().unwrap().ends_with('Z'),
            "{object}"
        );
        assert!(
            object["heartbeat_rtt_seconds"].as_f64().unwrap() > 0.0,
            "{object}"
        );
    }
}

#[tokio::test]
async fn labels_are_the_last_column() {
    let mux = Mux::start().await;
    let labels = ["--label", "zone=north", "--label", "team=red"];
    let edge = Edge::dialling(mux.multiplexer, "ant", NOBODY, &labels);
    edge.says(" connected ").await;
    let proxy = mux.proxy.to_string();
    let table = list(&proxy).await;
    let mut lines = table.out.lines();
    assert!(lines.next().unwrap().ends_with("  LABELS"), "{table:?}");
    assert!(
        lines.next().unwrap().ends_with("  team=red,zone=north"),
        "{table:?}"
    );
    let listed = list_json(&proxy).await;
    let labels = &listed.objects()[0]["labels"];
    assert_eq!(labels.to_string(), r#"{"team":"red","zone":"north"}"#);
}

#[tokio::test]
async fn nobody_at_the_address_is_said_with_what_would_be_right() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let said = list(&address).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(
        said.err.contains(&format!("nothing listens on {address}")),
        "{said:?}"
    );
    assert!(said.err.contains("--proxy-address"), "{said:?}");
}

#[tokio::test]
async fn the_multiplexer_port_is_recognised() {
    let mux = Mux::start().await;
    let said = list(&mux.multiplexer.to_string()).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("where edges dial in"), "{said:?}");
    assert!(said.err.contains("--proxy-listener"), "{said:?}");
}

#[tokio::test]
async fn another_grpc_server_is_recognised() {
    let backend = Backend::echo().await;
    let said = list(&backend.address.to_string()).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("no grpc-multiplexer-server"), "{said:?}");
}

#[tokio::test]
async fn what_does_not_speak_http2_is_told_by_what_it_speaks() {
    for (says, wanted) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "it speaks HTTP/1"),
        (&b"\x15\x03\x01\0\x02\x02\x46"[..], "it speaks TLS"),
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "it speaks something else"),
        // As a multiplexer port that does not know calls.
        (b"\0\x02\0\x01\0\0\0\0\0\0\0\0", "where edges dial in"),
        (&b""[..], "it says nothing"),
    ] {
        let backend = Backend::tcp(move |mut socket| async move {
            socket.write_all(says).await.unwrap();
            // What it was told is read, or closing would reset the connection.
            let mut words = vec![0; 33];
            drop(tokio::io::AsyncReadExt::read(&mut socket, &mut words).await);
        })
        .await;
        let said = list(&backend.address.to_string()).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(wanted), "{said:?}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_a_mistake_of_their_own() {
    for args in [
        &["list", "--no-such-flag"][..],
        &["list", "stray"],
        &["list", "--proxy-address", "nowhere"],
        &["watch", "--proxy-address", ":7592"],
        &["watch", "--proxy-address", "localhost:0"],
        &["check"],
        &["check", "no id"],
        &["check", "a", "b"],
    ] {
        let said = run(args).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?} {said:?}");
        assert!(said.err.contains("--help"), "{args:?} {said:?}");
    }
    // What is no subcommand is for the edge to refuse.
    assert_eq!(run(&["lists"]).await.code, 2);
}

#[tokio::test]
async fn each_has_a_help_with_its_options() {
    let edge = run(&["--help"]).await.out;
    for name in ["list", "watch", "check"] {
        assert!(
            edge.contains(&format!("grpc-multiplexer-client {name} ")),
            "{edge}"
        );
        let said = run(&[name, "--help"]).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        for part in ["--proxy-address", "localhost:7592", "--json"] {
            assert!(said.out.contains(part), "{name}: {said:?}");
        }
    }
}

/// A discovery service of somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// As the original: names and changes, and nothing of pages, details and snapshots.
    Plain,
    TwoPages,
    PagesWithoutEnd,
}

#[tonic::async_trait]
impl DiscoveryService for Foreign {
    async fn list_grpc_server(
        &self,
        request: Request<ListGrpcServerRequest>,
    ) -> Result<Response<ListGrpcServerResponse>, Status> {
        let request = request.into_inner();
        let (name, next) = match (self, request.page_token.as_str()) {
            (Self::PagesWithoutEnd, _) | (Self::TwoPages, "") => ("first", "more"),
            _ => ("last", ""),
        };
        let edge = Listed {
            client_id: name.to_owned(),
            version: "\u{1b}[31mred\n".to_owned(),
            ..Listed::default()
        };
        assert!(request.details && request.page_size > 0);
        Ok(Response::new(ListGrpcServerResponse {
            servers: vec![name.to_owned()],
            edges: match self {
                Self::Plain => Vec::new(),
                Self::TwoPages | Self::PagesWithoutEnd => vec![edge],
            },
            next_page_token: next.to_owned(),
            ..ListGrpcServerResponse::default()
        }))
    }

    type WatchGRPCServerStream =
        Pin<Box<dyn Stream<Item = Result<WatchGrpcServerResponse, Status>> + Send>>;

    async fn watch_grpc_server(
        &self,
        _: Request<WatchGrpcServerRequest>,
    ) -> Result<Response<Self::WatchGRPCServerStream>, Status> {
        let connected = WatchGrpcServerResponse {
            server: "ant".to_owned(),
            event: Event::Connected.into(),
            ..WatchGrpcServerResponse::default()
        };
        let then = stream::pending();
        Ok(Response::new(
            stream::iter([Ok(connected)]).chain(then).boxed(),
        ))
    }
}

impl Foreign {
    pub(crate) async fn serve(self) -> Backend {
        Backend::routes(Routes::new(DiscoveryServiceServer::new(self))).await
    }
}

#[tokio::test]
async fn every_page_is_listed_and_no_text_drives_the_terminal() {
    let foreign = Foreign::TwoPages.serve().await;
    let said = list(&foreign.address.to_string()).await;
    assert_eq!(said.code, 0, "{said:?}");
    let rows: Vec<_> = said.out.lines().skip(1).collect();
    assert!(rows[0].starts_with("first  "), "{said:?}");
    assert!(rows[1].starts_with("last  "), "{said:?}");
    assert!(rows[1].ends_with(r"\u{1b}[31mred\u{a}  -"), "{said:?}");
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let foreign = Foreign::PagesWithoutEnd.serve().await;
    let said = list(&foreign.address.to_string()).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("without end"), "{said:?}");
}

#[tokio::test]
async fn a_server_without_details_is_listed_by_names() {
    let foreign = Foreign::Plain.serve().await;
    let proxy = foreign.address.to_string();
    let said = list(&proxy).await;
    assert!(
        said.out
            .ends_with("last       -          -        -    -      -         -\n"),
        "{said:?}"
    );
    let object = list_json(&proxy).await.objects().remove(0);
    assert_eq!(object["client_id"], "last");
    assert!(object["version"].is_null(), "{object}");
}
