//! An edge that nobody knows is taken for its token.

use super::listener::Edges;
use super::offer::Offer;
use crate::credential::{Credential, Denied, EnrolmentDenied};

impl Edges {
    /// What `credential` is once its edge enrolled; `None` when it does not ask for that.
    pub(super) async fn enrol(
        &self,
        credential: &Credential,
        offer: &Offer,
    ) -> Option<Result<Credential, Denied>> {
        let enrolled = self.enrolled.as_ref()?;
        let id = &offer.client_id;
        let wish = self
            .settings
            .now(|settings| settings.edges.wish(credential, id));
        let (wish, admitted) = wish?;
        // What was good once is told apart from what never was, whether or not its line is still there.
        if enrolled.has_spent(&wish.token) {
            return Some(Err(EnrolmentDenied::Spent.into()));
        }
        let serves = match admitted {
            Ok(serves) => serves,
            Err(denied) => return Some(Err(denied.into())),
        };
        let written = enrolled.enrol(wish, id, serves).await;
        let now_known = || credential.clone().looked_up(Some(&**enrolled));
        Some(written.map(|()| now_known()).map_err(Denied::from))
    }
}
