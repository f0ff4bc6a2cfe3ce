//! `new-authority`: who signs certificates of one's own.

use clap::{Arg, ArgMatches, Command};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::lifetime::{days, live};
use super::pair::Pair;
use super::say_made;

const NAME: &str = "NAME";

pub(super) fn command() -> Command {
    let name = Arg::new(NAME)
        .required(true)
        .help("The certificate is written to NAME.pem, and its key to NAME-key.pem; there must be no such files yet");
    Command::new("new-authority")
        .about("Makes an authority of your own, which signs what new-certificate makes")
        .args([name, days("3650")])
        .after_help(
            "NAME.pem is for the options that end in -ca. Whoever has NAME-key.pem can come as anybody: keep it where \
             no server, edge or caller runs.",
        )
}

pub(super) fn run(given: &ArgMatches) -> Result<(), String> {
    let name = given.get_one::<String>(NAME).expect("clap requires one");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let end = live(&mut params, given, None);
    let made = KeyPair::generate()
        .and_then(|key| Ok((params.self_signed(&key)?.pem(), key.serialize_pem())));
    let (certificate, key) = made.map_err(|error| format!("cannot make a certificate: {error}"))?;
    let pair = Pair::named(name);
    pair.is_new("take another name")?;
    pair.write(&certificate, &key)?;
    say_made(&pair, end)
}
