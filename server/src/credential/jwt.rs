//! Client ids by JSON Web Tokens.

use grpc_multiplexer_tunnel::ClientId;

use super::{Grant, list};
use crate::jwt::{Jwt, JwtClaim, JwtDenied, JwtIssuer, Verified};

/// Whose JSON Web Tokens give edges client ids, and where in them those are.
#[derive(Debug, Clone)]
pub struct EdgeJwts {
    /// Who signs them, for whom.
    pub issuer: JwtIssuer,
    /// What holds the client ids: of `sub` its very text, and of any other a text or a list of texts, each of which is a
    /// client id, or what ids begin with and `*`.
    pub claim: JwtClaim,
}

/// Why an edge has not what it wants by a JWT.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeJwtDenied {
    #[error(
        "this server takes edges by JWT: give the edge --token-file with one, and no --tunnel-protocol legacy"
    )]
    Missing,
    #[error("this server takes edges by JWT, and what the edge's --token-file has is none")]
    Other,
    #[error("{0}; give the edge another one as --token-file")]
    Wrong(JwtDenied),
    #[error(
        "the client id '{id}' is not among those that the edge's JWT grants in its claim {claim}: {granted}; give the edge \
         one of those as --client-id, or a JWT that grants it"
    )]
    OtherId {
        id: ClientId,
        claim: JwtClaim,
        granted: String,
    },
}

impl EdgeJwts {
    /// Sees that what an edge shows has `id`, and says whom it is about.
    pub(super) fn admit(
        &self,
        shows_token: bool,
        jwt: Option<&Jwt>,
        id: &ClientId,
    ) -> Result<String, EdgeJwtDenied> {
        let jwt = match jwt {
            Some(jwt) => jwt
                .as_ref()
                .map_err(|denied| EdgeJwtDenied::Wrong(*denied))?,
            None if shows_token => return Err(EdgeJwtDenied::Other),
            None => return Err(EdgeJwtDenied::Missing),
        };
        let granted = self.granted(jwt);
        if granted.iter().any(|granted| granted.has(id)) {
            return Ok(jwt.subject().to_owned());
        }
        Err(EdgeJwtDenied::OtherId {
            id: id.clone(),
            claim: self.claim.clone(),
            granted: if granted.is_empty() {
                "none".to_owned()
            } else {
                list(&granted)
            },
        })
    }

    /// What is no client id grants nothing. Who may choose a name is not to choose a pattern, so a subject is none.
    fn granted(&self, jwt: &Verified) -> Vec<Grant> {
        let granted = jwt.says(&self.claim).into_iter();
        let granted = granted.filter_map(|text| Grant::parse(text).ok());
        let is_subject = self.claim.is_subject();
        granted
            .filter(|grant| !is_subject || matches!(grant, Grant::Exactly(_)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jwt::signer::{AUDIENCE, ISSUER, Signer, taken};

    fn admits(claim: &str, says: &Value, id: &str) -> Result<String, String> {
        let jwts = EdgeJwts {
            issuer: JwtIssuer::new(ISSUER, AUDIENCE, &Signer::new().jwks()).unwrap(),
            claim: claim.parse().unwrap(),
        };
        let admitted = jwts.admit(true, Some(&taken(says)), &id.parse().unwrap());
        admitted.map_err(|denied| denied.to_string())
    }

    #[test]
    fn a_jwt_grants_what_its_claim_holds() {
        let says = json!({
            "sub": "rainbow",
            "ids": ["kitchen-*", "garden", "no id", 1],
            "mux": {"id": "attic"},
        });
        for (claim, id, has) in [
            ("sub", "rainbow", true),
            ("sub", "kitchen-2", false),
            ("ids", "kitchen-2", true),
            ("ids", "garden", true),
            ("ids", "rainbow", false),
            ("ids", "no", false),
            ("/mux/id", "attic", true),
            ("/mux/id", "mux", false),
            ("mux", "attic", false),
        ] {
            let admitted = admits(claim, &says, id);
            assert_eq!(admitted.is_ok(), has, "{claim} {id} {admitted:?}");
        }
        assert_eq!(admits("ids", &says, "garden").unwrap(), "rainbow");
        let said = admits("ids", &says, "attic").unwrap_err();
        assert!(
            said.contains("in its claim ids: 'kitchen-*', 'garden';"),
            "{said}"
        );
    }

    /// Else whoever may choose a name could have every id.
    #[test]
    fn a_subject_is_no_pattern() {
        for sub in ["*", "rain*"] {
            assert!(admits("sub", &json!({ "sub": sub }), "rainbow").is_err());
            assert!(admits("ids", &json!({ "ids": sub }), "rainbow").is_ok());
        }
    }
}
