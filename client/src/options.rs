//! The options of `grpc-multiplexer-client`.

use grpc_multiplexer_process::{
    AdminListener, DRAIN_TIMEOUT, DialTerms, LOG_FORMAT, LOG_LEVEL, OptionSpec, Program,
    REQUIRE_SECURE, TUNNEL_TIMEOUT, UPGRADE_SOCKET,
};

/// The command line.
pub const PROGRAM: Program = Program {
    name: "grpc-multiplexer-client",
    about: "Makes a gRPC server reachable through a grpc-multiplexer server, without being dialled",
    version: env!("CARGO_PKG_VERSION"),
    options: OPTIONS,
    epilogue: "\
Commands that ask a server, and are no edge; each with --help of its own:
  grpc-multiplexer-client list              the edges that callers can reach now
  grpc-multiplexer-client watch             the same, and every change
  grpc-multiplexer-client check CLIENT_ID   calls to an edge, and what is wrong with it
  grpc-multiplexer-client kick CLIENT_ID    closes an edge's tunnels, and keeps it out for a while
  grpc-multiplexer-client unban CLIENT_ID   lets it connect again
  grpc-multiplexer-client bans              the edges that are kept out",
};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        path: "client-id",
        value_name: "ID",
        default: None,
        many: false,
        secret: false,
        reload: false,
        help: "Name under which callers reach this edge, in their `client-id` metadata. Without one, a random name of \
               two words",
    },
    OptionSpec {
        path: "labels",
        value_name: "KEY=VALUE",
        default: None,
        many: true,
        secret: false,
        reload: true,
        help: "What else the edge says of itself, as team=red, by the rules that Kubernetes has for labels: discovery shows it, \
               and a server's policy of callers may go by it. Flags of it stand in place of all that a file has",
    },
    OptionSpec {
        path: "multiplexer-address",
        value_name: "HOST:PORT",
        default: Some("localhost:7602"),
        many: true,
        secret: false,
        reload: false,
        help: "Where the server accepts edges; give several to try them in turn",
    },
    DialTerms::ca(
        "multiplexer.tls.ca",
        "PEM file of the authorities that the server's certificate is checked against, or system for those that the \
         system trusts; with it the edge speaks TLS to the server, and nothing else. Read again when it changes, as all \
         of these files are",
    ),
    DialTerms::crl("multiplexer.tls.crl"),
    OptionSpec {
        path: "multiplexer.tls.server-name",
        value_name: "NAME",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "Name that the server's certificate must be for, instead of the host in its address",
    },
    DialTerms::certificate(
        "multiplexer.tls.certificate",
        "PEM file of the certificate that the edge shows to a server that asks for one, and of those between it and its \
         authority",
    ),
    DialTerms::key("multiplexer.tls.key"),
    OptionSpec {
        path: "token-file",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "File of the token that the edge shows to a server that asks for one: one line of at least 32 random \
               characters, or a JSON Web Token, which no other user may be able to read. It is shown over TLS or to this machine only, and \
               read again when it changes",
    },
    OptionSpec {
        path: "key-file",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "File of the Ed25519 key that the edge proves to a server that it has, instead of a token: what ssh-keygen -t \
               ed25519 -N '' makes, and no other user may be able to read. The key stays here, and its .pub file is for the \
               server. Read again when it changes",
    },
    OptionSpec {
        path: "enrolment-token-file",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "File of a token that the server exchanges once for the edge's key, which no other user may be able to read; \
               needs --key-file. Where no key is there yet, the edge makes one. It is shown as that of --token-file is, and \
               read again when it changes",
    },
    OptionSpec {
        path: "grpc-server-address",
        value_name: "ADDRESS",
        default: Some("localhost:50051"),
        many: false,
        secret: false,
        reload: false,
        help: "The gRPC server to make reachable: HOST:PORT, https://HOST:PORT or unix:/PATH",
    },
    DialTerms::ca(
        "backend-ca",
        "PEM file of the authorities that an https gRPC server's certificate is checked against, instead of the system's",
    ),
    DialTerms::crl("backend-crl"),
    DialTerms::certificate(
        "backend-certificate",
        "PEM file of the certificate that the edge shows to an https gRPC server that asks for one, and of those between \
         it and its authority",
    ),
    DialTerms::key("backend-key"),
    OptionSpec {
        path: "backend-server-name",
        value_name: "NAME",
        default: None,
        many: false,
        secret: false,
        reload: false,
        help: "Name that an https gRPC server's certificate must be for, instead of the host in its address",
    },
    OptionSpec {
        path: "backend-authority",
        value_name: "AUTHORITY",
        default: None,
        many: false,
        secret: false,
        reload: false,
        help: "The `:authority` that the gRPC server sees, instead of its own address",
    },
    OptionSpec {
        path: "backend-mode",
        value_name: "MODE",
        default: Some("splice"),
        many: false,
        secret: false,
        reload: false,
        help: "How bytes go to the gRPC server: splice, which copies them, or terminate, which takes the server's flow control \
               upon the edge: for uploads to a gRPC server with small windows behind a long link",
    },
    OptionSpec {
        path: "tunnel-protocol",
        value_name: "PROTOCOL",
        default: Some("auto"),
        many: false,
        secret: false,
        reload: false,
        help: "What to speak with the server: 1, legacy (the wire of the original grpc-multiplexer), or auto, which tries \
               both",
    },
    OptionSpec {
        path: "tunnels",
        value_name: "NUMBER",
        default: Some("1"),
        many: false,
        secret: false,
        reload: false,
        help: "How many tunnels to keep side by side, 1 to 8; with several addresses, each begins with another",
    },
    OptionSpec {
        path: "exit-on-superseded",
        value_name: "BOOLEAN",
        default: Some("false"),
        many: false,
        secret: false,
        reload: false,
        help: "Whether to finish what is under way and end, with code 3, once another edge took this one's name; else it \
               tries again after a minute: true or false",
    },
    AdminListener::option("off"),
    AdminListener::OPTIONS_OF_TLS[0],
    AdminListener::OPTIONS_OF_TLS[1],
    AdminListener::OPTIONS_OF_TLS[2],
    AdminListener::OPTIONS_OF_TLS[3],
    TUNNEL_TIMEOUT,
    UPGRADE_SOCKET,
    REQUIRE_SECURE,
    DRAIN_TIMEOUT,
    LOG_LEVEL,
    LOG_FORMAT,
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_makes_a_command_line_and_an_environment() {
        super::PROGRAM.check();
    }
}
