//! Where the admin listener listens, if anywhere.

use tokio::net::TcpListener;

use super::AdminError;
use crate::{BindError, HostPort, HostPortError, OptionSpec, Reader, Sockets};

/// What its sockets are called.
const NAME: &str = "admin";
/// Value of the option for no admin listener.
const OFF: &str = "off";

/// What the option `admin-listener` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminListener {
    address: Option<HostPort>,
    /// Whether nobody chose it.
    by_default: bool,
}

impl AdminListener {
    /// The option of a program, with its default address or `off`.
    #[must_use]
    pub const fn option(default: &'static str) -> OptionSpec {
        OptionSpec {
            path: "admin-listener",
            value_name: "HOST:PORT",
            default: Some(default),
            many: false,
            secret: false,
            reload: false,
            help: "Where /livez, /readyz and /metrics (Prometheus) are answered over HTTP, without any authentication, or \
                   off",
        }
    }

    /// Reads the option. Mistakes are kept by `reader`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let path = Self::option(OFF).path;
        let by_default = reader.is_default(path);
        let address = reader.one(path, parse)?;
        Some(Self {
            address,
            by_default,
        })
    }

    /// Listens, on what the process before left where that fits; on nothing when it is off, and when another process has
    /// the address that nobody chose: two on one machine must not need it.
    ///
    /// # Errors
    ///
    /// See [`bind`](crate::bind).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing open.
    pub async fn bind(&self, sockets: &mut Sockets) -> Result<Vec<TcpListener>, AdminError> {
        let Some(address) = &self.address else {
            return Ok(Vec::new());
        };
        match sockets.bind(NAME, address).await {
            Err(BindError::InUse { address }) if self.by_default => {
                tracing::warn!(
                    %address,
                    "no admin listener, another process has its default address; choose one with --admin-listener"
                );
                Ok(Vec::new())
            }
            bound => {
                bound?;
                Ok(sockets.listeners(NAME)?)
            }
        }
    }
}

fn parse(text: &str) -> Result<Option<HostPort>, String> {
    if text == OFF {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: HostPortError| format!("{error}, or off for none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind;

    #[tokio::test]
    async fn an_address_that_nobody_chose_may_be_taken() {
        let first = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = first[0].local_addr().unwrap().into();
        let mut listener = AdminListener {
            address: Some(taken),
            by_default: true,
        };
        let mut sockets = Sockets::default();
        assert!(listener.bind(&mut sockets).await.unwrap().is_empty());
        listener.by_default = false;
        assert!(matches!(
            listener.bind(&mut sockets).await,
            Err(AdminError::Bind(BindError::InUse { .. }))
        ));
    }

    #[test]
    fn off_is_none_and_nonsense_is_said() {
        assert_eq!(parse("off"), Ok(None));
        assert!(parse("localhost:1").unwrap().is_some());
        assert!(parse("7612").unwrap_err().ends_with(", or off for none"));
    }
}
