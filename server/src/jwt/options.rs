//! The options of an issuer, which are the same for edges and for callers.

use std::sync::Arc;

use grpc_multiplexer_process::{Exposure, NamedFile, OptionSpec, Reader, authorities_of};

use super::issuer::KeySource;
use super::keys::Keys;
use super::{JwtClaim, JwtIssuer};
use crate::http1;
use crate::url::{self, Url};

/// At which options the description of an issuer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JwtTerms {
    pub(crate) issuer: &'static str,
    pub(crate) audience: &'static str,
    pub(crate) keys: &'static str,
    pub(crate) ca: &'static str,
}

const fn row(path: &'static str, value_name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec {
        path,
        value_name,
        default: None,
        many: false,
        secret: false,
        reload: true,
        help,
    }
}

/// The rows of option tables.
impl JwtTerms {
    pub(crate) const fn issuer(path: &'static str, help: &'static str) -> OptionSpec {
        row(path, "ISSUER", help)
    }

    pub(crate) const fn audience(path: &'static str) -> OptionSpec {
        row(
            path,
            "AUDIENCE",
            "What these JSON Web Tokens must have among their audiences (aud), so that none is taken that was made for another \
             service",
        )
    }

    pub(crate) const fn keys(path: &'static str) -> OptionSpec {
        row(
            path,
            "FILE|URL",
            "The issuer's public keys: a JWKS file, which is read again when it changes, or the https:// URL of one, which \
             is fetched every 5m, and when a token is signed by a key that is not known",
        )
    }

    pub(crate) const fn ca(path: &'static str) -> OptionSpec {
        row(
            path,
            "FILE|system",
            "PEM file of the authorities that sign certificates of the server of that URL; without it those that the system \
             trusts",
        )
    }

    pub(crate) const fn claim(path: &'static str, help: &'static str) -> OptionSpec {
        OptionSpec {
            default: Some("sub"),
            ..row(path, "CLAIM", help)
        }
    }
}

impl JwtTerms {
    /// Reads the options; `None` where there is no issuer, and with a mistake, which `reader` keeps.
    pub(crate) fn read(&self, reader: &mut Reader<'_>) -> Option<JwtIssuer> {
        let name = reader.optional(self.issuer, filled);
        let audience = reader.optional(self.audience, filled);
        let keys = self.read_keys(reader);
        let needed = [self.issuer, self.audience, self.keys];
        let missing: Vec<_> = needed
            .into_iter()
            .filter(|path| !reader.is_set(path))
            .collect();
        if let Some(given) = needed.into_iter().find(|path| reader.is_set(path)) {
            for path in missing {
                let flag = reader.flag(path);
                reader.mistake(given, format!("needs {flag} as well"));
            }
        }
        Some(JwtIssuer {
            name: name?,
            audience: audience?,
            keys: keys?,
        })
    }

    /// Looks at how the keys of an issuer that was read here come.
    pub(crate) fn look(&self, issuer: &JwtIssuer, reader: &Reader<'_>, exposure: &mut Exposure) {
        if let Some(url) = issuer.url().filter(|url| !url.is_secure()) {
            exposure.fetched(reader, self.keys, url.host());
        }
    }

    fn read_keys(&self, reader: &mut Reader<'_>) -> Option<KeySource> {
        let url = reader.optional(self.keys, |text| match url::is_url(text) {
            true => text.parse::<Url>().map(Some),
            false => Ok(None),
        });
        let is_secure = matches!(&url, Some(Some(url)) if url.is_secure());
        if reader.is_set(self.ca) && !is_secure {
            let flag = reader.flag(self.keys);
            reader.mistake(
                self.ca,
                format!("has no effect without an https:// URL as {flag}"),
            );
        }
        match url {
            Some(Some(url)) if url.is_secure() => {
                let tls = authorities_of(reader, self.ca, http1::ALPN)?;
                Some(KeySource::At(url.with_tls(tls)))
            }
            Some(Some(url)) => Some(KeySource::At(url)),
            Some(None) => self.read_file(reader),
            None => None,
        }
    }

    fn read_file(&self, reader: &mut Reader<'_>) -> Option<KeySource> {
        let NamedFile { contents, .. } = reader.file(self.keys)?;
        let keys = Keys::parse(&contents);
        let keys = keys
            .map_err(|wrong| reader.mistake(self.keys, wrong))
            .ok()?;
        Some(KeySource::Here(Arc::new(keys)))
    }
}

/// Reads an option of a claim, which needs an issuer.
pub(crate) fn read_claim(
    reader: &mut Reader<'_>,
    path: &str,
    terms: &JwtTerms,
) -> Option<JwtClaim> {
    let claim: Option<JwtClaim> = reader.one(path, str::parse);
    let is_other = claim
        .as_ref()
        .is_some_and(|claim| *claim != JwtClaim::default());
    if is_other && !reader.is_set(terms.issuer) {
        let flag = reader.flag(terms.issuer);
        reader.mistake(path, format!("has no effect without {flag}"));
    }
    claim
}

fn filled(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("must not be empty; it is compared exactly");
    }
    Ok(text.to_owned())
}
