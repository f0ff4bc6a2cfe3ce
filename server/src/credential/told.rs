//! What a hook is told of a credential.

use grpc_multiplexer_proto::hooks::v1::Credentials;
use grpc_multiplexer_tunnel::TOKEN_SCHEME;
use grpc_multiplexer_tunnel::message::Auth;

use super::Admission;

impl Admission {
    /// What it is told of this one. The token, which nobody keeps, is in `auth`, where it is to be sent.
    pub(crate) fn told(&self, auth: Option<&Auth>) -> Credentials {
        let credential = &self.credential;
        let names = credential.certificate.clone().unwrap_or_default();
        let principal = self.principal.as_ref();
        let token = auth.filter(|auth| auth.scheme == TOKEN_SCHEME);
        let token = token.map(|auth| String::from_utf8_lossy(&auth.data).into_owned());
        let jwt = credential.jwt().and_then(|jwt| jwt.as_ref().ok());
        Credentials {
            principal: principal.map(ToString::to_string).unwrap_or_default(),
            certificate_uris: names.uris,
            certificate_dns_names: names.dns,
            key_fingerprint: credential
                .key
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            token_sha256: credential
                .token
                .map(|token| token.hex())
                .unwrap_or_default(),
            token: token.unwrap_or_default(),
            jwt_claims: jwt.map(|jwt| jwt.claims()).unwrap_or_default(),
        }
    }
}
