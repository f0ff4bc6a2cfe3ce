//! Configuration of both programs: a file, an environment and a command line of any text.

#![no_main]

use std::ffi::OsString;

use arbitrary::Arbitrary;
use grpc_multiplexer_client::{self as client, EdgeConfig};
use grpc_multiplexer_process::fuzzing::{leaves, printed};
use grpc_multiplexer_process::{Leaves, Program, Reader};
use grpc_multiplexer_server::{self as server, ServerConfig};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    is_edge: bool,
    variables: Vec<(u8, &'a str)>,
    flags: Vec<(u8, &'a str)>,
    file: &'a str,
}

fuzz_target!(|input: Input| {
    let program = if input.is_edge {
        &client::PROGRAM
    } else {
        &server::PROGRAM
    };
    let Ok(given) = given(program, &input) else {
        return;
    };
    let is_right = if input.is_edge {
        is_right(&given, EdgeConfig::read)
    } else {
        is_right(&given, ServerConfig::read)
    };
    // Where there are mistakes, these are told instead.
    if is_right {
        prints_as_it_is(program, &given);
    }
});

fn given(program: &'static Program, input: &Input<'_>) -> Result<Leaves, ()> {
    let option = |place: u8| &program.options[usize::from(place) % program.options.len()];
    let variables = input.variables.iter().map(|(place, value)| {
        let name = program.variable(option(*place).path);
        (OsString::from(name), OsString::from(value))
    });
    let flags = input
        .flags
        .iter()
        .flat_map(|(place, value)| [OsString::from(option(*place).flag()), OsString::from(value)]);
    let args = [OsString::from(program.name)].into_iter().chain(flags);
    leaves(program, input.file, variables, args).map_err(drop)
}

/// Mistakes are said, or there is a configuration.
fn is_right<C>(given: &Leaves, read: fn(&mut Reader<'_>) -> Option<C>) -> bool {
    let mut reader = Reader::new(given);
    let config = read(&mut reader);
    match reader.finish(|| config) {
        Ok(_) => true,
        Err(mistakes) => {
            assert!(!mistakes.to_string().is_empty());
            false
        }
    }
}

/// What is printed as the options in force gives the same ones. Those that are not set, or hidden, are comments.
fn prints_as_it_is(program: &'static Program, given: &Leaves) {
    let file = printed(program, given);
    let again = leaves(program, &file, [], [program.name.into()]).expect("no flags");
    let finished = Reader::new(&again).finish(|| Some(()));
    assert!(finished.is_ok(), "{}\n{file}", finished.unwrap_err());
    for option in program.options {
        let left_out = format!("\n# {}: ", option.path.replace('.', ": "));
        if file.contains(&left_out) {
            continue;
        }
        let values = |leaves: &Leaves| {
            let values = leaves.at(option.path).iter();
            values.map(|leaf| leaf.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(values(given), values(&again), "{}", option.path);
    }
}
