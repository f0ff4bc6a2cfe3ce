//! What others than this machine can reach without showing who they are, or read on the way: said at the start, or refused.

use std::fmt::Display;

use crate::{HostPort, ListenerTls, OptionSpec, Reader, boolean};

/// Option of every program: whether to start at all when something is open.
pub const REQUIRE_SECURE: OptionSpec = OptionSpec {
    path: "require-secure",
    value_name: "BOOLEAN",
    default: Some("false"),
    many: false,
    secret: false,
    reload: false,
    help: "Whether to refuse, and not only to warn of, plain text and listeners that ask nobody who it is, other than on \
           this machine alone: true or false",
};

/// What is open. Where it is nothing, nothing is said.
#[derive(Debug, Default)]
pub struct Exposure(Vec<String>);

impl Exposure {
    /// Looks at a listener, by the paths of its address and of what its TLS options are below. It may ask who comes in
    /// another way than for a certificate.
    pub fn listener(
        &mut self,
        reader: &Reader<'_>,
        option: &str,
        address: &HostPort,
        tls: (&str, Option<&ListenerTls>),
        asks: bool,
    ) {
        if let Some(mended) = mended(reader, address, tls, asks) {
            self.is_open(reader, option, address, mended);
        }
    }

    /// The same for a listener that must not be open, whatever is asked for.
    pub fn never(
        reader: &mut Reader<'_>,
        option: &str,
        address: &HostPort,
        tls: (&str, Option<&ListenerTls>),
    ) {
        if let Some(mended) = mended(reader, address, tls, false) {
            let text = format!("would be open to others than this machine; give {mended}");
            reader.mistake(option, text);
        }
    }

    /// Looks at what is dialled in plain text, which `mended` would secure.
    pub fn dialled(
        &mut self,
        reader: &Reader<'_>,
        option: &str,
        address: &HostPort,
        mended: impl Display,
    ) {
        if !address.is_of_this_machine() {
            self.is_open(reader, option, address, mended);
        }
    }

    /// Looks at what is fetched from `address`, in plain text.
    pub fn fetched(&mut self, reader: &Reader<'_>, option: &str, address: &HostPort) {
        self.dialled(reader, option, address, "an https:// URL");
    }

    /// Looks at `what`, which others could make theirs: who dials `address` is asked for nothing that says whose it is.
    pub fn claimed(&mut self, what: &str, address: &HostPort, mended: &str) {
        if !address.is_of_this_machine() {
            self.0.push(format!("{what} (give {mended})"));
        }
    }

    fn is_open(
        &mut self,
        reader: &Reader<'_>,
        option: &str,
        address: &HostPort,
        mended: impl Display,
    ) {
        let flag = reader.flag(option);
        self.0.push(format!("{flag} {address} (give {mended})"));
    }

    /// Says all of it, as a warning or as a mistake.
    pub fn say(self, reader: &mut Reader<'_>) {
        let strict = reader.one(REQUIRE_SECURE.path, boolean);
        if self.0.is_empty() {
            return;
        }
        let text = format!("open to others than this machine: {}", self.0.join("; "));
        match strict {
            Some(true) => reader.mistake(REQUIRE_SECURE.path, text),
            _ => reader.warn(text),
        }
    }
}

/// What is missing at a listener that others can reach.
fn mended(
    reader: &Reader<'_>,
    address: &HostPort,
    (below, tls): (&str, Option<&ListenerTls>),
    asks: bool,
) -> Option<String> {
    let flag = |name: &str| reader.flag(&format!("{below}.{name}"));
    let ca = flag("client-ca");
    match tls {
        _ if address.is_of_this_machine() => None,
        Some(tls) if asks || tls.is_mutual() => None,
        Some(_) => Some(ca),
        // It is mistaken.
        None if reader.is_set(&format!("{below}.certificate")) => None,
        None if asks => Some(format!("{} and {}", flag("certificate"), flag("key"))),
        None => Some(format!("{}, {} and {ca}", flag("certificate"), flag("key"))),
    }
}
