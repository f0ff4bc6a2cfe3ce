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
        let (below, tls) = tls;
        let flag = |name: &str| reader.flag(&format!("{below}.{name}"));
        let ca = flag("client-ca");
        let mended = match tls {
            _ if address.is_of_this_machine() => return,
            Some(tls) if asks || tls.is_mutual() => return,
            Some(_) => ca,
            // It is mistaken.
            None if reader.is_set(&format!("{below}.certificate")) => return,
            None if asks => format!("{} and {}", flag("certificate"), flag("key")),
            None => format!("{}, {} and {ca}", flag("certificate"), flag("key")),
        };
        self.is_open(reader, option, address, mended);
    }

    /// Looks at what is dialled in plain text.
    pub fn dialled(&mut self, reader: &Reader<'_>, option: &str, address: &HostPort, ca: &str) {
        if !address.is_of_this_machine() {
            self.is_open(reader, option, address, reader.flag(ca));
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
