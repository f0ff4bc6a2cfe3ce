//! `kick`, `unban` and `bans`: what an operator does at a server's operator listener.

mod args;

use std::sync::Arc;
use std::time::Duration;

use grpc_multiplexer_proto::admin::v1::admin_service_client::AdminServiceClient;
use grpc_multiplexer_proto::admin::v1::{
    Ban, KickRequest, ListBansRequest, ListBansResponse, UnbanRequest,
};
use grpc_multiplexer_tunnel::ClientId;
use humantime::format_duration;
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Status};

pub(super) use args::{commands, order};

use super::channel::{LIMIT, calls, reach};
use super::output::{End, Output, aside, columns, harmless};
use super::place::Place;
use super::status::{Origin, Trouble, in_words, origin};

/// A ban that is longer than can be said. It is longer than any server takes, too, which says so.
const LONGEST: prost_types::Duration = prost_types::Duration {
    seconds: i64::MAX,
    nanos: 0,
};

/// What is to be done.
#[derive(Debug)]
pub(super) enum Order {
    Kick {
        id: ClientId,
        reason: String,
        ban: Duration,
    },
    Unban(ClientId),
    Bans,
}

/// Has it done, and says so.
pub(super) async fn carry_out(order: &Order, at: &Arc<Place>, output: &Output) -> Result<(), End> {
    reach(at).await?;
    let mut admin = AdminServiceClient::new(calls(at, None));
    match order {
        Order::Kick { id, reason, ban } => {
            let request = KickRequest {
                client_id: id.to_string(),
                reason: reason.clone(),
                ban: Some(prost_types::Duration::try_from(*ban).unwrap_or(LONGEST)),
            };
            let done = answer(at, admin.kick(request)).await?;
            say_kicked(id, done.tunnels, *ban, output)
        }
        Order::Unban(id) => {
            let client_id = id.to_string();
            answer(at, admin.unban(UnbanRequest { client_id })).await?;
            output.tell(&format!("{id} may connect again"))?;
            output.object(|| json!({ "client_id": id.as_str() }))
        }
        Order::Bans => {
            let bans = answer(at, admin.list_bans(ListBansRequest {})).await?;
            say_bans(&bans, output)
        }
    }
}

fn say_kicked(id: &ClientId, tunnels: u32, ban: Duration, output: &Output) -> Result<(), End> {
    let tunnels_closed = match tunnels {
        1 => "1 tunnel closed".to_owned(),
        _ => format!("{tunnels} tunnels closed"),
    };
    let banned = match ban.is_zero() {
        true => "it may connect again at once".to_owned(),
        false => format!("kept out for {}", format_duration(ban)),
    };
    output.tell(&format!("{id}: {tunnels_closed}, {banned}"))?;
    output.object(|| {
        json!({ "client_id": id.as_str(), "tunnels": tunnels, "ban_seconds": ban.as_secs_f64() })
    })
}

fn say_bans(bans: &ListBansResponse, output: &Output) -> Result<(), End> {
    let bans = &bans.bans;
    if bans.is_empty() {
        aside("no client id is banned");
        return Ok(());
    }
    let heads = ["CLIENT ID", "LEFT", "REASON"].map(str::to_owned);
    let row = |ban: &Ban| {
        let left = Duration::from_secs(left(ban).as_secs());
        [
            harmless(&ban.client_id),
            format_duration(left).to_string(),
            harmless(&ban.reason),
        ]
    };
    let rows: Vec<_> = std::iter::once(heads).chain(bans.iter().map(row)).collect();
    for line in columns(&rows) {
        output.tell(&line)?;
    }
    for ban in bans {
        output.object(|| {
            json!({
                "client_id": ban.client_id,
                "left_seconds": left(ban).as_secs_f64(),
                "reason": ban.reason,
            })
        })?;
    }
    Ok(())
}

fn left(ban: &Ban) -> Duration {
    let left = ban.left.and_then(|left| Duration::try_from(left).ok());
    left.unwrap_or_default()
}

async fn answer<T>(
    at: &Place,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Trouble> {
    match timeout(LIMIT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refused(at, &status)),
        Err(_) => Err(Trouble::new(
            format!("{at} does not answer within {LIMIT:?}"),
            "is it a server's --operator-listener, and is the server well?",
        )),
    }
}

fn refused(at: &Place, status: &Status) -> Trouble {
    match (origin(status), status.code()) {
        (Origin::Here, _) => Trouble::of(status),
        (Origin::Multiplexer(_), _) | (_, Code::Unimplemented) => Trouble::new(
            format!("what listens on {at} does not serve operators"),
            "give the address of the server's --operator-listener as --operator-address",
        ),
        (Origin::Backend, code) => {
            let advice = match code {
                Code::NotFound => {
                    "`grpc-multiplexer-client list` shows who is connected, `bans` who is banned"
                }
                _ => "see --help",
            };
            Trouble::new(in_words(status), advice)
        }
    }
}
