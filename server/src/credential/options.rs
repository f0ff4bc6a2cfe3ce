//! The options of who an edge must be.

use std::path::Path;

use grpc_multiplexer_process::{Exposure, HostPort, OptionSpec, Reader};

use super::{EdgeJwts, Enrolled, Grants, Keys, Tokens, WrongLine};
use crate::edge::comers;
use crate::jwt::{JwtTerms, read_claim};
use crate::state_dir;

/// Where whose JWTs edges may show is described.
const JWT: JwtTerms = JwtTerms {
    issuer: Grants::JWT_ISSUER.path,
    audience: Grants::JWT_AUDIENCE.path,
    keys: Grants::JWT_KEYS.path,
    ca: Grants::JWT_KEYS_CA.path,
};

impl Grants {
    /// By each of which an edge is asked who it is.
    pub(crate) const ALL: [&str; 5] = [
        Self::CERTIFICATE_ID.path,
        Self::TOKENS.path,
        Self::KEYS.path,
        Self::ENROLMENT.path,
        Self::JWT_ISSUER.path,
    ];

    /// The pattern of names in certificates.
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

    /// The file of tokens.
    pub(crate) const TOKENS: OptionSpec = OptionSpec {
        path: "edges-tokens",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "File of the tokens of edges, which no other user may be able to read; on each line the SHA-256 of one, and \
               the client ids that it grants, or what they begin with and *, and methods if its edge is to serve no others. \
               With it an edge must show one of them, or a \
               certificate that --edges-certificate-id takes. Read again when it changes",
    };

    /// The file of keys.
    pub(crate) const KEYS: OptionSpec = OptionSpec {
        path: "edges-keys",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "File of the keys of edges; on each line the client ids that a key grants, or what they begin with and *, methods if \
               its edge is to serve no others, and the key, as it stands in the .pub file that ssh-keygen -t ed25519 makes. With it an edge must prove that it \
               has one of them, or show what another of these options takes. Read again when it changes",
    };

    /// The file of tokens that are exchanged for keys.
    pub(crate) const ENROLMENT: OptionSpec = OptionSpec {
        path: "edges-enrolment",
        value_name: "FILE",
        default: None,
        many: false,
        secret: false,
        reload: true,
        help: "File of tokens as of --edges-tokens, each of which an edge exchanges once for its own key, as the one client \
               id that it comes with; needs --state-dir, where that is written down. With it an edge must prove that it has \
               such a key, or show what another of these options takes. Read again when it changes",
    };

    /// Whose JWTs edges may show.
    pub(crate) const JWT_ISSUER: OptionSpec = JwtTerms::issuer(
        "edges-jwt-issuer",
        "Who signs JSON Web Tokens of edges, as it stands in them (iss). With it an edge must show one that grants its client \
         id, or what the other options of edges take; needs --edges-jwt-audience and --edges-jwt-keys",
    );

    /// For whom they are.
    pub(crate) const JWT_AUDIENCE: OptionSpec = JwtTerms::audience("edges-jwt-audience");

    /// The issuer's keys.
    pub(crate) const JWT_KEYS: OptionSpec = JwtTerms::keys("edges-jwt-keys");

    /// Whom to trust where those are fetched.
    pub(crate) const JWT_KEYS_CA: OptionSpec = JwtTerms::ca("edges-jwt-keys-ca");

    /// What in a JWT grants client ids.
    pub(crate) const JWT_CLAIM: OptionSpec = JwtTerms::claim(
        "edges-jwt-claim",
        "What in a JSON Web Token of an edge grants client ids: sub, whose text is the only one, or another claim, or the way \
         to one within others as in /realm_access/roles, which has ids, or what they begin with and *",
    );

