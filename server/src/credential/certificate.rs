//! Client ids by the names in certificates.

use std::fmt;
use std::str::FromStr;

use grpc_multiplexer_process::CertificateNames;
use grpc_multiplexer_tunnel::ClientId;

use super::list;

/// Where the client id stands in a pattern.
const ID: &str = "{id}";

/// How a name in a certificate spells a client id.
///
/// A pattern of a URI is matched exactly, and only in certificates with one URI, which is who they are, that may sign no
/// others. In one of DNS names
/// capitals do not count, so the ids that it grants have none, and `{id}` is one label: whoever has a domain may
/// give away what is below it. *Source:* SPIFFE X509-SVID, sections 2 and 5.2.
///
/// ```
/// use grpc_multiplexer_server::CertificateIds;
///
/// for pattern in ["spiffe://example.org/edge/{id}", "{id}.edges.example.org"] {
///     assert!(pattern.parse::<CertificateIds>().is_ok());
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIds {
    kind: Kind,
    before: String,
    after: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uri,
    Dns,
}

/// The text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have {{id}} once, in the path of a URI as in spiffe://example.org/edge/{{id}}, or in a DNS name as in \
     {{id}}.edges.example.org"
)]
pub struct CertificateIdsError;

impl FromStr for CertificateIds {
    type Err = CertificateIdsError;

    fn from_str(text: &str) -> Result<Self, CertificateIdsError> {
        let (before, after) = text.split_once(ID).ok_or(CertificateIdsError)?;
        let kind = kind(before, after).ok_or(CertificateIdsError)?;
        let as_matched = |part: &str| match kind {
            Kind::Uri => part.to_owned(),
            Kind::Dns => part.to_ascii_lowercase(),
        };
        Ok(Self {
            kind,
            before: as_matched(before),
            after: as_matched(after),
        })
    }
}

fn kind(before: &str, after: &str) -> Option<Kind> {
    let mut both = before.bytes().chain(after.bytes());
    let Some((scheme, rest)) = before.split_once(':') else {
        let is_of_dns = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        return both.all(is_of_dns).then_some(Kind::Dns);
    };
    // Who a URI is of stands before its path.
    let has_authority = rest
        .strip_prefix("//")
        .is_none_or(|rest| rest.find('/').is_some_and(|length| length > 0));
    let is_of_uri = |byte: u8| byte.is_ascii_graphic() && !b"{}".contains(&byte);
    (!scheme.is_empty() && has_authority && both.all(is_of_uri)).then_some(Kind::Uri)
}

impl CertificateIds {
    /// The name that gives `id` to a certificate which has `names`.
    pub(super) fn admit(
        &self,
        names: &CertificateNames,
        id: &ClientId,
    ) -> Result<String, NotGranted> {
        let granted: Vec<_> = self.granted(names).collect();
        if granted.contains(id)
            && let Some(name) = self.name(id)
        {
            return Ok(name);
        }
        Err(NotGranted {
            id: id.clone(),
            granted,
            has_several: self.kind == Kind::Uri && names.uris.len() > 1,
            signs: self.kind == Kind::Uri && names.signs,
            needed: self.name(id).map(|name| (self.kind, name)),
        })
    }

    fn granted(&self, names: &CertificateNames) -> impl Iterator<Item = ClientId> {
        let names = match (self.kind, &names.uris[..]) {
            (Kind::Dns, _) => &names.dns[..],
            (Kind::Uri, [only]) if !names.signs => std::slice::from_ref(only),
            (Kind::Uri, _) => &[],
        };
        names.iter().filter_map(|name| self.id(name))
    }

    /// The id that a name grants.
    fn id(&self, name: &str) -> Option<ClientId> {
        let name = match self.kind {
            Kind::Uri => name.to_owned(),
            Kind::Dns => name.to_ascii_lowercase(),
        };
        let id = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let id = id.parse().ok()?;
        (self.name(&id)? == name).then_some(id)
    }

    /// The name that grants an id; `None` where none can.
    fn name(&self, id: &ClientId) -> Option<String> {
        let is_label = |id: &str| id.bytes().all(|b| b != b'.' && !b.is_ascii_uppercase());
        if self.kind == Kind::Dns && !is_label(id.as_str()) {
            return None;
        }
        Some(format!("{}{id}{}", self.before, self.after))
    }
}

/// A certificate that does not grant what its edge wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotGranted {
    id: ClientId,
    granted: Vec<ClientId>,
    /// Whether it has several URIs.
    has_several: bool,
    /// Whether it may sign others.
    signs: bool,
    needed: Option<(Kind, String)>,
}

