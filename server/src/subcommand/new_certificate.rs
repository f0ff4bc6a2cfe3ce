//! `new-certificate`: a certificate that an authority of one's own signs.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::{Arg, ArgAction, ArgMatches, Command};
use grpc_multiplexer_process::server_name;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use x509_parser::pem::parse_x509_pem;

use super::lifetime::{days, live};
use super::pair::Pair;
use super::say_made;

const AUTHORITY: &str = "AUTHORITY";
const NAME: &str = "NAME";
const FOR: &str = "FOR";
const REPLACE: &str = "replace";

pub(super) fn command() -> Command {
    let authority = Arg::new(AUTHORITY)
        .required(true)
        .help("Who signs: AUTHORITY.pem and AUTHORITY-key.pem, as new-authority makes them");
    let name = Arg::new(NAME)
        .required(true)
        .help("The certificate is written to NAME.pem, and its key to NAME-key.pem");
    let names = Arg::new(FOR)
        .required(true)
        .num_args(1..)
        .value_parser(alternative_name)
        .help(
            "Whom it is for: of a server each DNS name and IP address by which it is dialled, of an edge or a caller \
             what says who it is, such as spiffe://example.org/edge/rainbow",
        );
    let replace = Arg::new(REPLACE)
        .long(REPLACE)
        .action(ArgAction::SetTrue)
        .help("Replace files that are there; whoever uses them takes the new ones within seconds");
    Command::new("new-certificate")
        .about("Makes a certificate for a server, an edge or a caller")
        .args([authority, name, names, days("90"), replace])
}

pub(super) fn run(given: &ArgMatches) -> Result<(), String> {
    let text = |id| {
        given
            .get_one::<String>(id)
            .expect("clap requires one")
            .as_str()
    };
    let authority = Authority::read(&Pair::named(text(AUTHORITY)))?;
    let names = given.get_many::<SanType>(FOR).expect("clap requires one");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names.cloned().collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    let end = live(&mut params, given, Some(authority.end));
    let made = KeyPair::generate().and_then(|key| {
        let certificate = params.signed_by(&key, &authority.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    });
    let (certificate, key) = made.map_err(|error| format!("cannot make a certificate: {error}"))?;
    let pair = Pair::named(text(NAME));
    if given.get_flag(REPLACE) {
        pair.replace(&certificate, &key)?;
    } else {
        pair.is_new("give --replace to renew it")?;
        pair.write(&certificate, &key)?;
    }
    say_made(&pair, end)
}

/// What a certificate is for.
fn alternative_name(text: &str) -> Result<SanType, String> {
    let wrong = "is no DNS name, IP address, or URI such as spiffe://example.org/edge/rainbow";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let is_uri = text.contains("://") && text.bytes().all(|byte| byte.is_ascii_graphic());
    let ascii = || text.try_into().map_err(|_| wrong.to_owned());
    match server_name(text.strip_prefix("*.").unwrap_or(text)) {
        _ if is_uri => ascii().map(SanType::URI),
        Some(_) => ascii().map(SanType::DnsName),
        None => Err(wrong.to_owned()),
    }
}

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Nobody trusts what it signed after that.
    end: SystemTime,
}

impl Authority {
    fn read(pair: &Pair) -> Result<Self, String> {
        let key = KeyPair::from_pem(&read(&pair.key)?).map_err(|_| {
            let file = pair.key.display();
            format!("{file} holds no private key in PKCS #8; if it is another form of one: openssl pkey -in FILE -out FILE")
        })?;
        let file = pair.certificate.display();
        let text = read(&pair.certificate)?;
        let unusable = |why: &str| format!("{file} {why}");
        let (_, pem) =
            parse_x509_pem(text.as_bytes()).map_err(|_| unusable("holds no certificate in PEM"))?;
        let certificate = pem
            .parse_x509()
            .map_err(|_| unusable("holds no certificate that can be read"))?;
        if !certificate.is_ca() {
            return Err(unusable("is the certificate of no authority"));
        }
        if certificate.public_key().subject_public_key.data != key.der_bytes() {
            return Err(unusable(&format!(
                "has another key than {}",
                pair.key.display()
            )));
        }
        let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
        if end <= SystemTime::now() {
            return Err(unusable("has expired; make another authority"));
        }
        let issuer = Issuer::from_ca_cert_pem(&text, key)
            .map_err(|error| unusable(&format!("cannot be used: {error}")))?;
        Ok(Self { issuer, end })
    }
}

fn read(file: &Path) -> Result<String, String> {
    let told = |error| {
        let file = file.display();
        format!(
            "cannot read {file}: {error}; an authority is made by: grpc-multiplexer-server new-authority NAME"
        )
    };
    fs::read_to_string(file).map_err(told)
}
