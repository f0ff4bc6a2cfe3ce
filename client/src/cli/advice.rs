//! What to do about each reason for which the multiplexer itself answers a call.

/// What may mend a failure with this `x-mux-error`. `message` is the text of its status.
pub(super) fn advice(reason: &str, message: &str) -> &'static str {
    match reason {
        "wrong-listener" => "give the address of the server's --proxy-listener as --proxy-address",
        "tls-required" => "the server takes callers over TLS only: give --proxy-tls-ca",
        "unauthenticated" => {
            "the server's --callers-policy knows nobody by what was shown: give --token-file, or --proxy-tls-certificate"
        }
        "not-allowed" => {
            "the server's --callers-policy lets this caller see the edge, and not make this call there, though it may well let \
             it make others: ask whoever wrote it"
        }
        "hook-refused" => {
            "the server's hook does not let this caller make this call, though it may well let it make others: ask whoever \
             wrote it"
        }
        "hook-failed" => {
            "the server's hook gives no answer: the server's log says why; try again when it does"
        }
        "revoked" => "the server's --callers-policy changed under the call, and allows it no more",
        "policy-changed" => "the server's --callers-policy shows other edges now: watch again",
        "unknown-edge" => {
            "no edge of that name is connected that this caller may see: start one, or see `grpc-multiplexer-client list`"
        }
        "not-served" => {
            "the server lets this edge serve other methods only, which its line in --edges-tokens, --edges-keys or \
             --edges-enrolment names"
        }
        "edge-away" => {
            "the edge's tunnel gives no sign of life: look at the network between edge and server; the edge dials again \
             by itself"
        }
        "backend-connect" => unreachable(message),
        "backend-timeout" => {
            "the backend takes too long to answer its edge: is it stuck, or does a firewall drop what the edge sends?"
        }
        "backend-reset" => "the backend broke the call off: its log may say why",
        "backend-lost" => {
            "the backend closed its connection under the call: did it crash, or restart?"
        }
        "backend-calm" => {
            "the backend says that it is overloaded: send fewer calls, or give it more room"
        }
        "tunnel-lost" => {
            "the tunnel broke under the call: look at the network between edge and server, and at the edge's log"
        }
        "unprocessed" | "refused" => {
            "the call reached nobody, and can be made again: try once more"
        }
        "deadline" => "the call's own time was over: allow more, or see why the backend is slow",
        "edge-busy" => "as many calls as the edge takes are open: wait, or see why they do not end",
        "overload" => {
            "the server has too little memory, or too many calls: wait, or give it more room"
        }
        "draining" => "the server is going away: try again when it is back",
        "metadata" => {
            "the call's metadata is over the server's limit (16 KiB and 100 entries by default): send less"
        }
        "response-metadata" => {
            "the backend's metadata is over the server's limit (16 KiB and 100 entries by default): it must send less"
        }
        "http-status" | "no-status" => {
            "the backend answers HTTP, but not gRPC: is the edge's --grpc-server-address that of the gRPC server?"
        }
        "own-service" => "the server itself answered, and not a backend: its log may say more",
        "unsupported-field" => "the server is older than this program",
        "bad-page-token" => "the edges changed hands between two pages: list them again",
        "too-many-watchers" => "too many watch the server's edges already: try again later",
        "slow-caller" => "the answer was not read for minutes: read on, or cancel the call",
        "slow-watcher" => "events came faster than they were read: watch again",
        "no-id" | "many-ids" | "bad-id" | "not-grpc" | "not-post" | "bad-path" | "bad-timeout" => {
            "what was sent is not what came: something between here and the server changes calls"
        }
        "internal" => "the server failed: its log says more",
        _ => "the server is newer than this program: its documentation knows the reason",
    }
}

/// Why an edge cannot reach its backend is told by a class at the end of the message.
fn unreachable(message: &str) -> &'static str {
    match message.rsplit_once('(').map(|(_, class)| class) {
        Some("refused)") => {
            "the edge is connected, but nothing answers at its --grpc-server-address: start the gRPC server, or correct \
             the address; where it speaks TLS, write https://HOST:PORT"
        }
        Some("dns)") => {
            "the host in the edge's --grpc-server-address has no address where the edge runs"
        }
        Some("tls)") => {
            "the edge does not trust the backend's certificate (see its --backend-ca and --backend-server-name), or the \
             backend speaks no TLS (write its address without https://): the edge's log says which"
        }
        Some("alpn)") => "the backend's TLS does not offer HTTP/2: is it a gRPC server?",
        Some("not-http2)") => {
            "what listens at the edge's --grpc-server-address does not speak HTTP/2: is it a gRPC server, and without \
             TLS? With TLS, write https://HOST:PORT"
        }
        _ => "the edge is connected, but cannot reach its --grpc-server-address: its log says why",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that names the server's reasons, and is held to its code.
    const PAGE: &str = include_str!("../../../docs/errors.md");

    /// Reasons and messages of the page's tables.
    fn rows() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| {
            let mut quoted = row.split('`').step_by(2);
            Some((quoted.next()?, quoted.next()?))
        })
    }

    #[test]
    fn every_reason_of_the_server_has_advice() {
        let unknown = advice("no such reason", "");
        assert!(rows().count() > 40);
        for (reason, message) in rows() {
            assert_ne!(advice(reason, message), unknown, "{reason}");
        }
    }

    #[test]
    fn every_class_of_an_unreachable_backend_has_advice() {
        let generic = advice("backend-connect", "");
        let unreachable = rows().filter(|(reason, _)| *reason == "backend-connect");
        assert!(unreachable.clone().count() > 4);
        for (reason, message) in unreachable {
            assert_ne!(advice(reason, message), generic, "{message}");
        }
    }
}