impl std::error::Error for NotGranted {}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client id '{}' is not ", self.id)?;
        match &self.granted[..] {
            [] if self.has_several => f.write_str("granted by a certificate with several URIs")?,
            [] if self.signs => f.write_str("granted by a certificate that may sign others")?,
            [] => f.write_str("granted by the edge's certificate, nor is another")?,
            ids => {
                let ids = list(ids);
                write!(f, "among those that the edge's certificate grants: {ids}")?;
            }
        }
        match &self.needed {
            Some((Kind::Uri, name)) => write!(f, "; it needs one with the URI {name} and no other"),
            Some((Kind::Dns, name)) => write!(f, "; it needs one with the DNS name {name}"),
            None => f.write_str("; no DNS name grants an id with capitals or dots"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(uris: &[&str], dns: &[&str]) -> CertificateNames {
        let [uris, dns] = [uris, dns].map(|names| names.iter().map(ToString::to_string).collect());
        let mut names = CertificateNames::default();
        (names.uris, names.dns) = (uris, dns);
        names
    }

    fn granted(pattern: &str, uris: &[&str], dns: &[&str]) -> Vec<String> {
        let pattern: CertificateIds = pattern.parse().unwrap();
        let names = names(uris, dns);
        let granted = pattern.granted(&names);
        granted.map(|id| id.to_string()).collect()
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "id",
            "{id",
            "{id}{id}",
            "{id}.{id}.test",
            "{ID}.test",
            "{id}.te st",
            "{id}/a",
            "a/{id}",
            "://{id}",
            "spiffe://{id}",
            "spiffe://{id}/edge",
            "spiffe:///{id}",
            "spiffe://test/{id}/{x}",
            "spiffe://te st/{id}",
            "{id}://test",
            "täst:{id}",
        ] {
            assert_eq!(
                text.parse::<CertificateIds>(),
                Err(CertificateIdsError),
                "{text}"
            );
        }
        for text in [
            "{id}",
            "edge-{id}.test",
            "urn:edge:{id}",
            "a://b/c/{id}/d?e",
        ] {
            assert!(text.parse::<CertificateIds>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_uri_grants_its_id_where_it_is_the_only_one() {
        let pattern = "spiffe://test/edge/{id}";
        let right = "spiffe://test/edge/Rain.bow";
        assert_eq!(granted(pattern, &[right], &["other.test"]), ["Rain.bow"]);
        for wrong in [
            "spiffe://test/edge/",
            "spiffe://test/edge/a/b",
            "spiffe://test/edge/a%2fb",
            "spiffe://test/edge/../a",
            "spiffe://TEST/edge/a",
            "spiffe://test.evil/edge/a",
            "x-spiffe://test/edge/a",
            "spiffe://test/edge/*",
        ] {
            assert!(granted(pattern, &[wrong], &[right]).is_empty(), "{wrong}");
        }
        for several in [[right, right], [right, "https://other.test"]] {
            assert!(granted(pattern, &several, &[]).is_empty());
        }
        let mut signs = names(&[right], &[]);
        signs.signs = true;
        let pattern: CertificateIds = pattern.parse().unwrap();
        let denied = pattern.admit(&signs, &"Rain.bow".parse().unwrap());
        let said = denied.unwrap_err().to_string();
        assert!(
            said.contains("a certificate that may sign others"),
            "{said}"
        );
    }

    #[test]
    fn dns_names_grant_one_label_each_in_lower_case() {
        let pattern = "{id}.Edges.test";
        let all = ["rainbow.edges.test", "KITCHEN.EDGES.TEST", "other.test"];
        assert_eq!(
            granted(pattern, &["x:a.edges.test"], &all),
            ["rainbow", "kitchen"]
        );
        for wrong in [
            ".edges.test",
            "edges.test",
            "*.edges.test",
            "a.b.edges.test",
            "a.edges.test.",
            "a.edges.test.evil",
            "aXedges.test",
        ] {
            assert!(granted(pattern, &[], &[wrong]).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn who_is_not_granted_an_id_is_told_what_is_granted_and_needed() {
        let said = |pattern: &str, names: &CertificateNames, id: &str| {
            let pattern: CertificateIds = pattern.parse().unwrap();
            let denied = pattern.admit(names, &id.parse().unwrap());
            denied.unwrap_err().to_string()
        };
        let (uri, dns) = ("spiffe://test/{id}", "{id}.test");
        assert_eq!(
            said(uri, &names(&["spiffe://test/kitchen"], &[]), "rainbow"),
            "the client id 'rainbow' is not among those that the edge's certificate grants: 'kitchen'; it needs one with \
             the URI spiffe://test/rainbow and no other"
        );
        assert_eq!(
            said(uri, &names(&[], &[]), "rainbow"),
            "the client id 'rainbow' is not granted by the edge's certificate, nor is another; it needs one with the URI \
             spiffe://test/rainbow and no other"
        );
        let several = names(&["spiffe://test/rainbow", "a:b"], &[]);
        assert!(said(uri, &several, "rainbow").contains("a certificate with several URIs"));
        let many: Vec<_> = (0..8).map(|number| format!("a{number}.test")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(said(dns, &names(&[], &many), "rainbow").ends_with(
            "'a0', 'a1', 'a2', 'a3', 'a4' and 3 more; it needs one with the DNS name rainbow.test"
        ));
        let capital = said(dns, &names(&[], &["rainbow.test"]), "Rainbow");
        assert!(capital.ends_with("no DNS name grants an id with capitals or dots"));
    }
}