    /// Where the keys come from, for all to read on the way, if they do; and whose ids are, where whoever has a certificate for
    /// the listener at `anybodys` may take any.
    pub(crate) fn look(
        &self,
        reader: &Reader<'_>,
        exposure: &mut Exposure,
        anybodys: Option<&HostPort>,
    ) {
        if let Some(issuer) = self.jwt_issuer() {
            JWT.look(issuer, reader, exposure);
        }
        if let Some(listener) = anybodys {
            let what = "client ids, any of which whoever has a certificate may take";
            let grants = Self::ALL.map(|option| reader.flag(option));
            exposure.claimed(what, listener, &grants.join(" or "));
        }
    }

    /// Reads them, together with what was written down in `state_dir`. Mistakes are kept by `reader`.
    pub(crate) fn read(reader: &mut Reader<'_>, state_dir: Option<&Path>) -> Self {
        let path = Self::CERTIFICATE_ID.path;
        let certificate_ids = reader.optional(path, str::parse);
        let ca = format!("{}.client-ca", comers::TLS.options);
        if reader.is_set(path) && !reader.is_set(&ca) {
            let flag = reader.flag(&ca);
            reader.mistake(path, format!("has no effect without {flag}"));
        }
        Self {
            certificate_ids,
            tokens: read_tokens(reader),
            keys: read_keys(reader),
            enrolment: read_enrolment(reader, state_dir),
            jwts: read_jwts(reader),
        }
    }
}

fn read_jwts(reader: &mut Reader<'_>) -> Option<EdgeJwts> {
    let claim = read_claim(reader, Grants::JWT_CLAIM.path, &JWT);
    let issuer = JWT.read(reader)?;
    Some(EdgeJwts {
        issuer,
        claim: claim?,
    })
}

fn read_tokens(reader: &mut Reader<'_>) -> Option<Tokens> {
    read_tokens_of(reader, Grants::TOKENS.path, "show")
}

/// Who enrolled stays so, and is asked for its key, when the option is taken back.
fn read_enrolment(reader: &mut Reader<'_>, state_dir: Option<&Path>) -> Option<Tokens> {
    let path = Grants::ENROLMENT.path;
    let place = state_dir::OPTION.path;
    if reader.is_set(path) && !reader.is_set(place) {
        let flag = reader.flag(place);
        let reason =
            format!("give {flag} as well, with a folder where it is written down who enrolled");
        reader.mistake(path, reason);
    }
    if let Some(dir) = state_dir {
        let _ = Enrolled::check(dir).map_err(|error| reader.mistake(place, error));
    }
    if reader.is_set(path) {
        return read_tokens_of(reader, path, "enrol with");
    }
    state_dir
        .is_some_and(Enrolled::has_been_at)
        .then(Tokens::default)
}

fn read_tokens_of(reader: &mut Reader<'_>, path: &str, what_for: &str) -> Option<Tokens> {
    let file = reader.secret_file(path)?;
    let tokens = right(reader, path, Tokens::parse(&file.contents))?;
    if tokens.is_empty() {
        let (flag, file) = (reader.flag(path), file.path.display());
        reader.warn(format!(
            "{flag}: there is no token in {file}, so no edge can {what_for} one"
        ));
    }
    Some(tokens)
}

fn read_keys(reader: &mut Reader<'_>) -> Option<Keys> {
    let path = Grants::KEYS.path;
    let file = reader.file(path)?;
    let keys = right(reader, path, Keys::parse(&file.contents))?;
    if keys.is_empty() {
        let (flag, file) = (reader.flag(path), file.path.display());
        reader.warn(format!(
            "{flag}: there is no key in {file}, so no edge can have one"
        ));
    }
    Some(keys)
}

/// What a file says, where none of its lines is wrong.
fn right<T>(reader: &mut Reader<'_>, path: &str, parsed: Result<T, Vec<WrongLine>>) -> Option<T> {
    match parsed {
        Ok(parsed) => Some(parsed),
        Err(wrong) => {
            for line in wrong {
                reader.mistake(path, line);
            }
            None
        }
    }
}
