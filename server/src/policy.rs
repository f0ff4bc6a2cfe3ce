//! Who a caller is, and what it may: the policy of callers.
//!
//! A caller shows a certificate, which counts for all calls of its connection, or a token, which counts for the call that
//! carries it. A token is a text that the policy knows by its SHA-256, or a JWT. [`CallersPolicy::rights`] is the only place
//! that says who that is, and [`Rights`] the only one that says what it may: an id is asked for before anything is looked up,
//! and one that may not be seen is never looked up at all, unless labels could bring it into sight. What an edge says of itself
//! is a claim, so the policy also says which labels count, and of which ids.

mod audit;
mod bearer;
mod file;
mod known;
mod options;
mod reading;
mod shown;
mod which;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use grpc_multiplexer_tunnel::{ClientId, Labels};
use http::HeaderValue;

use crate::credential::Digest;
use crate::hooks::{Allowed, Context};
use crate::jwt::{JwtClaim, JwtIssuer, Verified};
pub(crate) use audit::Audit;
pub(crate) use bearer::Bearer;
pub use bearer::{TokenMetadata, TokenMetadataError};
use known::KnownCaller;
pub use reading::WrongPlace;
pub(crate) use shown::Certificate;
use shown::Stranger;
use which::Trusted;

/// Which callers there are, how each is known, and what each may. Clones share it.
///
/// ```
/// use grpc_multiplexer_server::CallersPolicy;
///
/// let text = "
/// callers:
///   billing:
///     uris: [spiffe://example.org/billing]
///     calls:
///       - ids: [rainbow, kitchen-*]
///         methods: [/shop.Invoices/*]
/// ";
/// assert!(CallersPolicy::parse(text.as_bytes()).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct CallersPolicy {
    known: Arc<Known>,
    token_in: TokenMetadata,
    jwts: Option<Arc<JwtIssuer>>,
}

/// The callers by what they show.
#[derive(Debug, Default)]
struct Known {
    /// Whether nothing is refused, and only said.
    dry_run: bool,
    /// Whether each decision is said.
    is_audited: bool,
    uris: HashMap<String, Arc<KnownCaller>>,
    /// In lower case.
    dns_names: HashMap<String, Arc<KnownCaller>>,
    tokens: HashMap<Digest, Arc<KnownCaller>>,
    /// Whom JWTs are about.
    subjects: HashMap<String, Arc<KnownCaller>>,
    /// What else JWTs say.
    claims: HashMap<Claim, Arc<KnownCaller>>,
    /// The names of those claims, in their order.
    claim_names: Vec<JwtClaim>,
    /// Which labels count.
    trusted: Arc<Trusted>,
    /// The keys of labels that some caller's rules ask for.
    label_keys: BTreeSet<String>,
}

/// Something that a JWT says, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Claim {
    name: JwtClaim,
    text: String,
}

/// What a call may: everything, where there is no policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    caller: Option<Arc<KnownCaller>>,
    /// Kept, because the policy may change.
    bearer: Bearer,
    dry_run: bool,
    /// What the hook says, which holds in a dry run, too.
    hook: Arc<Allowed>,
}

/// Why a call may not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody knows whose it is.
    Unknown(Stranger),
    /// The id is not for this caller's eyes.
    Hidden(ClientId),
    /// Labels could let this caller do more at this id. With those that it has it may not even see it, or nobody knows them.
    Unlabelled(ClientId),
    /// The id is, the method is not.
    Method,
}

impl Denied {
    /// Whether somebody may have guessed. Certificates and JWTs are signed by whoever is trusted.
    pub(crate) fn is_guess(&self) -> bool {
        matches!(self, Self::Unknown(Stranger::Token(_)))
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(stranger) => stranger.fmt(f),
            Self::Hidden(_) => f.write_str("it may neither call nor see this edge"),
            Self::Unlabelled(_) => {
                f.write_str("it may not with the labels that this edge has, if it is there at all")
            }
            Self::Method => f.write_str("it may see this edge, and not call this method there"),
        }
    }
}

impl CallersPolicy {
    /// The same, with tokens elsewhere than in `proxy-authorization`.
    #[must_use]
    pub fn with_tokens_in(self, token_in: TokenMetadata) -> Self {
        Self { token_in, ..self }
    }

    /// The same, where callers may show JSON Web Tokens of `issuer`.
    #[must_use]
    pub fn with_jwts_of(self, issuer: JwtIssuer) -> Self {
        Self {
            jwts: Some(Arc::new(issuer)),
            ..self
        }
    }

