import ApusCore
import WebFormats

/// The bodies of writes.
extension RequestBody {
    static let records = RequestBody(forms: [
        Form(
            type: "application/json",
            schema: .either(
                [
                    record,
                    .object(
                        [("records", .list(of: record, 1...Limits.webRecordsPerWriteMax))], needs: ["records"]),
                ], "one record, or several"),
            example: #"{"records":[{"key":"k","value":{"n":1}},{"text":"hello"}]}"#),
        Form(
            type: "application/x-ndjson",
            schema: .text("a record as JSON in each line; the answer is a report in each line, while they come"),
            example: #""{\"value\":1}\n{\"text\":\"b\"}\n""#),
        Form(type: "application/cloudevents+json", schema: event, example: eventExample),
        Form(
            type: "application/cloudevents-batch+json",
            schema: .list(of: event, 1...Limits.webRecordsPerWriteMax), example: "[\(eventExample)]"),
        Form(
            type: "text/plain", schema: .text("any other type, too: the body is the record's value"),
            example: #""hello""#),
    ])

    private static let headers = BodySchema.either(
        [
            .map(of: header),
            .list(
                of: .list(of: .either([.text(), header]), 2...2), 0...Limits.edgeJSONMembersMax,
                "a name and a value each, where a name stands twice"),
        ])

    private static let header = BodySchema.either(
        [
            .types(["string", "null"]),
            .object([("base64", base64)], needs: ["base64"]),
        ])

    private static let base64 = BodySchema.text(
        "with padding", pattern: "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")

    private static let record = BodySchema.object(
        [
            ("value", .anything("any JSON, kept byte for byte")), ("text", .text("the value, as text")),
            ("base64", base64), ("deleted", .yes), ("key", .text("decides the partition", max: Limits.edgeKeyBytesMax)),
            ("key_base64", base64), ("headers", headers),
            ("type", .text("the content type of the value", max: Limits.edgeContentTypeBytesMax)),
            ("partition", .partition), ("timestamp", .number(0...Int64.max, "milliseconds since 1970")),
        ], oneOf: ["value", "text", "base64", "deleted"])

    private static let event = BodySchema.object(
        [
            ("specversion", .word(["1.0"])), ("id", .text()), ("source", .text()), ("type", .text()),
            ("partitionkey", .text("the record's key")),
        ], needs: ["specversion", "id", "source", "type"], isOpen: true, "CloudEvents 1.0")

    private static let eventExample =
        #"{"specversion":"1.0","id":"1","source":"/sensors/1","type":"reading","data":{"celsius":21}}"#
}

extension BodySchema {
    static let partition = BodySchema.number(0...Int64(Limits.partitionsPerTopicMax - 1))

    /// The name of a topic, a group or a subscription.
    static func name(_ meaning: String = "") -> BodySchema { .text(meaning, max: Limits.channelNameBytesMax) }
}
