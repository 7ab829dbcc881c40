//! A small festival to test with: two stages, a category, a performer, an organizer and an attendee.

use domain::{Change, Role};
use serde_json::{Value, json};
use store::Engine;

use crate::support::{Reply, TestApi};

/// A running API with a festival in it.
pub(crate) struct Festival {
    /// The API.
    pub(crate) api: TestApi,
    /// An organizer's token.
    pub(crate) organizer: String,
    /// An attendee's token.
    pub(crate) attendee: String,
    /// The main stage: 500 people, 15 minutes to clear.
    pub(crate) main: i64,
    /// Another stage, without needs.
    pub(crate) beach: i64,
    /// A category.
    pub(crate) category: i64,
    /// A performer.
    pub(crate) performer: i64,
}

impl Festival {
    /// Starts it, and empties the outbox of what that wrote.
    pub(crate) async fn start(engine: Engine) -> Self {
        Self::of(TestApi::start(engine).await).await
    }

    /// In a running API.
    pub(crate) async fn of(api: TestApi) -> Self {
        let organizer = api.token_of("omar", &[Role::Organizer]).await;
        let attendee = api.token_of("amina", &[Role::Attendee]).await;
        let make = async |path: &str, body: Value| -> i64 {
            let reply = api.post(path, Some(&organizer), &body).await;
            reply.data(201)["id"].as_i64().unwrap()
        };
        let main = json!({"name": {"ar": "المسرح الرئيسي", "en": "Main stage"}, "capacity": 500,
            "turnaround_seconds": 900});
        let main = make("/api/v1/venues", main).await;
        let beach = make("/api/v1/venues", json!({"name": "Beach"})).await;
        let category = make("/api/v1/categories", json!({"slug": "concert", "name": "Concert"})).await;
        let performer = make("/api/v1/performers", json!({"name": "Cairokee"})).await;
        let festival = Self { api, organizer, attendee, main, beach, category, performer };
        festival.changes().await;
        festival
    }

    /// The body of an event on the main stage from `start` to `end` (local times on 15 July 2026).
    pub(crate) fn event(&self, start: &str, end: &str) -> Value {
        json!({
            "title": {"ar": "حفل", "en": "Concert"}, "venue_id": self.main, "status": "published",
            "start_time": format!("2026-07-15T{start}"), "end_time": format!("2026-07-15T{end}"),
            "timezone": "Africa/Cairo",
        })
    }

    /// Makes an event.
    pub(crate) async fn make(&self, body: &Value) -> Reply {
        self.api.post("/api/v1/events", Some(&self.organizer), body).await
    }

    /// Makes an event that has to succeed; its id and tag.
    pub(crate) async fn made(&self, body: &Value) -> (i64, String) {
        let reply = self.make(body).await;
        (reply.data(201)["id"].as_i64().unwrap(), reply.header("etag").to_owned())
    }

    /// Replaces an event.
    pub(crate) async fn replace(&self, id: i64, etag: &str, body: &Value) -> Reply {
        self.api.put(&format!("/api/v1/events/{id}"), Some(&self.organizer), etag, body).await
    }

    /// Takes an event to another status.
    pub(crate) async fn step(&self, id: i64, to: &str) -> Reply {
        let path = format!("/api/v1/events/{id}/transitions");
        self.api.post(&path, Some(&self.organizer), &json!({"to": to})).await
    }

    /// What is in the outbox, which is empty afterwards.
    pub(crate) async fn changes(&self) -> Vec<Change> {
        let waiting = store::outbox::read(&self.api.store, 10_000).await.unwrap();
        let ids: Vec<_> = waiting.iter().map(|row| row.id).collect();
        let mut tx = self.api.store.begin().await.unwrap();
        store::outbox::delete(&mut tx, &ids).await.unwrap();
        tx.commit().await.unwrap();
        waiting.into_iter().map(|row| row.change).collect()
    }

    /// The same as types and topics: `event.moved: event:1 venue:1 festival`.
    pub(crate) async fn told(&self) -> Vec<String> {
        let line = |change: &Change| {
            let topics: Vec<_> = change.topics().iter().map(ToString::to_string).collect();
            format!("{}: {}", change.message_type(), topics.join(" "))
        };
        self.changes().await.iter().map(line).collect()
    }
}
