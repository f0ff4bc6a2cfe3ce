//! Where the admin listener listens, if anywhere.

use tokio::net::TcpListener;

use super::AdminError;
use crate::{
    BindError, Exposure, HostPort, HostPortError, ListenerTerms, ListenerTls, OptionSpec, Reader,
    Sockets,
};

/// What its sockets are called.
const NAME: &str = "admin";
/// Value of the option for no admin listener.
const OFF: &str = "off";

/// What is asked of those who come with TLS. Nobody loses by offering no protocol: there is only one.
const TLS: ListenerTerms = ListenerTerms {
    options: "admin.tls",
    protocol: "http/1.1",
    must_offer: false,
    tls12: true,
};

/// What the options of the admin listener say.
#[derive(Debug, Clone)]
pub struct AdminListener {
    address: Option<HostPort>,
    tls: Option<ListenerTls>,
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

    /// The further options, which every program has that has this one.
    pub const OPTIONS_OF_TLS: [OptionSpec; 4] = [
        ListenerTls::certificate("admin.tls.certificate"),
        ListenerTls::key("admin.tls.key"),
        ListenerTls::client_ca("admin.tls.client-ca"),
        ListenerTls::client_crl("admin.tls.client-crl"),
    ];

    /// Reads the options. Mistakes are kept by `reader`.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let path = Self::option(OFF).path;
        let by_default = reader.is_default(path);
        let address = reader.one(path, parse)?;
        let tls = ListenerTls::read(reader, TLS);
        for option in Self::OPTIONS_OF_TLS.map(|option| option.path) {
            if address.is_none() && reader.is_set(option) {
                reader.mistake(option, "has no effect without --admin-listener HOST:PORT");
            }
        }
        Some(Self {
            address,
            tls,
            by_default,
        })
    }

    /// How those who come are to speak TLS; without, they are to come in plain text.
    #[must_use]
    pub fn tls(&self) -> Option<&ListenerTls> {
        self.tls.as_ref()
    }

    /// Looks whether others than this machine can ask.
    pub fn look(&self, reader: &Reader<'_>, exposure: &mut Exposure) {
        if let Some(address) = &self.address {
            let tls = (TLS.options, self.tls.as_ref());
            exposure.listener(reader, Self::option(OFF).path, address, tls, false);
        }
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
            tls: None,
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
