//! What the hook says of an edge.

use std::time::Duration;

use grpc_multiplexer_proto::hooks::v1::ArrivingEdge;
use grpc_multiplexer_tunnel::message::{Auth, Code, Refused};
use tokio::time::sleep;

use super::admit::for_now;
use super::listener::Edges;
use super::offer::{Offer, refused};
use crate::credential::Admission;
use crate::hooks::NotAuthorized;

/// When an edge may ask again of which the hook says nothing.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Edges {
    /// Sees that the hook lets an edge in that is let in otherwise. What it says of the edge is then part of the offer.
    pub(super) async fn authorize(
        &self,
        offer: Offer,
        admission: &Admission,
        auth: Option<&Auth>,
    ) -> Result<Offer, Refused> {
        let asked = |send_tokens: bool| ArrivingEdge {
            client_id: offer.client_id.to_string(),
            remote_address: offer.remote.to_string(),
            version: offer.software.clone(),
            credentials: Some(admission.told(auth.filter(|_| send_tokens))),
            labels: offer.labels.to_map(),
        };
        // Boxed: large, and seldom.
        let authorize = Box::pin(self.hooks.authorize_edge(asked, &offer.client_id));
        let authorized = authorize.await;
        match authorized {
            Ok(context) => Ok(offer.known(context)),
            Err(why) => Err(self.not_authorized(&why, &offer).await),
        }
    }

    /// A no of the hook's is one to somebody who shows what is wrong. It may take its time.
    async fn not_authorized(&self, why: &NotAuthorized, offer: &Offer) -> Refused {
        let text = why.to_string();
        if *why == NotAuthorized::Failed {
            return for_now(Code::Unauthenticated, &text, ASK_AGAIN);
        }
        sleep(self.failures.another(offer.remote.ip())).await;
        refused(Code::NotAllowed, &text)
    }
}
