//! What callers show, and who is known by none of it.

use std::fmt;

use grpc_multiplexer_process::CertificateNames;

use crate::credential::Digest;
use crate::jwt::JwtDenied;

/// The names of a caller's certificate that count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// That of a certificate with one URI, which may sign no others: of the rest it says nothing. *Source:* SPIFFE X509-SVID,
    /// sections 2 and 5.2.
    pub(super) uri: Option<String>,
    /// In lower case.
    pub(super) dns_names: Vec<String>,
}

impl Certificate {
    /// Its URI and its DNS names.
    pub(crate) fn names(&self) -> (Option<&String>, &[String]) {
        (self.uri.as_ref(), &self.dns_names)
    }
}

impl From<CertificateNames> for Certificate {
    fn from(mut names: CertificateNames) -> Self {
        for name in &mut names.dns {
            name.make_ascii_lowercase();
        }
        Self {
            uri: (names.uris.pop()).filter(|_| names.uris.is_empty() && !names.signs),
            dns_names: names.dns,
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.uri.iter().chain(&self.dns_names);
        let names: Vec<_> = names.map(|name| name.escape_debug().to_string()).collect();
        f.write_str(&names.join(", "))
    }
}

/// Who shows nothing by which the policy knows somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stranger {
    Nothing,
    Malformed,
    Token(Digest),
    /// A JWT that is not taken.
    Jwt(JwtDenied),
    /// A good one of somebody else.
    OtherJwt,
    Certificate(String),
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it shows neither a certificate nor a token"),
            Self::Malformed => {
                f.write_str("its metadata has something else than one `Bearer TOKEN`")
            }
            Self::Token(token) => write!(
                f,
                "no caller has the token whose SHA-256 begins with {token}"
            ),
            Self::Jwt(denied) => denied.fmt(f),
            Self::OtherJwt => {
                f.write_str("no caller has the subject of its JWT, nor a claim in it")
            }
            Self::Certificate(names) => {
                write!(f, "no caller has a certificate with these names: {names}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_counts_where_it_is_the_only_one_and_its_certificate_signs_no_others() {
        let own = "spiffe://example.org/billing";
        for (uris, signs, counts) in [
            (&[own][..], false, true),
            (&[own], true, false),
            (&[own, "https://other.test"], false, false),
            (&[], false, false),
        ] {
            let names = CertificateNames {
                uris: uris.iter().map(ToString::to_string).collect(),
                signs,
                ..CertificateNames::default()
            };
            let certificate = Certificate::from(names);
            assert_eq!(certificate.uri.is_some(), counts, "{uris:?} {signs}");
        }
    }
}
