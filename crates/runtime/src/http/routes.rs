//! A program's routes. Each is added with who may call it: there is no other way to add one.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use serde_json::Value;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::access::{Access, Accesses, guard};
use super::openapi;

/// Routes, each with who may call it.
pub struct Routes<S = ()> {
    router: OpenApiRouter<S>,
    access: Accesses,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Without any yet.
    pub fn new() -> Self {
        Self { router: OpenApiRouter::new(), access: Accesses::new() }
    }

    /// Adds what `routes!(handler)` has made, for keys that `access` admits.
    #[must_use]
    pub fn route(mut self, access: Access, (schemas, paths, methods): UtoipaMethodRouter<S>) -> Self {
        for (path, item) in &paths.paths {
            let item = serde_json::to_value(item).unwrap_or_default();
            for method in openapi::METHODS.into_iter().filter(|method| item.get(method).is_some()) {
                self.access.insert((path.clone(), method.to_owned()), access);
            }
        }
        let guarded = methods.route_layer(from_fn(move |request: Request, next: Next| guard(access, request, next)));
        Self { router: self.router.routes((schemas, paths, guarded)), ..self }
    }

    /// These and others.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.access.extend(other.access);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Gives the handlers what they work with.
    pub fn with_state<T: Clone + Send + Sync + 'static>(self, state: S) -> Routes<T> {
        Routes { router: self.router.with_state(state), access: self.access }
    }

    /// What they document alone, for whoever writes documents and serves nothing.
    #[must_use]
    pub fn documented(self) -> Routes<()> {
        Routes { router: OpenApiRouter::with_openapi(self.router.into_openapi()), access: self.access }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.access.is_empty()
    }

    /// What a program of this name documents.
    pub fn document(&self, name: &str) -> Value {
        openapi::document(name, self.router.get_openapi(), &self.access)
    }

    pub(super) fn into_router(self) -> Router<S> {
        self.router.into()
    }
}
