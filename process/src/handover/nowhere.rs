//! Where there are no Unix sockets no process takes over from another. The option that would ask for it is refused.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::HandoverError;
use crate::{Program, Sockets};

/// There is none.
#[derive(Debug)]
pub enum Link {}

/// There is none.
#[derive(Debug)]
pub enum HandoverSocket {}

#[allow(
    clippy::unused_async,
    missing_docs,
    reason = "as where there is something to wait for"
)]
impl Link {
    pub async fn say(&mut self, _line: &str) -> Result<(), HandoverError> {
        match *self {}
    }

    pub async fn hear(&mut self, _limit: Duration) -> Result<String, HandoverError> {
        match *self {}
    }

    pub async fn expect(&mut self, _line: &str, _limit: Duration) -> Result<(), HandoverError> {
        match *self {}
    }

    pub async fn take_sockets(&mut self) -> Result<Sockets, HandoverError> {
        match *self {}
    }

    pub async fn give_sockets(&mut self, _sockets: &Sockets) -> Result<(), HandoverError> {
        match *self {}
    }
}

#[allow(
    clippy::unused_async,
    missing_docs,
    reason = "as where there is something to wait for"
)]
impl HandoverSocket {
    pub fn bind(path: &Path) -> Result<Self, HandoverError> {
        Err(unsupported(path))
    }

    pub async fn successor(&self, _program: &Program) -> Link {
        match *self {}
    }

    pub fn leave(self) {
        match self {}
    }
}

#[allow(
    clippy::unused_async,
    missing_docs,
    reason = "as where there is something to wait for"
)]
pub async fn predecessor(path: &Path, _program: &Program) -> Result<Option<Link>, HandoverError> {
    Err(unsupported(path))
}

fn unsupported(path: &Path) -> HandoverError {
    HandoverError::Socket {
        path: path.to_owned(),
        source: io::ErrorKind::Unsupported.into(),
    }
}
