import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// What there is, told by the tables that make it: `/openapi.json` and `/errors/{code}`.
enum DocumentRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(.get, "/openapi.json", "This description (OpenAPI 3.1)", isOpen: true) { _, context in
                Response(json: self.description(version: context.door.configuration.version))
            },
            WebRoute(
                .get, "/asyncapi.json", "What goes over WebSockets and event streams (AsyncAPI 3.0)", isOpen: true
            ) { _, context in
                guard let description = context.door.configuration.asyncAPI else {
                    throw Problem(.notFound, "this server has no WebSockets and event streams")
                }
                return Response(json: description)
            },
            WebRoute(.get, "/errors/{code}", "What a problem's code means", isOpen: true) { _, context in
                let text = try context.segment("code")
                guard let code = ProblemCode(rawValue: text) else {
                    throw Problem(.notFound, "there is no problem '\(text)'")
                }
                return Response.object { body in
                    body.writeJSONMember("code", code.rawValue)
                    body.writeJSONMember("title", "\(code.title)")
                    body.writeJSONMember("status", code.status)
                    if let kafka = code.kafkaError { body.writeJSONMember("kafka_error", kafka) }
                    body.writeJSONMember("retryable", code.isRetryable)
                }
            },
        ]
    }

    private static func description(version: String) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeJSONBraces { body in
            body.writeJSONMember("openapi", "3.1.0")
            body.writeJSONObject("info") {
                $0.writeJSONMember("title", "Apus")
                $0.writeJSONMember("version", version.isEmpty ? "0" : version)
            }
            body.writeJSONObject("paths") { paths in
                var seen: Set<String> = []
                for route in WebRoute.all where seen.insert(route.path).inserted {
                    paths.writeJSONName(quoting: route.path)
                    paths.writeJSONBraces { self.write(WebRoute.all.filter { $0.path == route.path }, into: &$0) }
                }
            }
            body.writeJSONObject("components") { components in
                components.writeJSONObject("securitySchemes") { schemes in
                    for name in ["bearer", "basic"] {
                        schemes.writeJSONName(quoting: name)
                        schemes.writeJSONBraces {
                            $0.writeJSONMember("type", "http")
                            $0.writeJSONMember("scheme", name)
                        }
                    }
                }
                components.writeJSONObject("schemas") { schemas in
                    schemas.writeJSONObject("problem") { self.writeProblemSchema(into: &$0) }
                }
            }
        }
        return body
    }

    private static func write(_ routes: [WebRoute], into path: inout ByteBuffer) {
        for route in routes {
            path.writeJSONName(quoting: route.method.rawValue.lowercased())
            path.writeJSONBraces { operation in
                operation.writeJSONMember("summary", route.summary)
                let inPath = route.path.split(separator: "{").dropFirst().compactMap { $0.split(separator: "}").first }
                operation.writeJSONName("parameters")
                operation.writeInteger(UInt8(ascii: "["))
                for name in inPath { self.write(parameter: String(name), in: "path", "", into: &operation) }
                for (name, meaning) in route.query {
                    self.write(parameter: name, in: "query", meaning, into: &operation)
                }
                for (name, meaning) in route.headers {
                    self.write(parameter: name, in: "header", meaning, into: &operation)
                }
                operation.writeInteger(UInt8(ascii: "]"))
                if let body = route.body { operation.writeJSONMember(body) }
                operation.writeJSONObject("responses") { responses in
                    responses.writeJSONObject("2XX") { $0.writeJSONMember("description", "Done.") }
                    responses.writeJSONObject("default") { answer in
                        answer.writeJSONMember("description", "A problem (RFC 9457).")
                        answer.writeJSONObject("content") { content in
                            content.writeJSONObject("application/problem+json") { media in
                                media.writeJSONObject("schema") {
                                    $0.writeJSONMember("$ref", "#/components/schemas/problem")
                                }
                            }
                        }
                    }
                }
                guard !route.isOpen else { return }
                operation.writeJSONArray("security", ["", "bearer", "basic"]) { body, name in
                    body.writeJSONBraces { scheme in
                        guard !name.isEmpty else { return }
                        scheme.writeJSONName(quoting: name)
                        scheme.writeStaticString("[]")
                    }
                }
            }
        }
    }

    private static func write(
        parameter name: String, in place: String, _ meaning: String, into body: inout ByteBuffer
    ) {
        body.writeJSONComma()
        body.writeJSONBraces { parameter in
            parameter.writeJSONMember("name", name)
            parameter.writeJSONMember("in", place)
            if !meaning.isEmpty { parameter.writeJSONMember("description", meaning) }
            parameter.writeJSONMember("required", place == "path")
            parameter.writeJSONObject("schema") { $0.writeJSONMember("type", "string") }
        }
    }

    private static func writeProblemSchema(into schema: inout ByteBuffer) {
        schema.writeJSONMember("type", "object")
        schema.writeJSONArray("required", ["type", "title", "status", "detail", "code", "retryable"]) {
            $0.writeJSONString($1)
        }
        schema.writeJSONObject("properties") { properties in
            for (name, type) in [
                ("type", "string"), ("title", "string"), ("status", "integer"), ("detail", "string"),
                ("kafka_error", "integer"), ("retryable", "boolean"), ("retry_in", "integer"), ("hint", "string"),
            ] {
                properties.writeJSONName(quoting: name)
                properties.writeJSONBraces { $0.writeJSONMember("type", type) }
            }
            properties.writeJSONObject("code") { code in
                code.writeJSONMember("type", "string")
                code.writeJSONArray("enum", ProblemCode.allCases) { $0.writeJSONString($1.rawValue) }
            }
        }
    }
}
