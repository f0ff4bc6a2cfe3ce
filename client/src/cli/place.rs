//! Where a server is asked, and what is shown to it: an address, the files of TLS, a token.

use std::fmt;
use std::sync::Arc;

use clap::{Arg, ArgMatches};
use grpc_multiplexer_process::{
    DialTerms, HostPort, HostPortError, Leaves, OptionSpec, Program, Reader,
};
use rustls::ClientConfig;
use tonic::metadata::{Ascii, AsciiMetadataKey, MetadataValue};

use crate::EdgeToken;
use crate::token::TOKEN_FILE;

/// What a place is called among the options, and what they say.
#[derive(Debug)]
pub(super) struct Kind {
    /// The option of its address, without dashes.
    pub(super) address: &'static str,
    /// Where that is, unless it is said.
    default: Option<&'static str>,
    help: &'static str,
    /// The flag of the server that makes it listen there.
    pub(super) listener: &'static str,
    tls: DialTerms,
    /// The files of TLS, and the token where there may be one, as options of an edge are.
    options: &'static [OptionSpec],
}

const TOKEN_METADATA: &str = "token-metadata";

const CA_HELP: &str = "PEM file of the authorities that the server's certificate is checked against, or system for those \
                       that the system trusts. With this or the next two, TLS is spoken";
const CERTIFICATE_HELP: &str = "PEM file of the certificate to show to a server that asks for one";

const fn tls(ca: &'static str, certificate: &'static str, key: &'static str) -> DialTerms {
    DialTerms {
        ca,
        crl: None,
        certificate,
        key,
        protocol: "h2",
        tls12: true,
    }
}

const PROXY_TLS: DialTerms = tls("proxy-tls-ca", "proxy-tls-certificate", "proxy-tls-key");

/// Where callers call.
pub(super) static PROXY: Kind = Kind {
    address: "proxy-address",
    default: Some("localhost:7592"),
    help: "Where callers call: the server's --proxy-listener",
    listener: "--proxy-listener",
    tls: PROXY_TLS,
    options: &[
        DialTerms::ca(PROXY_TLS.ca, CA_HELP),
        DialTerms::certificate(PROXY_TLS.certificate, CERTIFICATE_HELP),
        DialTerms::key(PROXY_TLS.key),
        OptionSpec {
            path: TOKEN_FILE,
            value_name: "FILE",
            default: None,
            many: false,
            secret: false,
            reload: false,
            help: "File of the token that says who calls, where the server has a policy: one line, which no other user may \
                   be able to read",
        },
        OptionSpec {
            path: TOKEN_METADATA,
            value_name: "NAME",
            default: Some("proxy-authorization"),
            many: false,
            secret: false,
            reload: false,
            help: "The metadata that the token goes in: the server's --callers-token-metadata",
        },
    ],
};

const OPERATOR_TLS: DialTerms = tls(
    "operator-tls-ca",
    "operator-tls-certificate",
    "operator-tls-key",
);

/// Where a server takes operators.
pub(super) static OPERATOR: Kind = Kind {
    address: "operator-address",
    default: None,
    help: "The server's --operator-listener",
    listener: "--operator-listener",
    tls: OPERATOR_TLS,
    options: &[
        DialTerms::ca(OPERATOR_TLS.ca, CA_HELP),
        DialTerms::certificate(OPERATOR_TLS.certificate, CERTIFICATE_HELP),
        DialTerms::key(OPERATOR_TLS.key),
    ],
};

/// A token, and the metadata that it goes in.
pub(super) type Token = (AsciiMetadataKey, MetadataValue<Ascii>);

/// One of them.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: &'static Kind,
    pub(super) address: HostPort,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) token: Option<Token>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Kind {
    /// The options as clap sees them.
    pub(super) fn args(&'static self) -> impl Iterator<Item = Arg> {
        let arg = |name, value, help, default: Option<&'static str>| {
            Arg::new(name)
                .long(name)
                .value_name(value)
                .help(help)
                .default_values(default)
        };
        let address = arg(self.address, "HOST:PORT", self.help, self.default)
            .required(self.default.is_none())
            .value_parser(dialled);
        let options = self.options.iter();
        let options = options
            .map(move |option| arg(option.path, option.value_name, option.help, option.default));
        std::iter::once(address).chain(options)
    }

    /// The flag of the authorities.
    pub(super) fn flag_of_ca(&self) -> String {
        format!("--{}", self.tls.ca)
    }

    /// That of the certificate.
    pub(super) fn flag_of_certificate(&self) -> String {
        format!("--{}", self.tls.certificate)
    }

    /// What was given.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub(super) fn read(&'static self, matches: &ArgMatches) -> Result<Place, String> {
        let address = matches.get_one::<HostPort>(self.address);
        let address = address.expect("it is required or has a default").clone();
        let leaves = self.leaves(matches)?;
        let mut reader = Reader::new(&leaves);
        let terms = &self.tls;
        let speaks_tls = [terms.ca, terms.certificate, terms.key]
            .iter()
            .any(|option| reader.is_set(option));
        let tls = speaks_tls.then(|| terms.read(&mut reader)).flatten();
        let tls = tls.map(|tls| tls.config);
        let has_token = self.options.iter().any(|option| option.path == TOKEN_FILE);
        let far = Some(&address).filter(|address| !speaks_tls && !address.is_of_this_machine());
        let token = has_token
            .then(|| token(&mut reader, terms.ca, far))
            .flatten();
        let read = reader.finish(|| {
            Some(Place {
                kind: self,
                address,
                tls,
                token,
            })
        });
        read.map_err(|mistakes| mistakes.to_string())
    }

    /// The options, to be read as an edge's are.
    fn leaves(&self, matches: &ArgMatches) -> Result<Leaves, String> {
        let program = Program {
            options: self.options,
            ..crate::PROGRAM
        };
        let given = self.options.iter().filter_map(|option| {
            let value = matches.get_one::<String>(option.path)?;
            Some(format!("{}={value}", option.flag()).into())
        });
        let args = std::iter::once(program.name.into()).chain(given);
        program.leaves(args).map_err(|error| error.to_string())
    }
}

fn token(reader: &mut Reader<'_>, ca: &str, far: Option<&HostPort>) -> Option<Token> {
    let name = reader.one(TOKEN_METADATA, |name| {
        let name = name.parse::<AsciiMetadataKey>();
        name.map_err(|_| "this is no name of metadata; the usual one is proxy-authorization")
    });
    let token = EdgeToken::read(reader, TOKEN_FILE, ca, far)?;
    Some((name?, token.bearer()))
}

/// An address to dial, which has a host.
fn dialled(text: &str) -> Result<HostPort, String> {
    let parsed = text.parse();
    let address: HostPort = parsed.map_err(|error: HostPortError| error.to_string())?;
    if address.host().is_empty() || address.port() == 0 {
        return Err("needs a host and a port to dial, for example localhost:7592".to_owned());
    }
    Ok(address)
}
