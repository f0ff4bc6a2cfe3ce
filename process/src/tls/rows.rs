//! Rows of option tables.

use super::{DialTerms, ListenerTls};
use crate::OptionSpec;

/// A PEM file.
const fn file(path: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec {
        path,
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help,
    }
}

/// The options of a listener, each at the path that it has in its table.
impl ListenerTls {
    /// The listener's certificate, which turns TLS on.
    #[must_use]
    pub const fn certificate(path: &'static str) -> OptionSpec {
        file(
            path,
            "PEM file of this listener's certificate, and of those between it and its authority; with it the listener \
             speaks TLS, and nothing else. Read again when it changes, as all of these files are",
        )
    }

    /// Its key.
    #[must_use]
    pub const fn key(path: &'static str) -> OptionSpec {
        file(
            path,
            "PEM file of the certificate's private key, which no other user may be able to read",
        )
    }

    /// The authorities of those who come.
    #[must_use]
    pub const fn client_ca(path: &'static str) -> OptionSpec {
        file(
            path,
            "PEM file of authorities; with it whoever comes must show a certificate that one of them signed",
        )
    }

    /// Their revocation lists.
    #[must_use]
    pub const fn client_crl(path: &'static str) -> OptionSpec {
        file(
            path,
            "PEM file of these authorities' revocation lists (CRL), one for each that signs what is shown",
        )
    }
}

/// The options of somebody who dials, each at the path that it has in its table.
impl DialTerms {
    /// Whom to trust.
    #[must_use]
    pub const fn ca(path: &'static str, help: &'static str) -> OptionSpec {
        OptionSpec {
            value_name: "FILE|system",
            ..file(path, help)
        }
    }

    /// Their revocation lists.
    #[must_use]
    pub const fn crl(path: &'static str) -> OptionSpec {
        file(
            path,
            "PEM file of these authorities' revocation lists (CRL), one for each that signs the certificate that is checked",
        )
    }

    /// What to show.
    #[must_use]
    pub const fn certificate(path: &'static str, help: &'static str) -> OptionSpec {
        file(path, help)
    }

    /// Its key.
    #[must_use]
    pub const fn key(path: &'static str) -> OptionSpec {
        file(
            path,
            "PEM file of that certificate's private key, which no other user may be able to read",
        )
    }
}
