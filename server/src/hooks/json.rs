//! Questions over HTTP/1, as JSON.
//!
//! Which message is which JSON is protobuf's to say, so it is read off the descriptors. *Source:* "ProtoJSON format".

use bytes::Bytes;
use grpc_multiplexer_proto::hooks::v1::FILE_DESCRIPTOR_SET;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::Full;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Deserializer, Error};

use super::failure::HookError;
use super::question::Question;
use crate::http1::exchange;
use crate::url::Url;

/// Bytes of an answer.
pub(super) const LARGEST: usize = 256 * 1024;
const PACKAGE: &str = "grpc.multiplexer.hooks.v1";
const JSON: &str = "application/json";

/// Both ways between messages and JSON.
#[derive(Debug)]
pub(super) struct Json(DescriptorPool);

impl Default for Json {
    fn default() -> Self {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET);
        Self(pool.expect("the descriptors are whole"))
    }
}

impl Json {
    /// Puts a question below `url`.
    pub(super) async fn ask<Q: Question>(
        &self,
        url: &Url,
        question: &Q,
    ) -> Result<Q::Answer, HookError> {
        let below = url.path().path().trim_end_matches('/');
        let path = format!("{below}/{}", Q::NAME.to_lowercase());
        let request = Request::post(path)
            .header(CONTENT_TYPE, JSON)
            .header(ACCEPT, JSON)
            .body(Full::new(self.write(question)))
            .expect("the parts of a URL are fit for a request");
        let answer = exchange(url, request, LARGEST).await?;
        self.read::<Q>(&answer).map_err(HookError::Json)
    }

    pub(super) fn write<Q: Question>(&self, question: &Q) -> Bytes {
        let mut message = DynamicMessage::new(self.message(Q::NAME, "Request"));
        message
            .transcode_from(question)
            .expect("both are the same message");
        let json = serde_json::to_vec(&message).expect("its keys are texts");
        json.into()
    }

    /// What was [written](Self::write).
    pub(super) fn written<Q: Question + Default>(&self, json: &[u8]) -> Result<Q, Error> {
        parse(self.message(Q::NAME, "Request"), json)
    }

    fn read<Q: Question>(&self, json: &[u8]) -> Result<Q::Answer, Error> {
        parse(self.message(Q::NAME, "Response"), json)
    }

    fn message(&self, name: &str, kind: &str) -> MessageDescriptor {
        let message = self
            .0
            .get_message_by_name(&format!("{PACKAGE}.{name}{kind}"));
        message.expect("the proto has it")
    }
}

fn parse<M: Message + Default>(kind: MessageDescriptor, json: &[u8]) -> Result<M, Error> {
    let mut reader = Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(kind, &mut reader)?;
    reader.end()?;
    let message = M::decode(&*message.encode_to_vec());
    Ok(message.expect("both are the same message"))
}

#[cfg(test)]
mod tests {
    use grpc_multiplexer_proto::hooks::v1::authorize_request::Who;
    use grpc_multiplexer_proto::hooks::v1::{
        ArrivingEdge, AuthorizeRequest, ConnectedRequest, Credentials, DisconnectedRequest,
    };

    use super::*;

    #[test]
    fn every_question_has_its_json() {
        let json = Json::default();
        let edge = ArrivingEdge {
            client_id: "rainbow".to_owned(),
            credentials: Some(Credentials {
                token_sha256: "ab".to_owned(),
                ..Credentials::default()
            }),
            ..ArrivingEdge::default()
        };
        let authorize = AuthorizeRequest {
            server_id: "s".to_owned(),
            who: Some(Who::Edge(edge)),
        };
        assert_eq!(
            json.write(&authorize),
            r#"{"serverId":"s","edge":{"clientId":"rainbow","credentials":{"tokenSha256":"ab"}}}"#
        );
        let connected = ConnectedRequest {
            time: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            ..ConnectedRequest::default()
        };
        assert_eq!(json.write(&connected), r#"{"time":"1970-01-01T00:00:01Z"}"#);
        assert_eq!(json.write(&DisconnectedRequest::default()), "{}");
    }

    #[test]
    fn answers_may_be_written_in_both_ways_and_nothing_else_passes() {
        let json = Json::default();
        for text in [
            r#"{"allow": true, "clientIds": ["a"], "cacheFor": "1.5s", "context": {"k": "v"}}"#,
            r#"{"allow": true, "client_ids": ["a"], "cache_for": "1.500s", "context": {"k": "v"}}"#,
        ] {
            let answer = json.read::<AuthorizeRequest>(text.as_bytes()).unwrap();
            assert!(answer.allow);
            assert_eq!(answer.client_ids, ["a"]);
            let time = prost_types::Duration {
                seconds: 1,
                nanos: 500_000_000,
            };
            assert_eq!(answer.cache_for, Some(time));
            assert_eq!(answer.context["k"], "v");
        }
        assert!(!json.read::<AuthorizeRequest>(b"{}").unwrap().allow);
        for wrong in [
            "",
            "null",
            "[]",
            "true",
            "{",
            "{} {}",
            r#"{"allow": "yes"}"#,
            r#"{"alow": true}"#,
            r#"{"allow": true, "cacheFor": 5}"#,
            "<html>",
        ] {
            let read = json.read::<AuthorizeRequest>(wrong.as_bytes());
            assert!(read.is_err(), "{wrong}");
        }
    }
}
