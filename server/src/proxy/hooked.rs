//! What the hook says of callers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::{ArrivingCaller, Credentials, Header};
use grpc_multiplexer_tunnel::ClientId;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use tokio::time::sleep;

use super::caller::Caller;
use super::metadata::is_ours;
use super::{Call, Failure, Proxy, Unanswered};
use crate::credential::Digest;
use crate::hooks::NotAuthorized;
use crate::policy::Rights;

/// Metadata that holds credentials.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// A no that may take its time. Who waits for it has no place among calls that there may be.
pub(crate) struct LateNo {
    failure: Failure,
    late: Duration,
}

impl LateNo {
    /// It, in its time.
    pub(super) async fn said(self) -> Failure {
        sleep(self.late).await;
        self.failure
    }
}

impl From<Failure> for LateNo {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            late: Duration::ZERO,
        }
    }
}

impl Proxy {
    /// The rights of whoever makes a call to `id`, as far as the hook lets it have them. Whoever has none gives its `place` back
    /// before it hears of it.
    pub(super) async fn hooked<P>(
        &self,
        call: &mut Call,
        shown: Box<HeaderMap>,
        place: P,
        rights: Rights,
        id: &ClientId,
    ) -> Result<(P, Rights), Unanswered> {
        let caller = Arc::clone(call.intake.caller());
        let method = call.head.uri.path();
        let authorized = async {
            match self
                .authorized(Some(shown), rights, &caller, Some(id), method)
                .await
            {
                Ok(rights) => Ok((place, rights)),
                Err(no) => {
                    drop(place);
                    Err(no.said().await)
                }
            }
        };
        let (intake, reply) = (&mut call.intake, &mut call.reply);
        let authorized = pin!(authorized);
        let authorized = self.while_wanted(intake, reply, call.deadline, authorized);
        Ok(authorized.await??)
    }

    /// The same of whoever makes any call, by its metadata, or without a question if nothing is `shown`.
    pub(super) async fn authorized(
        &self,
        shown: Option<Box<HeaderMap>>,
        rights: Rights,
        caller: &Caller,
        id: Option<&ClientId>,
        method: &str,
    ) -> Result<Rights, LateNo> {
        let Some(headers) = shown else {
            return Ok(rights);
        };
        let arriving = |secrets| ArrivingCaller {
            client_id: id.map(ClientId::to_string).unwrap_or_default(),
            method: method.to_owned(),
            ..self.arriving(&headers, caller, &rights, secrets)
        };
        let credentials = credentials(&headers, caller, &rights);
        match self.hooks.authorize_caller(credentials, id, arriving).await {
            Ok(allowed) => Ok(rights.within(allowed)),
            Err(NotAuthorized::Refused(reason)) => {
                // Whom the policy knows does not guess.
                let guesses = rights.caller().is_none();
                let late = guesses.then(|| self.failures.another(caller.address()));
                Err(LateNo {
                    failure: Failure::HookRefused(reason),
                    late: late.unwrap_or_default(),
                })
            }
            Err(NotAuthorized::OtherId(id)) => Err(Failure::UnknownEdge(id).into()),
            Err(NotAuthorized::Failed) => Err(Failure::HookFailed.into()),
        }
    }

    /// Whoever makes a call, without the call.
    fn arriving(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        rights: &Rights,
        secrets: bool,
    ) -> ArrivingCaller {
        let (uri, dns_names) = caller
            .certificate()
            .map(|it| it.names())
            .unwrap_or_default();
        let token = self.token(headers);
        let digest = token.as_ref().map(|token| Digest::of(token).hex());
        let token = token.filter(|_| secrets);
        let jwt = rights.bearer().jwt().and_then(|jwt| jwt.as_ref().ok());
        ArrivingCaller {
            remote_address: caller.address().to_string(),
            name: rights.name().unwrap_or_default().to_owned(),
            credentials: Some(Credentials {
                certificate_uris: uri.into_iter().cloned().collect(),
                certificate_dns_names: dns_names.to_vec(),
                token_sha256: digest.unwrap_or_default(),
                token: token
                    .map(|token| String::from_utf8_lossy(&token).into_owned())
                    .unwrap_or_default(),
                jwt_claims: jwt.map(|jwt| jwt.claims()).unwrap_or_default(),
                ..Credentials::default()
            }),
            headers: self.metadata(headers, secrets),
            ..ArrivingCaller::default()
        }
    }