    /// Whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.knows_certificates() && !self.knows_jwts() && self.known.tokens.is_empty()
    }

    /// Whether it refuses nothing, and only says what it would refuse.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.known.dry_run
    }

    /// Whether each of its decisions is to be said.
    pub(crate) fn is_audited(&self) -> bool {
        self.known.is_audited
    }

    /// Whether it knows some caller by a certificate.
    pub(crate) fn knows_certificates(&self) -> bool {
        !(self.known.uris.is_empty() && self.known.dns_names.is_empty())
    }

    /// Whether it knows some caller by a JWT.
    pub(crate) fn knows_jwts(&self) -> bool {
        !(self.known.subjects.is_empty() && self.known.claims.is_empty())
    }

    /// Whose JWTs callers may show.
    pub(crate) fn jwt_issuer(&self) -> Option<&JwtIssuer> {
        self.jwts.as_deref()
    }

    /// Where calls have their tokens.
    pub(crate) fn token_in(&self) -> TokenMetadata {
        self.token_in
    }

    /// Those of `labels` that rules ask for, and that do not count where an edge `id` says them.
    pub(crate) fn not_trusted<'l>(
        &self,
        id: &ClientId,
        labels: &'l Labels,
    ) -> impl Iterator<Item = (&'l str, &'l str)> {
        labels.iter().filter(|(key, value)| {
            self.known.label_keys.contains(*key) && !self.known.trusted.are(id, key, value)
        })
    }

    /// The rights of whoever shows this. A token says whose a call is whatever the certificate says, and one that is not known
    /// is nobody's.
    pub(crate) fn rights(
        &self,
        certificate: Option<&Certificate>,
        bearer: Bearer,
    ) -> Result<Rights, Denied> {
        let caller = self.known.caller(certificate, &bearer);
        let caller = caller.map_err(Denied::Unknown)?;
        Ok(Rights {
            caller: Some(Arc::clone(caller)),
            bearer,
            dry_run: self.known.dry_run,
            hook: Arc::default(),
        })
    }

    /// Those of whoever has none, which are all of them in a dry run.
    pub(crate) fn nobodys(&self, bearer: Bearer) -> Rights {
        Rights {
            caller: None,
            bearer,
            dry_run: self.known.dry_run,
            hook: Arc::default(),
        }
    }
}

impl Known {
    fn caller(
        &self,
        certificate: Option<&Certificate>,
        bearer: &Bearer,
    ) -> Result<&Arc<KnownCaller>, Stranger> {
        match (bearer, certificate) {
            (Bearer::Token(token, jwt), _) => match (self.tokens.get(token), jwt) {
                (Some(caller), _) => Ok(caller),
                (None, None) => Err(Stranger::Token(*token)),
                (None, Some(Ok(jwt))) => self.of_jwt(jwt).ok_or(Stranger::OtherJwt),
                (None, Some(Err(denied))) => Err(Stranger::Jwt(*denied)),
            },
            (Bearer::Malformed, _) => Err(Stranger::Malformed),
            (Bearer::Nothing, None) => Err(Stranger::Nothing),
            (Bearer::Nothing, Some(certificate)) => {
                let stranger = || Stranger::Certificate(certificate.to_string());
                self.named(certificate).ok_or_else(stranger)
            }
        }
    }

    /// The caller of whom a JWT is about, or of the first claim of the policy that has something in it that is known.
    fn of_jwt(&self, jwt: &Verified) -> Option<&Arc<KnownCaller>> {
        let by_claim = || {
            let said = self.claim_names.iter().flat_map(|name| {
                let texts = jwt.says(name).into_iter();
                texts.map(|text| Claim {
                    name: name.clone(),
                    text: text.to_owned(),
                })
            });
            said.into_iter().find_map(|claim| self.claims.get(&claim))
        };
        self.subjects.get(jwt.subject()).or_else(by_claim)
    }

    /// The caller of the first name in the certificate that is known.
    fn named(&self, certificate: &Certificate) -> Option<&Arc<KnownCaller>> {
        let by_uri = certificate.uri.as_ref().and_then(|uri| self.uris.get(uri));
        by_uri.or_else(|| {
            let mut names = certificate.dns_names.iter();
            names.find_map(|name| self.dns_names.get(name))
        })
    }
}

impl Rights {
    /// Who has them, by the name in the policy.
    pub(crate) fn caller(&self) -> Option<&HeaderValue> {
        self.caller.as_ref().map(|caller| &caller.name)
    }

    /// The same, as far as the hook lets them.
    pub(crate) fn within(self, hook: Arc<Allowed>) -> Self {
        Self { hook, ..self }
    }

    /// The same, as far as the hook let these.
    pub(crate) fn within_those(self, others: &Self) -> Self {
        self.within(Arc::clone(&others.hook))
    }

    /// What the hook wants to be known of the caller.
    pub(crate) fn context(&self) -> &Context {
        self.hook.context()
    }

    /// Whether there may be edges that are not for these eyes.
    pub(crate) fn are_bound(&self) -> bool {
        self.caller.is_some() || self.hook.is_bound()
    }

    /// The same for people.
    pub(crate) fn name(&self) -> Option<&str> {
        self.caller()?.to_str().ok()
    }

    /// What the call carried.
    pub(crate) fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    /// Whether nothing is refused for want of them.
    pub(crate) fn are_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether `id`, which has these labels, is for these eyes.
    pub(crate) fn see(&self, id: &ClientId, labels: &Labels) -> bool {
        let sees = |caller: &Arc<KnownCaller>| caller.sees(id, labels);
        let sees = self.dry_run || self.caller.as_ref().is_none_or(sees);
        sees && self.hook.has(id)
    }

    /// Whether `method` may be called at `id`. What `labels` it has, if that is known, is asked only where it matters.
    pub(crate) fn call(
        &self,
        id: &ClientId,
        method: &str,
        labels: impl FnOnce() -> Option<Labels>,
    ) -> Result<(), Denied> {
        let Some(caller) = &self.caller else {
            return Ok(());
        };
        let none = Labels::default();
        if caller.may_call(id, &none, method) {
            return Ok(());
        }
        let asks = caller.asks_labels(id);
        let known = if asks { labels() } else { None };
        let labels = known.as_ref().unwrap_or(&none);
        if caller.may_call(id, labels, method) {
            Ok(())
        } else if asks && (known.is_none() || !caller.sees(id, labels)) {
            Err(Denied::Unlabelled(id.clone()))
        } else if caller.sees(id, labels) {
            Err(Denied::Method)
        } else {
            Err(Denied::Hidden(id.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
