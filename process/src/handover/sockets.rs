//! How the old process gives its sockets.

use super::{HandoverError, Link, PATIENCE};
use crate::Sockets;

impl Link {
    /// Gets the sockets of the process before.
    ///
    /// # Errors
    ///
    /// When it does not give them.
    pub async fn take_sockets(&mut self) -> Result<Sockets, HandoverError> {
        let mut sockets = Sockets::default();
        self.say("sockets").await?;
        loop {
            let said = self.hear(PATIENCE).await?;
            if said == "all" {
                return Ok(sockets);
            }
            match (said.strip_prefix("socket "), self.take()) {
                (Some(name), Some(socket)) => sockets.leave(name, socket),
                _ => return Err(HandoverError::Unexpected(said)),
            }
        }
    }

    /// Gives copies of `sockets` to the process after, once it asks.
    ///
    /// # Errors
    ///
    /// When it does not take them.
    pub async fn give_sockets(&mut self, sockets: &Sockets) -> Result<(), HandoverError> {
        self.expect("sockets", PATIENCE).await?;
        for (name, socket) in sockets.all() {
            self.give(&format!("socket {name}"), socket).await?;
        }
        self.say("all").await
    }
}
