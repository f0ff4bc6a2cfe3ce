//! What is taken, what is taken no more, and what is kept of it.

use serde_json::{Value, json};

use super::super::cache::MOST;
use super::super::signer::{AUDIENCE, ISSUER, Signer};
use super::*;
use crate::credential::EdgeJwts;

fn settings(signer: &Signer, issuer: &str) -> Settings {
    let mut settings = Settings::default();
    settings.edges.jwts = Some(EdgeJwts {
        issuer: JwtIssuer::new(issuer, AUDIENCE, &signer.jwks()).unwrap(),
        claim: "sub".parse().unwrap(),
    });
    settings
}

fn verifier(settings: &Settings) -> Verifier {
    let live = Live::Fixed(Box::new(settings.clone()));
    Verifier::of_edges(live, KeyFetches::default())
}

fn says(left: i64) -> Value {
    let end = i64::try_from(now().as_secs()).unwrap() + left;
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "rainbow", "exp": end})
}

async fn verify(verifier: &Verifier, token: &str) -> Option<Jwt> {
    let token = token.as_bytes();
    verifier.verify(Digest::of(token), token).await
}

#[tokio::test]
async fn what_was_taken_is_looked_at_again_by_the_settings_in_force() {
    let (signer, other) = (Signer::new(), Signer::new());
    let first = settings(&signer, ISSUER);
    let verifier = verifier(&first);
    let jwt = verify(&verifier, &signer.signs(&says(60))).await.unwrap();
    assert_eq!(jwt.as_ref().unwrap().subject(), "rainbow");
    assert!(verifier.again(&first, &jwt).is_ok());
    for (settings, wanted) in [
        (settings(&other, ISSUER), JwtDenied::UnknownKey),
        (settings(&signer, "https://other.test"), JwtDenied::Issuer),
    ] {
        assert_eq!(verifier.again(&settings, &jwt), Err(wanted));
    }
    let opaque = verify(&verifier, "no.jwt").await;
    assert_eq!(opaque, None);
    let nobody = Live::Fixed(Box::default());
    let unasked = Verifier::of_edges(nobody, KeyFetches::default());
    assert_eq!(verify(&unasked, &signer.signs(&says(60))).await, None);
}

/// A token that is kept is not taken longer than any other.
#[tokio::test]
async fn a_token_that_is_kept_ends_when_its_time_is_over() {
    let signer = Signer::new();
    let verifier = verifier(&settings(&signer, ISSUER));
    let token = signer.signs(&says(60));
    let jwt = verify(&verifier, &token).await.unwrap().unwrap();
    let digest = Digest::of(token.as_bytes());
    let over = Verified {
        claims: json!({"iss": ISSUER, "aud": AUDIENCE})
            .as_object()
            .unwrap()
            .clone()
            .into(),
        key: jwt.key,
        end: now(),
    };
    verifier.cache.put(digest, Arc::new(over));
    // So it is checked anew, and that one is good.
    assert_eq!(verify(&verifier, &token).await.unwrap().unwrap(), jwt);
    assert_eq!(verifier.cache.get(&digest).unwrap(), jwt);
}

#[tokio::test]
async fn no_more_tokens_are_kept_than_there_is_room_for() {
    let signer = Signer::new();
    let verifier = verifier(&settings(&signer, ISSUER));
    for number in 0..MOST + 10 {
        let mut says = says(60);
        says["jti"] = json!(number);
        let jwt = verify(&verifier, &signer.signs(&says)).await.unwrap();
        assert!(jwt.is_ok());
    }
    assert_eq!(verifier.cache.len(), MOST);
    // What is refused is not kept.
    let expired = verify(&verifier, &signer.signs(&says(-31))).await;
    assert_eq!(expired, Some(Err(JwtDenied::Expired)));
    assert_eq!(verifier.cache.len(), MOST);
}

#[tokio::test(start_paused = true)]
async fn who_holds_a_token_is_woken_at_its_end_and_by_other_keys() {
    let signer = Signer::new();
    let verifier = verifier(&settings(&signer, ISSUER));
    let jwt = verify(&verifier, &signer.signs(&says(-20))).await;
    // The paused clock jumps to the next thing that happens.
    let begun = Instant::now();
    verifier.changes(jwt.as_ref()).await;
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_secs(8) && waited <= Duration::from_secs(10),
        "{waited:?}"
    );
    let far = verify(&verifier, &signer.signs(&says(3600))).await;
    let changes = verifier.changes(far.as_ref());
    verifier.fetched.send_replace(None);
    let begun = Instant::now();
    changes.await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Nothing changes for who shows no token, or one that is not taken.
    for nothing in [None, Some(Err(JwtDenied::Expired))] {
        let changes = timeout(10 * LOOK, verifier.changes(nothing.as_ref()));
        assert!(changes.await.is_err());
    }
}

#[tokio::test]
async fn nothing_of_a_token_is_in_what_is_kept() {
    let signer = Signer::new();
    let verifier = verifier(&settings(&signer, ISSUER));
    let jwt = verify(&verifier, &signer.signs(&says(60))).await.unwrap();
    assert_eq!(format!("{jwt:?}"), "Ok(Verified(secret))");
    assert!(!format!("{verifier:?}").contains("rainbow"));
}
