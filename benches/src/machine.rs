//! Where it runs.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::product::{EDGE, SERVER};
use crate::programs::{found, of_product};

/// The machine, and the versions of what is measured.
pub(crate) fn described() -> anyhow::Result<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("?", |(_, value)| value.trim()).to_owned()
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    let limits = read("/proc/self/limits");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files = files.and_then(|line| line.split_whitespace().nth(3));
    let mut lines = vec![
        format!(
            "{} processors, {processor}, {memory}",
            available_parallelism()?
        ),
        format!(
            "Linux {}, {} open files",
            kernel.trim(),
            files.unwrap_or("?")
        ),
        format!("busy before: {}", read("/proc/loadavg").trim()),
    ];
    lines.push("server and edge with the limits and windows of their defaults; --max-tunnels for 10,000 edges".to_owned());
    for program in [SERVER, EDGE] {
        lines.push(version(Command::new(of_product(program)?).arg("--version")));
    }
    for (program, argument) in [
        ("nginx", "-v"),
        ("haproxy", "-v"),
        ("rathole", "--version"),
        ("bore", "--version"),
    ] {
        let program = found(program);
        lines.extend(program.map(|program| version(Command::new(program).arg(argument))));
    }
    let items = lines.iter().map(|line| format!("* {line}\n"));
    Ok(items.collect())
}

/// The first line that says which it is.
fn version(command: &mut Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let said = command
        .output()
        .map(|output| [output.stdout, output.stderr].concat());
    let said = said.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said
        .lines()
        .find(|line| line.contains(|c: char| c.is_ascii_digit()));
    line.map_or(name, |line| line.trim().to_owned())
}
