//! What registries say when they refuse (distribution-spec, "Error Codes").

use serde::Deserialize;

use super::RegistryError;
use super::client::Repository;
use crate::fetch::{FetchError, Response};

#[derive(Deserialize)]
struct Answer {
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: String,
    #[serde(default)]
    message: String,
}

/// Returns what a registry says, in its words.
fn words(detail: &str) -> String {
    let Ok(answer) = serde_json::from_str::<Answer>(detail) else { return detail.to_owned() };
    let fault = |fault: &Fault| match fault.message.as_str() {
        "" => fault.code.clone(),
        message => format!("{}: {message}", fault.code),
    };
    answer.errors.iter().map(fault).collect::<Vec<_>>().join(", ")
}

impl Repository<'_> {
    /// Makes an error of an answer that does not serve; `what` is what was asked for.
    pub(super) fn refusal(&self, mut response: Response, what: &str) -> RegistryError {
        self.failure(response.refusal(), what)
    }

    /// Makes an error of a failed request; `what` is what was asked for.
    pub(super) fn failure(&self, error: FetchError, what: &str) -> RegistryError {
        let (registry, repository) = (self.endpoint.registry.clone(), self.endpoint.repository.clone());
        match error {
            FetchError::Status { status: 401 | 403, detail, .. } => RegistryError::Refused {
                registry,
                repository,
                action: self.action.words(),
                anonymous: self.is_anonymous(),
                detail: words(&detail),
            },
            FetchError::Status { status: 404, detail, .. } => {
                RegistryError::NotFound { registry, repository, what: what.to_owned(), detail: words(&detail) }
            }
            FetchError::Status { url, status, detail, retry_after } => {
                let source = Box::new(FetchError::Status { url, status, detail: words(&detail), retry_after });
                RegistryError::Fetch { registry, repository, source }
            }
            source => RegistryError::Fetch { registry, repository, source: Box::new(source) },
        }
    }

    /// Makes an error of an answer that is not as the specification says.
    pub(super) fn protocol(&self, reason: impl Into<String>) -> RegistryError {
        let (registry, repository) = (self.endpoint.registry.clone(), self.endpoint.repository.clone());
        RegistryError::Protocol { registry, repository, reason: reason.into() }
    }
}