    /// The metadata of a call, as the hook is shown it: nobody speaks in our name there, or in a proxy's, where backends do not
    /// hear it either.
    fn metadata(&self, headers: &HeaderMap, secrets: bool) -> Vec<Header> {
        let forwarded = self.settings.now(|settings| settings.forwarded_headers);
        let is_shown = |name: &HeaderName| {
            let is_secret = SECRET.contains(name);
            !is_ours(name) && !forwarded.drops(name) && (secrets || !is_secret)
        };
        let shown = headers.iter().filter(|(name, _)| is_shown(name));
        shown
            .filter_map(|(name, value)| {
                Some(Header {
                    name: name.to_string(),
                    value: value.to_str().ok()?.to_owned(),
                })
            })
            .collect()
    }

    /// The token that a call shows to this server.
    fn token(&self, headers: &HeaderMap) -> Option<Box<[u8]>> {
        let policy = |settings: &crate::Settings| settings.callers.as_ref().map(|it| it.token_in());
        let token_in = self.settings.now(policy);
        token_in.unwrap_or_default().find(headers)
    }
}

/// A mark of all that tells one caller from another.
fn credentials(headers: &HeaderMap, caller: &Caller, rights: &Rights) -> Digest {
    let mut all = Vec::new();
    let mut add = |part: &[u8]| {
        all.extend(part.len().to_be_bytes());
        all.extend(part);
    };
    add(caller.address().to_string().as_bytes());
    add(rights.name().unwrap_or_default().as_bytes());
    let (uri, dns_names) = caller
        .certificate()
        .map(|it| it.names())
        .unwrap_or_default();
    // One kind is not taken for the other.
    add(b"uri");
    if let Some(name) = uri {
        add(name.as_bytes());
    }
    add(b"dns");
    for name in dns_names {
        add(name.as_bytes());
    }
    for name in SECRET {
        add(name.as_str().as_bytes());
        for value in headers.get_all(name) {
            add(value.as_bytes());
        }
    }
    Digest::of(&all)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use grpc_multiplexer_process::CertificateNames;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::edge::places::CallerId;

    #[test]
    fn nothing_that_is_shown_is_taken_for_something_else() {
        let mark = |uris: &[&str], dns: &[&str], headers: &[(&'static str, &'static str)]| {
            let [uris, dns] = [uris, dns].map(|names| names.iter().map(|it| (*it).to_owned()));
            let certificate = CertificateNames {
                uris: uris.collect(),
                dns: dns.collect(),
                signs: false,
            };
            let address = Ipv4Addr::LOCALHOST.into();
            let caller = Caller::new(
                CallerId(1),
                address,
                Some(certificate.into()),
                CancellationToken::new(),
            );
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            credentials(&headers.collect(), &caller, &Rights::default())
        };
        let marks = [
            mark(&[], &[], &[]),
            mark(&["a"], &[], &[]),
            mark(&[], &["a"], &[]),
            mark(&[], &["a", "b"], &[]),
            mark(&["a"], &["b"], &[]),
            mark(&[], &[], &[("authorization", "a")]),
            mark(&[], &[], &[("cookie", "a")]),
        ];
        for (number, one) in marks.iter().enumerate() {
            assert!(!marks[..number].contains(one), "{number}");
        }
        let other = mark(&[], &[], &[("x-other", "a")]);
        assert_eq!(other, marks[0]);
    }
}
