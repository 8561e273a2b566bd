//! The routes, one file per resource. The table below is all there is.

mod access;
mod actions;
mod attempts;
pub(crate) mod audit;
mod body;
mod budgets;
mod chats;
pub(crate) mod commands;
mod contract;
mod diff;
mod erase;
mod events;
mod files;
pub mod head;
pub(crate) mod health;
mod inbox;
mod keys;
mod messages;
mod metrics;
pub(crate) mod projections;
pub mod query;
mod queue;
mod settings;
mod stream;
mod templates;
pub(crate) mod title;
mod turns;
pub mod usage;
mod watch;
mod webhooks;
mod workspaces;
mod ws;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};

use crate::error::{Code, Problem};

/// Where the interface begins.
pub const API: &str = "/api/v1";

/// What a handler answers.
pub type Answered = Result<HttpResponse, Problem>;

/// Registers all routes.
pub fn configure(config: &mut ServiceConfig) {
    let chats = web::scope("/chats")
        .service(only("", "GET, POST").route(web::get().to(chats::list)).route(web::post().to(chats::create)))
        .service(
            only("/{chat}", "GET, PATCH, DELETE")
                .route(web::get().to(chats::read))
                .route(web::patch().to(chats::patch))
                .route(web::delete().to(erase::delete)),
        )
        .service(
            only("/{chat}/messages", "GET, POST")
                .route(web::get().to(messages::list))
                .route(web::post().to(messages::send)),
        )
        .service(only("/{chat}/messages/{message}", "PATCH").route(web::patch().to(messages::edit)))
        .service(only("/{chat}/queue", "GET").route(web::get().to(queue::list)))
        .service(only("/{chat}/queue/{queued}", "DELETE").route(web::delete().to(queue::delete)))
        .service(only("/{chat}/queue/{queued}/promote", "POST").route(web::post().to(queue::promote)))
        .service(only("/{chat}/context", "PUT").route(web::put().to(chats::reload_context)))
        .service(only("/{chat}/diff", "GET").route(web::get().to(diff::read)))
        .service(only("/{chat}/fork", "POST").route(web::post().to(chats::fork)))
        .service(only("/{chat}/interrupt", "POST").route(web::post().to(actions::interrupt)))
        .service(only("/{chat}/compact", "POST").route(web::post().to(actions::compact)))
        .service(only("/{chat}/title/propose", "POST").route(web::post().to(title::propose)))
        .service(only("/{chat}/title/regenerate", "POST").route(web::post().to(title::regenerate)))
        .service(only("/{chat}/clear", "POST").route(web::post().to(actions::clear)))
        .service(only("/{chat}/tool-results", "POST").route(web::post().to(actions::tool_results)))
        .service(only("/{chat}/approvals", "POST").route(web::post().to(actions::approvals)))
        .service(only("/{chat}/stream", "GET").route(web::get().to(stream::open)))
        .service(only("/{chat}/ws", "GET").route(web::get().to(ws::chat)))
        .service(only("/{chat}/events", "GET").route(web::get().to(events::list)))
        .service(only("/{chat}/children", "GET").route(web::get().to(chats::children)))
        .service(only("/{chat}/attempts/{attempt}", "GET").route(web::get().to(attempts::read)))
        .service(only("/{chat}/prompts", "GET").route(web::get().to(messages::prompts)))
        .service(only("/{chat}/turns", "GET").route(web::get().to(turns::list)));
    config
        .service(only("/healthz", "GET").route(web::get().to(health::healthz)))
        .service(only("/readyz", "GET").route(web::get().to(health::readyz)))
        .service(only("/metrics", "GET").route(web::get().to(metrics::read)))
        .service(only("/openapi.json", "GET").route(web::get().to(contract::document)))
        .service(only("/docs", "GET").route(web::get().to(contract::page)))
        .service(
            web::scope(API)
                .service(chats)
                .service(
                    only("/keys", "GET, POST").route(web::get().to(keys::list)).route(web::post().to(keys::create)),
                )
                .service(only("/keys/{key}", "DELETE").route(web::delete().to(keys::revoke)))
                .service(only("/watch", "GET").route(web::get().to(watch::open)))
                .service(only("/watch/ws", "GET").route(web::get().to(ws::watched)))
                .service(only("/inbox", "GET").route(web::get().to(inbox::list)))
                .service(only("/inbox/read-all", "PUT").route(web::put().to(inbox::mark_all)))
                .service(only("/inbox/watch", "GET").route(web::get().to(inbox::watch)))
                .service(only("/inbox/watch/ws", "GET").route(web::get().to(ws::inbox)))
                .service(only("/inbox/{notification}/read", "PUT").route(web::put().to(inbox::mark)))
                .service(only("/webhooks", "GET").route(web::get().to(webhooks::list)))
                .service(only("/webhooks/{name}/resume", "POST").route(web::post().to(webhooks::resume)))
                .service(only("/log", "GET").route(web::get().to(audit::log)))
                .service(only("/audit/verify", "POST").route(web::post().to(audit::verify)))
                .service(only("/files", "POST").route(web::post().to(files::create)))
                .service(only("/files/{file}", "GET").route(web::get().to(files::read)))
                .service(
                    only("/providers", "GET, POST")
                        .route(web::get().to(settings::providers))
                        .route(web::post().to(settings::set_provider)),
                )
                .service(
                    only("/providers/{provider}", "GET, PUT, PATCH, DELETE")
                        .route(web::get().to(settings::provider))
                        .route(web::put().to(settings::set_provider))
                        .route(web::patch().to(settings::set_provider))
                        .route(web::delete().to(settings::delete_provider)),
                )
                .service(
                    only("/models", "GET, POST")
                        .route(web::get().to(settings::models))
                        .route(web::post().to(settings::set_model)),
                )
                .service(
                    only("/models/{model}", "GET, PUT, PATCH, DELETE")
                        .route(web::get().to(settings::model))
                        .route(web::put().to(settings::set_model))
                        .route(web::patch().to(settings::set_model))
                        .route(web::delete().to(settings::delete_model)),
                )
                .service(
                    only("/templates", "GET, POST")
                        .route(web::get().to(templates::list))
                        .route(web::post().to(templates::set)),
                )
                .service(
                    only("/templates/{template}", "GET, PUT, PATCH, DELETE")
                        .route(web::get().to(templates::read))
                        .route(web::put().to(templates::set))
                        .route(web::patch().to(templates::set))
                        .route(web::delete().to(templates::delete)),
                )
                .service(only("/workspaces", "GET").route(web::get().to(workspaces::list)))
                .service(only("/workspaces/{workspace}", "DELETE").route(web::delete().to(workspaces::delete)))
                .service(only("/budgets", "GET").route(web::get().to(budgets::list)))
                .service(
                    only("/budgets/{owner}", "GET, PUT, DELETE")
                        .route(web::get().to(budgets::read))
                        .route(web::put().to(budgets::put))
                        .route(web::delete().to(budgets::delete)),
                )
                .service(only("/usage", "GET").route(web::get().to(usage::list)))
                .service(only("/projections", "GET").route(web::get().to(projections::list)))
                .service(only("/projections/{name}/rebuild", "POST").route(web::post().to(projections::rebuild))),
        )
        .default_service(web::to(not_found));
}

/// A resource that takes these methods and refuses all others by naming them.
fn only(path: &str, allow: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move {
        let detail = format!("this address takes {allow}");
        Err::<HttpResponse, _>(Problem {
            allow: Some(allow.to_owned()),
            ..Problem::new(Code::MethodNotAllowed, detail)
        })
    }))
}

async fn not_found(request: HttpRequest) -> Answered {
    // The path alone: the query may hold a key.
    Err(Problem::new(Code::NotFound, format!("there is nothing at {}", request.path())))
}

#[cfg(test)]
mod tests;
