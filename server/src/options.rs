//! The options of `grpc-multiplexer-server`.

use grpc_multiplexer_process::{
    AdminListener, DRAIN_TIMEOUT, LOG_FORMAT, LOG_LEVEL, OptionSpec, Program, TUNNEL_TIMEOUT,
};

/// The command line.
pub const PROGRAM: Program = Program {
    name: "grpc-multiplexer-server",
    about: "Makes gRPC servers behind NAT reachable through one address: edges dial in, callers call",
    version: env!("CARGO_PKG_VERSION"),
    options: OPTIONS,
    epilogue: "",
};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        path: "proxy-listener",
        value_name: "HOST:PORT",
        default: Some("localhost:7592"),
        many: false,
        secret: false,
        reload: false,
        help: "Where callers call, with the edge's name in `client-id` metadata; also serves discovery, health and \
               reflection. Without a host, on every interface",
    },
    OptionSpec {
        path: "multiplexer-listener",
        value_name: "HOST:PORT",
        default: Some("localhost:7602"),
        many: false,
        secret: false,
        reload: false,
        help: "Where edges dial in; without a host, on every interface",
    },
    AdminListener::option("127.0.0.1:7612"),
    TUNNEL_TIMEOUT,
    limit(
        "max-calls-per-edge",
        "COUNT",
        "4096",
        "Calls on one edge at a time; further ones wait for a place, in turns over caller connections",
    ),
    limit(
        "max-queued-calls-per-edge",
        "COUNT",
        "256",
        "Calls that may wait for a place on one edge; 0 lets none wait",
    ),
    limit(
        "queue-timeout",
        "DURATION",
        "1s",
        "How long a call may wait for a place on a full edge, before it is refused as edge-busy",
    ),
    DRAIN_TIMEOUT,
    LOG_LEVEL,
    LOG_FORMAT,
];

/// A limit, which holds for the life of the process.
const fn limit(
    path: &'static str,
    value_name: &'static str,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        path,
        value_name,
        default: Some(default),
        many: false,
        secret: false,
        reload: false,
        help,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_makes_a_command_line_and_an_environment() {
        super::PROGRAM.check();
    }
}
