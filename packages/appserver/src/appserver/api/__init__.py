"""The JSON API, one of the faces: routes, schemas and the OpenAPI document."""
