//! The options of the callers' policy.

use grpc_multiplexer_process::{Exposure, OptionSpec, Reader};

use super::{CallersPolicy, TokenMetadata};
use crate::jwt::JwtTerms;
use crate::proxy::comers;

/// Where whose JWTs callers may show is described.
const JWT: JwtTerms = JwtTerms {
    issuer: CallersPolicy::JWT_ISSUER.path,
    audience: CallersPolicy::JWT_AUDIENCE.path,
    keys: CallersPolicy::JWT_KEYS.path,
    ca: CallersPolicy::JWT_KEYS_CA.path,
};

impl CallersPolicy {
    /// The file.
    pub(crate) const FILE: OptionSpec = OptionSpec {
        path: "callers-policy",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "YAML file of who may call, which no other user may be able to read: callers by the names in their certificates \
               or by the SHA-256 of their tokens, each with the client ids and methods that it may call, and the ids that \
               it may see, or the labels of such edges. Read again when it changes",
    };

    /// Where tokens are.
    pub(crate) const TOKEN_METADATA: OptionSpec = OptionSpec {
        path: "callers-token-metadata",
        value_name: "KEY",
        default: Some("proxy-authorization"),
        many: false,
        secret: false,
        reload: true,
        help: "In which metadata callers show tokens of --callers-policy, as `Bearer TOKEN`: proxy-authorization, which never \
               reaches a backend, or authorization, which does not then either",
    };

    /// Whose JWTs callers may show.
    pub(crate) const JWT_ISSUER: OptionSpec = JwtTerms::issuer(
        "callers-jwt-issuer",
        "Who signs JSON Web Tokens of callers, as it stands in them (iss). With it --callers-policy knows callers by \
         jwt-subjects and jwt-claims; needs --callers-jwt-audience and --callers-jwt-keys",
    );

    /// For whom they are.
    pub(crate) const JWT_AUDIENCE: OptionSpec = JwtTerms::audience("callers-jwt-audience");

    /// The issuer's keys.
    pub(crate) const JWT_KEYS: OptionSpec = JwtTerms::keys("callers-jwt-keys");

    /// Whom to trust where those are fetched.
    pub(crate) const JWT_KEYS_CA: OptionSpec = JwtTerms::ca("callers-jwt-keys-ca");

    /// Where the keys come from, for all to read on the way, if they do.
    pub(crate) fn look(&self, reader: &Reader<'_>, exposure: &mut Exposure) {
        if let Some(issuer) = self.jwt_issuer() {
            JWT.look(issuer, reader, exposure);
        }
    }

    /// Reads them; `None` where there is no policy, and with a mistake, which `reader` keeps.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (file, key) = (Self::FILE.path, Self::TOKEN_METADATA.path);
        let token_in = reader.one(key, str::parse::<TokenMetadata>);
        if !reader.is_set(file) && token_in == Some(TokenMetadata::Authorization) {
            let flag = reader.flag(file);
            reader.mistake(key, format!("has no effect without {flag}"));
        }
        let issuer = JWT.read(reader);
        if !reader.is_set(file) && reader.is_set(JWT.issuer) {
            let flag = reader.flag(file);
            reader.mistake(JWT.issuer, format!("has no effect without {flag}"));
        }
        let policy = read_file(reader)?.with_tokens_in(token_in?);
        if policy.knows_jwts() && !reader.is_set(JWT.issuer) {
            let flag = reader.flag(JWT.issuer);
            let mistake = format!("its jwt-subjects and jwt-claims have no effect without {flag}");
            reader.mistake(file, mistake);
        }
        let ca = format!("{}.client-ca", comers::TLS.options);
        if policy.knows_certificates() && !reader.is_set(&ca) {
            let flag = reader.flag(&ca);
            let mistake = format!("its uris and dns-names have no effect without {flag}");
            reader.mistake(file, mistake);
        }
        Some(match issuer {
            Some(issuer) => policy.with_jwts_of(issuer),
            None => policy,
        })
    }
}

fn read_file(reader: &mut Reader<'_>) -> Option<CallersPolicy> {
    let path = CallersPolicy::FILE.path;
    let file = reader.secret_file(path)?;
    match CallersPolicy::parse(&file.contents) {
        Ok(policy) => {
            if policy.is_dry_run() {
                let (flag, file) = (reader.flag(path), file.path.display());
                reader.warn(format!(
                    "{flag}: {file} says dry-run: true, so nothing is refused"
                ));
            }
            if policy.is_empty() {
                let (flag, file) = (reader.flag(path), file.path.display());
                reader.warn(format!(
                    "{flag}: {file} names no caller, so nobody can call"
                ));
            }
            Some(policy)
        }
        Err(wrong) => {
            for wrong in wrong {
                reader.mistake(path, wrong);
            }
            None
        }
    }
}
