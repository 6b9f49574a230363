//! The description of the API for others, in the form of OpenAPI 3.1: what stands in `docs/openapi.json`.

extern crate std;

use crate::problem::Problem;
use crate::role::Role;
use crate::routes::{Body, Kind, Parameter, ROUTES, Route};
use crate::types;
use alloc::string::{String, ToString};
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// The description.
pub fn description() -> Value {
    let mut schemas = SchemaGenerator::new(SchemaSettings::openapi3());
    name_types(&mut schemas);
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.name().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "R-VMM management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP/1.1 inside the encrypted channel that the manual describes. Every request shows a token.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "webhooks": { "notification": { "post": notification() } },
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": roles() } },
        },
    })
}

/// The types that bodies name.
fn name_types(schemas: &mut SchemaGenerator) {
    fn one<T: JsonSchema>(schemas: &mut SchemaGenerator) {
        schemas.subschema_for::<T>();
    }
    let types = [
        one::<types::Host>,
        one::<types::Vm>,
        one::<types::Vms>,
        one::<types::Vcpu>,
        one::<types::Vcpus>,
        one::<types::Vif>,
        one::<types::Disk>,
        one::<types::Devices>,
        one::<types::LastFault>,
        one::<types::Done>,
        one::<types::VolumeUser>,
        one::<types::Volume>,
        one::<types::Volumes>,
        one::<types::Digest>,
        one::<types::Console>,
        one::<types::Component>,
        one::<types::Components>,
        one::<types::Event>,
        one::<types::Events>,
        one::<types::Notification>,
        one::<Problem>,
    ];
    types.iter().for_each(|name| name(schemas));
}

fn roles() -> String {
    let names = Role::NAMES.map(|(name, _)| name).join(", ");
    std::format!(
        "64 hexadecimal digits. Each stands for a role: {names}; each may do what those before it may."
    )
}

fn operation(route: &Route) -> Value {
    let name = route
        .path
        .contains("{name}")
        .then(|| json!({ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }));
    let parameters: alloc::vec::Vec<Value> =
        name.into_iter().chain(route.query.iter().map(parameter)).collect();
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.about,
        "x-role": route.role.name(),
        "parameters": parameters,
        "responses": {
            route.status.code().to_string(): answer(route.status.reason(), route.answer),
            "default": answer("It is not done; the body says why", Body::Json("Problem")),
        },
    });
    if route.request != Body::None {
        operation["requestBody"] = json!({ "required": true, "content": content(route.request) });
    }
    operation
}

/// What a receiver of notifications is asked.
fn notification() -> Value {
    json!({
        "summary": "Local repair was not enough, or that is over: what the event log says. Told again until it is answered so.",
        "security": [],
        "parameters": [{
            "name": "rvmm-signature",
            "in": "header",
            "required": true,
            "description": "Keyed BLAKE2s of the body, in 64 hexadecimal digits.",
            "schema": { "type": "string" },
        }],
        "requestBody": { "required": true, "content": content(Body::Json("Notification")) },
        "responses": { "2XX": { "description": "The receiver has it." } },
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let kind = match parameter.kind {
        Kind::Number => "integer",
        Kind::Word => "string",
    };
    json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": { "type": kind } })
}

fn answer(about: &str, body: Body) -> Value {
    json!({ "description": about, "content": content(body) })
}

fn content(body: Body) -> Value {
    let schema = match body {
        Body::None => return json!({}),
        Body::Json(name) => json!({ "$ref": std::format!("#/components/schemas/{name}") }),
        Body::Text => json!({ "type": "string" }),
        Body::Bytes => json!({}),
    };
    json!({ body.media_type(): { "schema": schema } })
}
