//! What the hook says of callers.

use grpc_multiplexer_proto::hooks::v1::{ArrivingCaller, Credentials, Header};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::request::Parts;
use tokio::time::{Instant, sleep};

use super::caller::Caller;
use super::metadata::CLIENT_ID;
use super::{Failure, Proxy};
use crate::credential::Digest;
use crate::hooks::NotAuthorized;
use crate::moment;
use crate::policy::Rights;

/// Metadata that holds credentials.
const SECRET: [http::HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

impl Proxy {
    /// The rights of whoever makes a call, by what it shows and by what the hook says of it.
    pub(super) async fn admitted(
        &self,
        head: &mut Parts,
        caller: &Caller,
        deadline: Option<Instant>,
    ) -> Result<Rights, Failure> {
        if !self.hooks.decides_on_callers() {
            return self.rights(head, caller).await;
        }
        // What the policy takes off is shown to the hook, too.
        let headers = head.headers.clone();
        let rights = self.rights(head, caller).await?;
        let path = head.uri.path();
        // The server's own services ignore it.
        let id = headers.get(CLIENT_ID).filter(|_| !self.local.takes(head));
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let shown = |secrets| ArrivingCaller {
            client_id: id.to_owned(),
            method: path.to_owned(),
            ..self.arriving(&headers, caller, &rights, secrets)
        };
        let credentials = credentials(&headers, caller, &rights);
        // Boxed: every call has room for what is not.
        let authorize = Box::pin(self.hooks.authorize_caller(credentials, shown));
        let authorized = tokio::select! {
            biased;
            authorized = authorize => authorized,
            () = moment::reached(deadline) => return Err(Failure::Deadline { sent: false }),
        };
        match authorized {
            Ok(allowed) => Ok(rights.within(allowed)),
            Err(NotAuthorized::Refused(reason)) => {
                sleep(self.failures.another(caller.address())).await;
                Err(Failure::HookRefused(reason))
            }
            Err(NotAuthorized::OtherId(id)) => Err(Failure::UnknownEdge(id)),
            Err(NotAuthorized::Failed) => Err(Failure::HookFailed),
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
            headers: metadata(headers, secrets),
            ..ArrivingCaller::default()
        }
    }

    /// The token that a call shows to this server.
    fn token(&self, headers: &HeaderMap) -> Option<Box<[u8]>> {
        let policy = |settings: &crate::Settings| settings.callers.as_ref().map(|it| it.token_in());
        let token_in = self.settings.now(policy);
        token_in.unwrap_or_default().find(headers)
    }
}

/// The metadata of a call, as the hook is shown it.
fn metadata(headers: &HeaderMap, secrets: bool) -> Vec<Header> {
    let shown = headers
        .iter()
        .filter(|(name, _)| secrets || !SECRET.contains(name));
    shown
        .filter_map(|(name, value)| {
            Some(Header {
                name: name.to_string(),
                value: value.to_str().ok()?.to_owned(),
            })
        })
        .collect()
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
    for name in uri.into_iter().chain(dns_names) {
        add(name.as_bytes());
    }
    for name in SECRET {
        // One is not taken for the other.
        add(name.as_str().as_bytes());
        for value in headers.get_all(name) {
            add(value.as_bytes());
        }
    }
    Digest::of(&all)
}
