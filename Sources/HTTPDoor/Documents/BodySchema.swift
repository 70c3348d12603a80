import ApusCore
import NIOCore
import WebFormats

/// What a body, or a part of one, may be: a schema of JSON (2020-12), in the few words that this door needs.
struct BodySchema: Sendable {
    fileprivate let json: ByteBuffer

    private init(_ meaning: String, _ write: (inout ByteBuffer) -> Void) {
        var json = ByteBuffer()
        json.writeJSONBraces {
            write(&$0)
            if !meaning.isEmpty { $0.writeJSONMember("description", meaning) }
        }
        self.json = json
    }

    /// - Parameter pattern: a regular expression (ECMA-262).
    static func text(_ meaning: String = "", max: ByteCount? = nil, pattern: String? = nil) -> BodySchema {
        BodySchema(meaning) {
            $0.writeJSONMember("type", "string")
            if let max { $0.writeJSONMember("maxLength", max.rawValue) }
            if let pattern { $0.writeJSONMember("pattern", pattern) }
        }
    }

    static func word(_ words: [String], _ meaning: String = "") -> BodySchema {
        BodySchema(meaning) { $0.writeJSONArray("enum", words) { $0.writeJSONString($1) } }
    }

    static func number(_ range: ClosedRange<Int64>, _ meaning: String = "") -> BodySchema {
        BodySchema(meaning) {
            $0.writeJSONMember("type", "integer")
            $0.writeJSONMember("minimum", range.lowerBound)
            $0.writeJSONMember("maximum", range.upperBound)
        }
    }

    static func flag(_ meaning: String = "") -> BodySchema {
        BodySchema(meaning) { $0.writeJSONMember("type", "boolean") }
    }

    static let yes = BodySchema("") {
        $0.writeJSONName("const")
        $0.writeStaticString("true")
    }

    /// Any JSON.
    static func anything(_ meaning: String) -> BodySchema { BodySchema(meaning) { _ in } }

    static func types(_ names: [String], _ meaning: String = "") -> BodySchema {
        BodySchema(meaning) { $0.writeJSONArray("type", names) { $0.writeJSONString($1) } }
    }

    static func either(_ choices: [BodySchema], _ meaning: String = "") -> BodySchema {
        BodySchema(meaning) { $0.writeJSONArray("anyOf", choices) { $0.writeImmutableBuffer($1.json) } }
    }

    static func list(of element: BodySchema, _ count: ClosedRange<Int>, _ meaning: String = "") -> BodySchema {
        BodySchema(meaning) {
            $0.writeJSONMember("type", "array")
            $0.writeJSONMember("minItems", count.lowerBound)
            $0.writeJSONMember("maxItems", count.upperBound)
            $0.writeJSONName("items")
            $0.writeImmutableBuffer(element.json)
        }
    }

    /// Any names, with values of one kind.
    static func map(of value: BodySchema, _ meaning: String = "") -> BodySchema {
        BodySchema(meaning) {
            $0.writeJSONMember("type", "object")
            $0.writeJSONMember("maxProperties", Limits.edgeJSONMembersMax)
            $0.writeJSONName("additionalProperties")
            $0.writeImmutableBuffer(value.json)
        }
    }

    /// - Parameters:
    ///   - needed: fields that must be there.
    ///   - one: of these fields exactly one is there.
    ///   - isOpen: other fields may be there, too.
    static func object(
        _ fields: [(name: String, schema: BodySchema)], needs needed: [String] = [], oneOf one: [String] = [],
        isOpen: Bool = false, _ meaning: String = ""
    ) -> BodySchema {
        BodySchema(meaning) {
            $0.writeJSONMember("type", "object")
            $0.writeJSONObject("properties") { properties in
                for field in fields {
                    properties.writeJSONName(quoting: field.name)
                    properties.writeImmutableBuffer(field.schema.json)
                }
            }
            if !isOpen { $0.writeJSONMember("additionalProperties", false) }
            if !needed.isEmpty { $0.writeJSONArray("required", needed) { $0.writeJSONString($1) } }
            guard !one.isEmpty else { return }
            $0.writeJSONArray("oneOf", one) { choice, name in
                choice.writeJSONBraces { $0.writeJSONArray("required", [name]) { $0.writeJSONString($1) } }
            }
        }
    }
}

/// What a request's body may be, for `/openapi.json`.
struct RequestBody: Sendable {
    /// One of its types.
    struct Form: Sendable {
        let type: String
        let schema: BodySchema
        /// One that does what it says, as JSON.
        let example: String
    }

    let forms: [Form]
    var isRequired = true

    static func json(_ schema: BodySchema, example: String, isRequired: Bool = true) -> RequestBody {
        RequestBody(
            forms: [Form(type: "application/json", schema: schema, example: example)], isRequired: isRequired)
    }
}

extension ByteBuffer {
    mutating func writeJSONMember(_ body: RequestBody) {
        self.writeJSONObject("requestBody") { request in
            request.writeJSONMember("required", body.isRequired)
            request.writeJSONObject("content") { content in
                for form in body.forms {
                    content.writeJSONName(quoting: form.type)
                    content.writeJSONBraces {
                        $0.writeJSONName("schema")
                        $0.writeImmutableBuffer(form.schema.json)
                        $0.writeJSONName("example")
                        $0.writeString(form.example)
                    }
                }
            }
        }
    }
}
