//! What a call may: asked once when it comes, whatever becomes of it then, and again only when the policy changes meanwhile, or
//! the labels of its edge.

use std::cell::Cell;
use std::future::pending;

use grpc_multiplexer_tunnel::ClientId;
use http::request::Parts;
use tokio::time::sleep;

use super::caller::Caller;
use super::{Call, Failure, Proxy, Unanswered};
use crate::policy::{Denied, Rights};
use crate::settings::Settings;
use crate::waiting::Sight;

impl Proxy {
    /// The rights of whoever makes a call, by what it shows, which is taken off. A no may take its time.
    pub(super) async fn rights(
        &self,
        head: &mut Parts,
        caller: &Caller,
    ) -> Result<Rights, Failure> {
        if caller.is_distrusted() {
            return Err(Failure::Unauthenticated);
        }
        let policy = self.settings.now(|settings| settings.callers.clone());
        let Some(policy) = policy else {
            return Ok(Rights::default());
        };
        let carried = policy.token_in().take(&mut head.headers);
        let bearer = carried.seen(&self.jwts).await;
        let method = head.uri.path();
        let denied = match policy.rights(caller.certificate(), bearer.clone()) {
            Ok(rights) => return Ok(rights),
            Err(denied) => denied,
        };
        let nobodys = policy.nobodys(bearer);
        self.audit
            .denied(&nobodys, None, method, &denied, nobodys.are_dry_run());
        if nobodys.are_dry_run() {
            return Ok(nobodys);
        }
        if denied.is_guess() {
            sleep(self.failures.another(caller.address())).await;
        }
        Err(Failure::of_denied(denied))
    }

    /// Sees that who has these rights may make this call at `id`; false where that hangs on the labels of `id`.
    pub(super) fn allow(
        &self,
        call: &Call,
        rights: &Rights,
        id: &ClientId,
    ) -> Result<bool, Failure> {
        let method = call.head.uri.path();
        match rights.call(id, method, || None) {
            Err(Denied::Unlabelled(_)) => Ok(false),
            verdict => self.decided(rights, id, method, verdict).map(|()| true),
        }
    }

    /// The same where it hangs on them.
    pub(super) async fn allow_labelled(
        &self,
        call: &mut Call,
        rights: &Rights,
        id: &ClientId,
    ) -> Result<(), Unanswered> {
        let method = call.head.uri.path().to_owned();
        let look = || rights.call(id, &method, || self.registry.labels(id));
        let verdict = match look() {
            // It may yet come with the labels that it needs, and nobody must see from the answer whether it is there without.
            Err(denied @ Denied::Unlabelled(_)) if !rights.are_dry_run() => {
                let waited = self.until_labelled(call, id, look).await;
                if let Err(Unanswered::Failed(_)) = waited {
                    self.audit.denied(rights, Some(id), &method, &denied, false);
                }
                waited?
            }
            verdict => verdict,
        };
        Ok(self.decided(rights, id, &method, verdict)?)
    }

    /// Says what the policy decides, and what comes of it.
    fn decided(
        &self,
        rights: &Rights,
        id: &ClientId,
        method: &str,
        verdict: Result<(), Denied>,
    ) -> Result<(), Failure> {
        let Err(denied) = verdict else {
            self.audit.allowed(rights, Some(id), method);
            return Ok(());
        };
        let dry_run = rights.are_dry_run();
        self.audit
            .denied(rights, Some(id), method, &denied, dry_run);
        if dry_run {
            return Ok(());
        }
        Err(Failure::of_denied(denied))
    }

    /// Waits as for an edge that is not there, until `look` says something else than that a label is missing.
    async fn until_labelled(
        &self,
        call: &mut Call,
        id: &ClientId,
        look: impl Fn() -> Result<(), Denied>,
    ) -> Result<Result<(), Denied>, Unanswered> {
        let look = || match look() {
            Err(Denied::Unlabelled(_)) => None,
            verdict => Some(verdict),
        };
        self.wait(call, id, Sight::None, look).await
    }

    /// Waits until a call that was allowed is so no more, by the policy or by what its edge says of itself; for ever unless it
    /// [is asked again](is_asked_again).
    pub(super) async fn revoked(
        &self,
        caller: &Caller,
        rights: &Rights,
        id: &ClientId,
        method: &str,
    ) -> Failure {
        loop {
            // From before the look on, so that no change is missed.
            let relabelled = self.registry.relabelled().wait(id);
            let denied = self.until_rights(caller, rights, |now| self.denied(now, id, method));
            tokio::select! {
                biased;
                denied = denied => {
                    self.audit.denied(rights, Some(id), method, &denied, false);
                    return Failure::Revoked;
                }
                () = relabelled => {}
            }
        }
    }

    /// Why a call that was allowed is so no more.
    fn denied(&self, now: Result<Rights, Denied>, id: &ClientId, method: &str) -> Option<Denied> {
        let is_known = Cell::new(true);
        let labels = || {
            let labels = self.registry.labels(id);
            is_known.set(labels.is_some());
            labels
        };
        match now.and_then(|now| now.call(id, method, labels)) {
            // What was forgotten was not taken away.
            Err(Denied::Unlabelled(_)) if !is_known.get() => None,
            verdict => verdict.err(),
        }
    }

    /// Waits until whoever asks one of our own services has other rights than these.
    pub(super) async fn changed(&self, caller: &Caller, rights: &Rights) -> Failure {
        let failure = self.until_rights(caller, rights, |now| match now {
            Ok(now) if now.clone().within_those(rights) == *rights => None,
            Ok(_) => Some(Failure::PolicyChanged),
            Err(_) => Some(Failure::Revoked),
        });
        tokio::select! {
            biased;
            () = caller.distrusted() => Failure::Revoked,
            failure = failure => failure,
        }
    }

    /// Waits until `look` finds something in what a policy in force, which refuses something, makes of who had these rights, be it
    /// that the policy changed or a JWT.
    async fn until_rights<T>(
        &self,
        caller: &Caller,
        rights: &Rights,
        look: impl Fn(Result<Rights, Denied>) -> Option<T>,
    ) -> T {
        if !is_asked_again(rights) {
            return pending().await;
        }
        let look = |settings: &Settings| {
            let policy = settings.callers.as_ref();
            let policy = policy.filter(|policy| !policy.is_dry_run())?;
            let bearer = rights.bearer().again(&self.jwts, settings);
            look(policy.rights(caller.certificate(), bearer))
        };
        loop {
            let changes = self.jwts.changes(rights.bearer().jwt());
            tokio::select! {
                biased;
                found = self.settings.until(look) => return found,
                () = changes => {}
            }
        }
    }
}

/// Whether a policy is asked again of who has these rights. Whom nobody asked is left alone; in a dry run everybody is asked.
pub(super) fn is_asked_again(rights: &Rights) -> bool {
    rights.caller().is_some() || rights.are_dry_run()
}
