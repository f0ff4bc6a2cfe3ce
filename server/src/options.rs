//! The options of `grpc-multiplexer-server`.

use grpc_multiplexer_process::{OptionSpec, Program};

/// The command line.
pub const PROGRAM: Program = Program {
    name: "grpc-multiplexer-server",
    about: "Makes gRPC servers behind NAT reachable through one address: edges dial in, callers call",
    version: env!("CARGO_PKG_VERSION"),
    options: OPTIONS,
};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        path: "proxy-listener",
        value_name: "HOST:PORT",
        default: Some("localhost:7592"),
        many: false,
        help: "Where callers call, with the edge's name in `client-id` metadata; also serves discovery, health and \
               reflection",
    },
    OptionSpec {
        path: "multiplexer-listener",
        value_name: "HOST:PORT",
        default: Some("localhost:7602"),
        many: false,
        help: "Where edges dial in",
    },
    OptionSpec {
        path: "drain-timeout",
        value_name: "DURATION",
        default: Some("25s"),
        many: false,
        help: "How long calls in flight may take to finish after SIGTERM or Ctrl-C",
    },
    OptionSpec {
        path: "log-level",
        value_name: "LEVEL",
        default: Some("info"),
        many: false,
        help: "trace, debug, info, warn (or warning), error",
    },
    OptionSpec {
        path: "log-format",
        value_name: "FORMAT",
        default: Some("pretty"),
        many: false,
        help: "pretty (one line per event) or json",
    },
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_makes_a_command_line() {
        super::PROGRAM.command().debug_assert();
    }
}
