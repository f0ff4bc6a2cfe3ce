//! Where operators come, if anywhere.

use grpc_multiplexer_process::{HostPort, HostPortError, ListenerTerms, OptionSpec, Reader};

/// Value of the option for no listener.
const OFF: &str = "off";

/// Where it listens.
pub(crate) const LISTENER: OptionSpec = OptionSpec {
    path: "operator-listener",
    value_name: "HOST:PORT",
    default: Some(OFF),
    many: false,
    secret: false,
    reload: false,
    help: "Where operators take edges off, over gRPC (`grpc-multiplexer-client kick`), or off. Whoever reaches it can do so, \
           and for others than this machine it needs --operator-tls-client-ca",
};

/// What is asked of an operator that comes with TLS.
pub(crate) const TLS: ListenerTerms = ListenerTerms {
    options: "operator.tls",
    protocol: "h2",
    must_offer: true,
    tls12: true,
};

/// Reads the address; `None` with a mistake, which `reader` keeps, and `Some(None)` where there is to be no listener.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Option<HostPort>> {
    let address = reader.one(LISTENER.path, parse)?;
    if address.is_none() {
        for name in ["certificate", "key", "client-ca", "client-crl"] {
            let option = format!("{}.{name}", TLS.options);
            if reader.is_set(&option) {
                reader.mistake(
                    &option,
                    "has no effect without --operator-listener HOST:PORT",
                );
            }
        }
    }
    Some(address)
}

fn parse(text: &str) -> Result<Option<HostPort>, String> {
    if text == OFF {
        return Ok(None);
    }
    let address = text.parse().map(Some);
    address.map_err(|error: HostPortError| format!("{error}, or off for none"))
}
