//! Values from environment variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::hidden::visible_bytes;
use super::leaves::Layer;
use super::mistakes::{Mistake, printable};
use super::suggest::did_you_mean;
use super::{Leaf, OptionSpec, Origin, Program, command::CONFIG};

/// The environment of a process, or what stands in its place in a test.
pub(super) type Variables = BTreeMap<OsString, OsString>;

impl Program {
    /// What `variables` say of options. An empty variable says nothing.
    pub(super) fn of_environment(&self, variables: &Variables) -> Layer {
        let mut layer = Layer::default();
        for option in self.options {
            let variable = self.variable(option.path);
            let Some(value) = given(variables, &variable) else {
                continue;
            };
            match value.to_str() {
                Some(value) => {
                    layer
                        .values
                        .insert(option.path, leaves(option, &variable, value));
                }
                None => layer.mistakes.push(Mistake::at(
                    format!("variable {variable}"),
                    format!("{}: the value must be UTF-8", visible_bytes(option, value)),
                )),
            }
        }
        layer
    }

    /// The configuration file that `variables` name, with the name of the variable.
    pub(super) fn file_of_environment(&self, variables: &Variables) -> Option<(PathBuf, Origin)> {
        let variable = self.variable(CONFIG);
        let file = PathBuf::from(given(variables, &variable)?);
        Some((file, Origin::Environment { variable }))
    }

    /// A warning for each of `variables` that is named as ours are, and is none.
    pub(super) fn unknown_variables(&self, variables: &Variables) -> Vec<String> {
        let prefix = self.prefix();
        let known: Vec<_> = self.variables().collect();
        let known: Vec<_> = known.iter().map(|name| &name[prefix.len()..]).collect();
        let warning = |name: &OsString| {
            let name = name.to_string_lossy();
            let rest = name.strip_prefix(&prefix)?;
            if known.contains(&rest) || is_of_kubernetes(rest) {
                return None;
            }
            let meant = did_you_mean(rest, known.iter().copied(), |near| {
                format!("{prefix}{near}")
            });
            Some(format!(
                "variable {}: unknown, ignored{meant}",
                printable(&name)
            ))
        };
        variables.keys().filter_map(warning).collect()
    }
}

/// A variable that is set and not empty.
fn given<'v>(variables: &'v Variables, name: &str) -> Option<&'v OsString> {
    variables
        .get(&OsString::from(name))
        .filter(|value| !value.is_empty())
}

fn leaves(option: &OptionSpec, variable: &str, value: &str) -> Vec<Leaf> {
    let leaf = |value: &str| Leaf {
        value: value.to_owned(),
        origin: Origin::Environment {
            variable: variable.to_owned(),
        },
    };
    if option.many {
        value.split(',').map(|one| leaf(one.trim())).collect()
    } else {
        vec![leaf(value)]
    }
}

/// Whether a variable, of which `rest` follows our prefix, is among those that Kubernetes sets in every container for a
/// service that is named as the program.
///
/// *Source:* <https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>, and
/// its example of Docker's older link variables.
pub(super) fn is_of_kubernetes(rest: &str) -> bool {
    matches!(rest, "SERVICE_HOST" | "PORT")
        || rest.starts_with("SERVICE_PORT")
        || rest.starts_with("PORT_")
}

#[cfg(test)]
mod tests {
    use super::super::tests::PROGRAM;
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let pair = |(name, value): &(&str, &str)| (name.into(), value.into());
        pairs.iter().map(pair).collect()
    }

    fn values(name: &str, value: &str) -> Vec<String> {
        let layer = PROGRAM.of_environment(&variables(&[(name, value)]));
        assert!(layer.mistakes.is_empty());
        let leaves = layer.values.into_values().flatten();
        leaves
            .map(|leaf| format!("{}: {}", leaf.origin, leaf.value))
            .collect()
    }

    #[test]
    fn a_variable_is_named_after_its_path_and_taken_as_it_is() {
        for (name, value) in [
            ("PROGRAM_CLIENT_ID", "0123"),
            ("PROGRAM_CLIENT_ID", " a, b "),
            ("PROGRAM_PROXY_TLS_CERTIFICATE", "c.pem"),
        ] {
            assert_eq!(values(name, value), [format!("variable {name}: {value}")]);
        }
    }

    #[test]
    fn commas_separate_the_values_of_an_option_of_several() {
        let wanted = ["a:1", "b:2", ""].map(|value| format!("variable PROGRAM_ADDRESS: {value}"));
        assert_eq!(values("PROGRAM_ADDRESS", "a:1, b:2,"), wanted);
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        assert_eq!(values("PROGRAM_CLIENT_ID", ""), [""; 0]);
        let file = PROGRAM.file_of_environment(&variables(&[("PROGRAM_CONFIG", "")]));
        assert_eq!(file, None);
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for name in [
            "CLIENT_ID",
            "program_client_id",
            "PROGRAM",
            "PROGRAMCLIENT_ID",
            "PROGRAM_CLIENT-ID",
        ] {
            assert_eq!(values(name, "a"), [""; 0], "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf8_is_a_mistake() {
        use std::os::unix::ffi::OsStringExt as _;

        let mut variables = Variables::new();
        variables.insert(
            "PROGRAM_CLIENT_ID".into(),
            OsString::from_vec(b"\xff".to_vec()),
        );
        let layer = PROGRAM.of_environment(&variables);
        assert_eq!(
            layer.mistakes[0].to_string(),
            r#"variable PROGRAM_CLIENT_ID: "\xFF": the value must be UTF-8"#
        );
    }

    #[test]
    fn an_unknown_variable_is_named_and_one_of_kubernetes_is_not() {
        let warned = |name: &str| PROGRAM.unknown_variables(&variables(&[(name, "a")]));
        assert_eq!(
            warned("PROGRAM_CLIENTID"),
            ["variable PROGRAM_CLIENTID: unknown, ignored; did you mean PROGRAM_CLIENT_ID?"]
        );
        assert_eq!(
            warned("PROGRAM_COLOUR"),
            ["variable PROGRAM_COLOUR: unknown, ignored"]
        );
        assert_eq!(warned("PROGRAM_CHECK_CONFIG").len(), 1);
        for ours in [
            "PROGRAM_CLIENT_ID",
            "PROGRAM_CONFIG",
            "PROGRAM_PROXY_TLS_CERTIFICATE",
        ] {
            assert_eq!(warned(ours), [""; 0], "{ours}");
        }
        for of_kubernetes in [
            "PROGRAM_PORT",
            "PROGRAM_PORT_7592_TCP",
            "PROGRAM_PORT_7592_TCP_ADDR",
            "PROGRAM_SERVICE_HOST",
            "PROGRAM_SERVICE_PORT",
            "PROGRAM_SERVICE_PORT_PROXY",
        ] {
            assert_eq!(warned(of_kubernetes), [""; 0], "{of_kubernetes}");
        }
        assert_eq!(warned("OTHER_COLOUR"), [""; 0]);
    }
}
