//! What a hook is told that edges and callers show of who they are.

use grpc_multiplexer_proto::hooks::v1::Credentials;
use grpc_multiplexer_tests::signer::{AUDIENCE, ISSUER, Signer, jwks, says};
use grpc_multiplexer_tests::{Authority, Caller, Edge, Folder, KEYS, Mux};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::hook::Hook;
use crate::{NOBODY, server, yes};

const URI: &str = "spiffe://example.org/shop/rainbow";
const DNS: [&str; 2] = ["rainbow.test", "shop.test"];

/// Files, and who signs certificates and tokens.
struct Pki {
    folder: Folder,
    authority: Authority,
    signer: Signer,
    ca: String,
}

impl Pki {
    fn new() -> Self {
        let (folder, authority) = (Folder::new("hooks-shown"), Authority::new("shown"));
        let signer = Signer::new("a");
        folder.put("keys.json", jwks(&[&signer]));
        let ca = folder.put("ca.pem", authority.pem());
        Self {
            folder,
            authority,
            signer,
            ca,
        }
    }

    /// A server with a hook, whose listener asks for certificates, and which takes tokens of the signer.
    async fn server(&self, hook: &Hook, listener: &str, further: &[&str]) -> Mux {
        let leaf = self.authority.signs("127.0.0.1");
        let [certificate, key] = leaf.put(&self.folder, listener);
        let keys = self.folder.0.join("keys.json");
        let whose = if listener == "proxy" {
            "callers"
        } else {
            "edges"
        };
        let options = [
            format!("--{listener}-tls-certificate={certificate}"),
            format!("--{listener}-tls-key={key}"),
            format!("--{listener}-tls-client-ca={}", self.ca),
            format!("--{whose}-jwt-issuer={ISSUER}"),
            format!("--{whose}-jwt-audience={AUDIENCE}"),
            format!("--{whose}-jwt-keys={}", keys.display()),
        ];
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        server(hook.address, &[&options, further].concat()).await
    }
}

/// What is always shown.
fn certificate() -> Credentials {
    Credentials {
        certificate_uris: vec![URI.to_owned()],
        certificate_dns_names: DNS.map(str::to_owned).to_vec(),
        ..Credentials::default()
    }
}

/// The same beside a token that says this, whose claims are as good as their text.
fn is_beside_token(told: Credentials, principal: &str, token: &str, claims: &Value) {
    let said: Value = serde_json::from_str(&told.jwt_claims).unwrap();
    assert_eq!(said, *claims);
    let sha256 = digest(&SHA256, token.as_bytes());
    let hex = sha256.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let wanted = Credentials {
        principal: principal.to_owned(),
        token_sha256: hex.collect(),
        jwt_claims: told.jwt_claims.clone(),
        ..certificate()
    };
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_hook_is_told_of_the_certificate_the_key_and_the_claims_of_an_edge() {
    let pki = Pki::new();
    let hook = Hook::saying(yes()).await;
    let keys = format!("rainbow {}\n", KEYS[0].public);
    let keys = format!("--edges-keys={}", pki.folder.put("edges-keys", keys));
    let mux = pki.server(&hook, "multiplexer", &[&keys]).await;
    let leaf = pki.authority.signs_all(&[URI, DNS[0], DNS[1]]);
    let [certificate_file, key_file] = leaf.put(&pki.folder, "edge");
    let tls = [
        format!("--multiplexer-tls-ca={}", pki.ca),
        format!("--multiplexer-tls-certificate={certificate_file}"),
        format!("--multiplexer-tls-key={key_file}"),
    ];
    let told = async |shows: &str| {
        let shows: Vec<_> = tls.iter().map(String::as_str).chain([shows]).collect();
        let mut edge = Edge::dialling(mux.multiplexer, "rainbow", NOBODY, &shows);
        edge.says(" connected ").await;
        edge.kill().await;
        hook.asked().pop().unwrap().credentials.unwrap()
    };

    let key = pki.folder.put_secret("key", KEYS[0].private);
    let wanted = Credentials {
        principal: format!("key {}", KEYS[0].fingerprint),
        key_fingerprint: KEYS[0].fingerprint.to_owned(),
        ..certificate()
    };
    assert_eq!(told(&format!("--key-file={key}")).await, wanted);

    let claims = says("rainbow", 3600);
    let token = pki.signer.signs(&claims);
    let file = pki.folder.put_secret("token", &token);
    let told = told(&format!("--token-file={file}")).await;
    is_beside_token(told, "jwt rainbow", &token, &claims);
}

#[tokio::test]
async fn a_hook_is_told_of_the_certificate_and_the_claims_of_a_caller() {
    let pki = Pki::new();
    let hook = Hook::of_callers(|_| Ok(yes())).await;
    let policy = format!(
        "callers:
  by-uri: {{uris: ['{URI}'], sees: ['*']}}
  by-jwt: {{jwt-subjects: [svc-billing], sees: ['*']}}
"
    );
    let policy = pki.folder.put_secret("policy.yaml", policy);
    let policy = format!("--callers-policy={policy}");
    let further = ["--hooks-for=callers", &*policy];
    let mux = pki.server(&hook, "proxy", &further).await;
    let leaf = pki.authority.signs_all(&[URI, DNS[0], DNS[1]]);
    let caller = Caller::secure(mux.proxy, pki.authority.client(Some(&leaf), &["h2"]));
    let caller = caller.await.unwrap();
    let told = async |metadata: &[(&str, &str)]| {
        let check = "/grpc.health.v1.Health/Check";
        let answer = caller.call(check, metadata, &[0; 5]).await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        let told = hook.callers().pop().unwrap();
        (told.name, told.credentials.unwrap())
    };
    assert_eq!(told(&[]).await, ("by-uri".to_owned(), certificate()));

    let claims = says("svc-billing", 3600);
    let token = pki.signer.signs(&claims);
    let shown = format!("Bearer {token}");
    let (name, told) = told(&[("proxy-authorization", &shown)]).await;
    assert_eq!(name, "by-jwt");
    is_beside_token(told, "", &token, &claims);
}
