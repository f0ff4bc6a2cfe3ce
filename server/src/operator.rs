//! What operators can do: take edges off, and keep them off for a while.
//!
//! It has a listener of its own, and none unless one is asked for. Nothing of it can be reached by way of the listeners for
//! callers and edges, nor of the admin listener, which whoever counts things may ask.

mod listener;
mod options;

use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_proto::admin::v1::admin_service_server::AdminService;
use grpc_multiplexer_proto::admin::v1::{
    Ban, KickRequest, KickResponse, ListBansRequest, ListBansResponse, UnbanRequest, UnbanResponse,
};
use grpc_multiplexer_tunnel::ClientId;
use tonic::{Request, Response, Status};
use tracing::info;

use crate::registry::{NotKicked, Registry};
pub(crate) use listener::{OPERATOR, Operators};
pub(crate) use options::{LISTENER, TLS, read};

/// Longest reason, in characters. It is in the tunnel's last word.
const REASON: usize = 256;
/// Longest ban.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The service.
#[derive(Debug)]
struct Admin {
    registry: Arc<Registry>,
}

/// Who asks, for the log.
#[derive(Debug, Clone)]
struct Operator(String);

#[tonic::async_trait]
impl AdminService for Admin {
    async fn kick(&self, request: Request<KickRequest>) -> Result<Response<KickResponse>, Status> {
        let operator = operator(&request);
        let KickRequest {
            client_id,
            reason,
            ban,
        } = request.into_inner();
        let client_id = id(&client_id)?;
        let reason = checked_reason(&reason)?;
        let ban = ban.map(time).transpose()?.filter(|ban| !ban.is_zero());
        let tunnels = self.registry.kick(&client_id, &reason, ban);
        let tunnels = tunnels.map_err(|why| not_kicked(&why, &client_id))?;
        info!(
            %client_id, tunnels, %reason, ban = ban.map(tracing::field::debug), operator,
            "edge kicked"
        );
        Ok(Response::new(KickResponse {
            tunnels: u32::try_from(tunnels).unwrap_or(u32::MAX),
        }))
    }

    async fn unban(
        &self,
        request: Request<UnbanRequest>,
    ) -> Result<Response<UnbanResponse>, Status> {
        let operator = operator(&request);
        let client_id = id(&request.get_ref().client_id)?;
        if !self.registry.unban(&client_id) {
            let text = format!("the client id '{client_id}' is not banned");
            return Err(Status::not_found(text));
        }
        info!(%client_id, operator, "ban ended");
        Ok(Response::new(UnbanResponse {}))
    }

    async fn list_bans(
        &self,
        _: Request<ListBansRequest>,
    ) -> Result<Response<ListBansResponse>, Status> {
        let bans = self.registry.bans().into_iter();
        let bans = bans.map(|(client_id, ban)| Ban {
            client_id: client_id.to_string(),
            reason: ban.reason.to_string(),
            left: ban.left().try_into().ok(),
        });
        Ok(Response::new(ListBansResponse {
            bans: bans.collect(),
        }))
    }
}

fn operator<T>(request: &Request<T>) -> Option<String> {
    let operator = request.extensions().get::<Operator>();
    operator.map(|Operator(operator)| operator.clone())
}

fn id(text: &str) -> Result<ClientId, Status> {
    text.parse()
        .map_err(|error| Status::invalid_argument(format!("client_id {error}")))
}

/// It goes into logs, and is shown to people.
fn checked_reason(text: &str) -> Result<Arc<str>, Status> {
    let wrong = match text.trim() {
        "" => "reason is missing; the edge's log, the server's and discovery say it",
        text if text.chars().count() > REASON => "reason has more than 256 characters",
        text if text.contains(char::is_control) => "reason must be one line of plain text",
        text => return Ok(text.into()),
    };
    Err(Status::invalid_argument(wrong))
}

fn time(ban: prost_types::Duration) -> Result<Duration, Status> {
    let ban = Duration::try_from(ban).ok();
    ban.filter(|ban| *ban <= LONGEST)
        .ok_or_else(|| Status::invalid_argument("ban must be 0 to 365 days"))
}

fn not_kicked(why: &NotKicked, client_id: &ClientId) -> Status {
    match why {
        NotKicked::NoTunnel => Status::not_found(format!(
            "no edge is connected as '{client_id}'; to keep it out before it comes, give a ban"
        )),
        NotKicked::TooManyBans => {
            Status::resource_exhausted("10,000 client ids are banned already; end a ban first")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        for wrong in [
            "",
            " \t",
            "two\nlines",
            "\u{1b}[31m",
            &"x".repeat(REASON + 1),
        ] {
            let status = checked_reason(wrong).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{wrong:?}");
        }
        assert_eq!(&*checked_reason(" ab c ").unwrap(), "ab c");
        assert!(checked_reason(&"ü".repeat(REASON)).is_ok());
    }

    #[test]
    fn a_ban_is_no_longer_than_a_year_and_not_negative() {
        let ban = |seconds, nanos| time(prost_types::Duration { seconds, nanos });
        let longest = i64::try_from(LONGEST.as_secs()).unwrap();
        assert_eq!(ban(longest, 0).unwrap(), LONGEST);
        assert!(ban(0, 0).unwrap().is_zero());
        for (seconds, nanos) in [(longest, 1), (-1, 0), (0, -1), (i64::MAX, 0)] {
            assert!(ban(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
    }
}
