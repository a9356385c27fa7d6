//! Kubernetes tokens that the plane offers: kept only when the API server says that they can do what the plane needs them for.

use std::time::Instant;

use hyper::Method;
use log::{Level, log};
use miniserde::json::Value;
use tokio::sync::{mpsc, watch};

use crate::cluster::OwnClient;
use crate::messages;
use crate::quiet::Quiet;
use crate::secret::Secret;
use crate::state::Saved;

/// What is asked about a token, in its own name.
const REVIEW: &[u8] = br#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"create","resource":"namespaces"}}}"#;

/// Checks tokens one after the other and puts the good ones into the state.
pub(crate) async fn check(client: OwnClient, mut offered: mpsc::Receiver<Secret>, saved: watch::Sender<Saved>) {
    let (mut kept, mut ignored) = (Quiet::new(4), Quiet::new(4));
    while let Some(token) = offered.recv().await {
        if saved.borrow().cluster_token.as_ref() == Some(&token) {
            continue;
        }
        if may_create_namespaces(&client, &token).await {
            let (level, held_back) = kept.weigh(Instant::now(), Level::Info);
            log!(level, held_back = held_back; "{}", messages::TOKEN_KEPT);
            saved.send_modify(|saved| saved.cluster_token = Some(token));
        } else {
            let (level, held_back) = ignored.weigh(Instant::now(), Level::Warn);
            log!(level, held_back = held_back; "{}", messages::TOKEN_IGNORED);
        }
    }
}

async fn may_create_namespaces(client: &OwnClient, token: &Secret) -> bool {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let Ok(answer) = client.request_as(Some(token), Method::POST, path, Some(REVIEW.to_vec())).await else { return false };
    if answer.status != 201 && answer.status != 200 {
        return false;
    }
    let review = answer.object();
    match review.as_ref().and_then(|review| review.get("status")) {
        Some(Value::Object(status)) => matches!(status.get("allowed"), Some(Value::Bool(true))),
        _ => false,
    }
}
