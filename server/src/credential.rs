//! Who an edge is: what it shows, and which client ids that gives it.
//!
//! What an edge shows, in whatever way, is its [`Credential`]. What the options say of credentials is [`Grants`], and
//! [`Grants::admit`] is the only place that says whether a credential has a client id. It is asked before anything is
//! looked up for the edge: who may not have an id learns nothing of it.

mod certificate;

use std::fmt;

use grpc_multiplexer_process::{CertificateNames, OptionSpec, Reader};
use grpc_multiplexer_tunnel::ClientId;
use grpc_multiplexer_tunnel::message::{Code, Refused};

use certificate::NotGranted;
pub use certificate::{CertificateIds, CertificateIdsError};

use crate::edge::comers;
use crate::edge::offer::refused;

/// What an edge shows of who it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credential {
    /// The names of its certificate, where the listener asks for one.
    certificate: Option<CertificateNames>,
}

impl Credential {
    /// What a connection shows by itself.
    pub(crate) fn of_connection(certificate: Option<CertificateNames>) -> Self {
        Self { certificate }
    }
}

/// Which credentials have which client ids. Where nothing is asked for, any edge may have any id.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Grants {
    /// By the names in certificates, which the listener must ask for. Default none.
    pub certificate_ids: Option<CertificateIds>,
}

/// What gives an edge its client id, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// A certificate of that name.
    Certificate(String),
}

/// Why a credential has not the client id that its edge wants. The text is for whoever set up the edge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    /// It came before the listener asked for one.
    #[error("this server asks for a certificate; dial it again")]
    NoCertificate,
    #[error(transparent)]
    Certificate(#[from] NotGranted),
}

impl Grants {
    /// The option of that name.
    pub(crate) const CERTIFICATE_ID: OptionSpec = OptionSpec {
        path: "edges-certificate-id",
        value_name: "PATTERN",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "How a name in an edge's certificate spells the only client id that it may have: a URI such as \
               spiffe://example.org/edge/{id}, or a DNS name such as {id}.edges.example.org; needs \
               --multiplexer-tls-client-ca",
    };

    /// Reads the options. Mistakes are kept by `reader`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let certificate_id = Self::CERTIFICATE_ID.path;
        let certificate_ids = reader.optional(certificate_id, str::parse);
        let ca = format!("{}.client-ca", comers::TLS.options);
        if reader.is_set(certificate_id) && !reader.is_set(&ca) {
            let flag = reader.flag(&ca);
            reader.mistake(certificate_id, format!("has no effect without {flag}"));
        }
        Self { certificate_ids }
    }

    /// What in `credential` has `id`; `None` where nobody is asked.
    pub(crate) fn admit(
        &self,
        credential: &Credential,
        id: &ClientId,
    ) -> Result<Option<Principal>, Denied> {
        let Some(ids) = &self.certificate_ids else {
            return Ok(None);
        };
        let names = credential.certificate.as_ref();
        let name = ids.admit(names.ok_or(Denied::NoCertificate)?, id)?;
        Ok(Some(Principal::Certificate(name)))
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let code = match &denied {
            Denied::NoCertificate => Code::Unauthenticated,
            Denied::Certificate(_) => Code::NotAllowed,
        };
        refused(code, &denied.to_string())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(name) => write!(f, "certificate {name}"),
        }
    }
}
