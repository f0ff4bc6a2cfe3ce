//! The options of `grpc-multiplexer-server`.

use grpc_multiplexer_process::{
    AdminListener, DRAIN_TIMEOUT, LOG_FORMAT, LOG_LEVEL, ListenerTls, OptionSpec, Program,
    REQUIRE_SECURE, TUNNEL_TIMEOUT, UPGRADE_SOCKET,
};

use crate::edge::age;
use crate::proxy::deadline;
use crate::{CallersPolicy, Grants, HookSettings, operator, state_dir};

/// The command line.
pub const PROGRAM: Program = Program {
    name: "grpc-multiplexer-server",
    about: "Makes gRPC servers behind NAT reachable through one address: edges dial in, callers call",
    version: env!("CARGO_PKG_VERSION"),
    options: OPTIONS,
    epilogue: "\
Commands that start no server, with --help of their own:
  grpc-multiplexer-server new-token FILE CLIENT_ID...              a token for an edge, and the server's line for it
  grpc-multiplexer-server new-authority NAME                       an authority of your own
  grpc-multiplexer-server new-certificate AUTHORITY NAME FOR...    what it signs for a server, an edge or a caller",
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
    ListenerTls::certificate("proxy.tls.certificate"),
    ListenerTls::key("proxy.tls.key"),
    ListenerTls::client_ca("proxy.tls.client-ca"),
    ListenerTls::client_crl("proxy.tls.client-crl"),
    CallersPolicy::FILE,
    CallersPolicy::TOKEN_METADATA,
    CallersPolicy::JWT_ISSUER,
    CallersPolicy::JWT_AUDIENCE,
    CallersPolicy::JWT_KEYS,
    CallersPolicy::JWT_KEYS_CA,
    OptionSpec {
        path: "multiplexer-listener",
        value_name: "HOST:PORT",
        default: Some("localhost:7602"),
        many: false,
        secret: false,
        reload: false,
        help: "Where edges dial in; without a host, on every interface",
    },
    ListenerTls::certificate("multiplexer.tls.certificate"),
    ListenerTls::key("multiplexer.tls.key"),
    ListenerTls::client_ca("multiplexer.tls.client-ca"),
    ListenerTls::client_crl("multiplexer.tls.client-crl"),
    Grants::CERTIFICATE_ID,
    Grants::TOKENS,
    Grants::KEYS,
    Grants::ENROLMENT,
    Grants::JWT_ISSUER,
    Grants::JWT_AUDIENCE,
    Grants::JWT_KEYS,
    Grants::JWT_KEYS_CA,
    Grants::JWT_CLAIM,
    HookSettings::ADDRESS,
    HookSettings::URL,
    HookSettings::CA,
    HookSettings::CRL,
    HookSettings::CERTIFICATE,
    HookSettings::KEY,
    HookSettings::FOR,
    HookSettings::TIMEOUT,
    HookSettings::ON_FAILURE,
    HookSettings::SEND_TOKENS,
    age::OPTION,
    state_dir::OPTION,
    AdminListener::option("127.0.0.1:7612"),
    AdminListener::OPTIONS_OF_TLS[0],
    AdminListener::OPTIONS_OF_TLS[1],
    AdminListener::OPTIONS_OF_TLS[2],
    AdminListener::OPTIONS_OF_TLS[3],
    operator::LISTENER,
    ListenerTls::certificate("operator.tls.certificate"),
    ListenerTls::key("operator.tls.key"),
    ListenerTls::client_ca("operator.tls.client-ca"),
    ListenerTls::client_crl("operator.tls.client-crl"),
    OptionSpec {
        path: "duplicate-client-id",
        value_name: "WHAT",
        default: Some("reject"),
        many: false,
        secret: false,
        reload: true,
        help: "What to do with an edge that comes with the id of another: reject it while the other gives a sign of \
               life, let it replace the other, or balance calls over both",
    },
    OptionSpec {
        path: "reconnect-wait",
        value_name: "DURATION",
        default: Some("5s"),
        many: false,
        secret: false,
        reload: true,
        help: "How long a call waits for an edge that is away; 0 makes it fail at once",
    },
    OptionSpec {
        path: "remember-edges",
        value_name: "DURATION",
        default: Some("24h"),
        many: false,
        secret: false,
        reload: true,
        help: "How long an edge that left counts as away, and not as unknown",
    },
    OptionSpec {
        path: "warm-up",
        value_name: "DURATION",
        default: Some("30s"),
        many: false,
        secret: false,
        reload: false,
        help: "How long after the start every edge counts as away, and none as unknown",
    },
    OptionSpec {
        path: "max-waiting-calls",
        value_name: "COUNT",
        default: Some("10000"),
        many: false,
        secret: false,
        reload: true,
        help: "Calls that may wait for edges at a time",
    },
    OptionSpec {
        path: "max-waiting-calls-per-edge",
        value_name: "COUNT",
        default: Some("1000"),
        many: false,
        secret: false,
        reload: true,
        help: "Calls that may wait for one edge at a time, and no more than have a place or a turn there once it is back",
    },
    OptionSpec {
        path: "forwarded-headers",
        value_name: "WHAT",
        default: Some("drop"),
        many: false,
        secret: false,
        reload: true,
        help: "What to do with x-forwarded-*, forwarded, x-real-ip and x-envoy-* of callers, which anybody can write: drop \
               it; append the caller's address to x-forwarded-for, of which the last is true then, and let all else pass \
               as it came; or let it pass",
    },
    OptionSpec {
        path: "replay-buffer",
        value_name: "SIZE",
        default: Some("64KiB"),
        many: false,
        secret: false,
        reload: true,
        help: "Bytes of a request that are kept to be sent again where no backend took them",
    },
    limit(
        "max-caller-connections",
        "COUNT",
        "10000",
        "Connections of callers; one more is closed before anything is said",
    ),
    limit(
        "max-caller-connections-per-address",
        "COUNT",
        "1000",
        "The same from one address, or from one /64 network of IPv6",
    ),
    limit(
        "max-calls-per-connection",
        "COUNT",
        "1000",
        "Calls on one connection of a caller at a time; one more is refused as not processed",
    ),
    limit(
        "max-metadata-size",
        "SIZE",
        "16KiB",
        "Metadata of a call in one direction, up to 1MiB: names and values, and 32 bytes for each entry",
    ),
    limit(
        "max-metadata-entries",
        "COUNT",
        "100",
        "Entries of the metadata of a call in one direction",
    ),
    limit(
        "handshake-timeout",
        "DURATION",
        "10s",
        "How long whoever comes to a listener may take for each step until it is known as a caller or an edge",
    ),
    limit(
        "max-handshakes",
        "COUNT",
        "512",
        "Newcomers at one listener that are not known yet; more wait outside, and one that only sits there makes room",
    ),
    limit(
        "max-tunnels",
        "COUNT",
        "10000",
        "Tunnels of edges; one more is refused, and told when to come again",
    ),
    limit(
        "max-calls-per-edge",
        "COUNT",
        "4096",
        "Calls on one tunnel of an edge at a time; further ones wait for a place, in turns over caller connections",
    ),
    limit(
        "max-queued-calls-per-edge",
        "COUNT",
        "256",
        "Calls that may wait for a place on one tunnel of an edge; 0 lets none wait",
    ),
    limit(
        "queue-timeout",
        "DURATION",
        "1s",
        "How long a call may wait for a place on a full edge, before it is refused as edge-busy",
    ),
    limit(
        "max-calls",
        "COUNT",
        "20000",
        "Calls to edges in the whole process; one more is refused as overload",
    ),
    deadline::OPTION,
    limit(
        "memory-limit",
        "SIZE|SHARE",
        "60%",
        "Memory of the process, or a share of what its control group or machine has; at 70% of it callers that come \
         are turned away, at 75% tunnels, at 80% calls, and at 90% calls are reset that hold most; 0 is no limit",
    ),
    limit(
        "threads",
        "COUNT|auto",
        "auto",
        "Threads that serve connections, each those that it got when they came; auto is one for every two processors",
    ),
    TUNNEL_TIMEOUT,
    UPGRADE_SOCKET,
    REQUIRE_SECURE,
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
