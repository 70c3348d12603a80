package import NIOCore
import WebFormats

/// `/asyncapi.json`: what goes over the edge's connections (AsyncAPI 3.0), told by the tables that the code reads
/// operations by.
package enum EdgeDescription {
    /// - Parameter version: of the program.
    package static func asyncAPI(version: String) -> ByteBuffer {
        var body = ByteBuffer()
        self.writeObject(into: &body) { body in
            self.write("asyncapi", "3.0.0", into: &body)
            self.writeObject("info", into: &body) {
                self.write("title", "Apus edge", into: &$0)
                self.write("version", version.isEmpty ? "0" : version, into: &$0)
            }
            self.write("defaultContentType", "application/json", into: &body)
            self.writeObject("channels", into: &body) { self.writeChannels(into: &$0) }
            self.writeObject("operations", into: &body) { self.writeOperations(into: &$0) }
            self.writeObject("components", into: &body) { components in
                self.writeObject("messages", into: &components) { self.writeMessages(into: &$0) }
            }
        }
        return body
    }

    private static let pushed = ["ok", "error", "push"] + EdgeEvent.names

    private static func writeChannels(into body: inout ByteBuffer) {
        let asked = OperationReader.fields.keys.sorted()
        for (name, address, messages) in [
            ("socket", "/v1/ws", asked + self.pushed), ("stream", "/v1/stream", ["push"] + EdgeEvent.names),
        ] {
            self.writeObject(name, into: &body) { channel in
                self.write("address", address, into: &channel)
                self.writeObject("messages", into: &channel) { body in
                    for message in messages { self.writeReference(message, "components/messages", into: &body) }
                }
            }
        }
    }

    private static func writeOperations(into body: inout ByteBuffer) {
        for name in OperationReader.fields.keys.sorted() {
            self.writeObject(name, into: &body) { operation in
                self.write("action", "receive", into: &operation)
                self.writeReference("channel", to: "#/channels/socket", into: &operation)
                self.writeMessageList([name], of: "socket", into: &operation)
                self.writeObject("reply", into: &operation) { reply in
                    self.writeReference("channel", to: "#/channels/socket", into: &reply)
                    self.writeMessageList(["ok", "error"], of: "socket", into: &reply)
                }
            }
        }
        for (name, channel) in [("push", "socket"), ("stream", "stream")] {
            self.writeObject(name, into: &body) { operation in
                self.write("action", "send", into: &operation)
                self.writeReference("channel", to: "#/channels/\(channel)", into: &operation)
                self.writeMessageList(["push"] + EdgeEvent.names, of: channel, into: &operation)
            }
        }
    }

    private static func writeMessages(into body: inout ByteBuffer) {
        for (name, fields) in OperationReader.fields.sorted(by: { $0.key < $1.key }) {
            self.writeMessage(name, ["id", "op"] + fields, required: ["op"], constant: ("op", name), into: &body)
        }
        self.writeMessage("ok", ["id", "ok"], required: ["id", "ok"], constant: nil, into: &body)
        self.writeMessage("error", ["id", "error"], required: ["error"], constant: nil, into: &body)
        self.writeMessage(
            "push", ["channel", "records", "cursor", "step"], required: ["channel", "records"], constant: nil,
            into: &body)
        for name in EdgeEvent.names {
            self.writeMessage(name, ["event"], required: ["event"], constant: ("event", name), into: &body)
        }
    }

    private static func writeMessage(
        _ name: String, _ fields: [String], required: [String], constant: (name: String, value: String)?,
        into body: inout ByteBuffer
    ) {
        self.writeObject(name, into: &body) { message in
            self.write("name", name, into: &message)
            self.writeObject("payload", into: &message) { schema in
                self.write("type", "object", into: &schema)
                schema.writeJSONName("required")
                schema.writeJSONTexts(required)
                self.writeObject("properties", into: &schema) { properties in
                    for field in fields {
                        self.writeObject(field, into: &properties) { property in
                            guard let constant, constant.name == field else { return }
                            self.write("const", constant.value, into: &property)
                        }
                    }
                }
            }
        }
    }

    // MARK: Writing

    private static func writeObject(
        _ name: String? = nil, into body: inout ByteBuffer, _ write: (inout ByteBuffer) -> Void
    ) {
        if let name { body.writeJSONKey(name) }
        body.writeStaticString("{")
        write(&body)
        body.writeStaticString("}")
    }

    private static func write(_ name: String, _ text: String, into body: inout ByteBuffer) {
        body.writeJSONKey(name)
        body.writeJSONString(text)
    }

    private static func writeReference(_ name: String, _ place: String, into body: inout ByteBuffer) {
        self.writeReference(name, to: "#/\(place)/\(name)", into: &body)
    }

    private static func writeReference(_ name: String, to place: String, into body: inout ByteBuffer) {
        self.writeObject(name, into: &body) { self.write("$ref", place, into: &$0) }
    }

    private static func writeMessageList(_ names: [String], of channel: String, into body: inout ByteBuffer) {
        body.writeJSONKey("messages")
        body.writeStaticString("[")
        for name in names {
            body.writeJSONComma()
            self.writeObject(into: &body) { self.write("$ref", "#/channels/\(channel)/messages/\(name)", into: &$0) }
        }
        body.writeStaticString("]")
    }
}

extension ByteBuffer {
    fileprivate mutating func writeJSONKey(_ name: String) {
        self.writeJSONComma()
        self.writeJSONString(name)
        self.writeStaticString(":")
    }

    fileprivate mutating func writeJSONTexts(_ texts: [String]) {
        self.writeStaticString("[")
        for text in texts {
            self.writeJSONComma()
            self.writeJSONString(text)
        }
        self.writeStaticString("]")
    }
}
