import ApusAccess
import ApusCore

/// The bodies of all other requests.
extension RequestBody {
    // MARK: Topics

    static let newTopic = RequestBody.json(
        .object(
            [
                ("name", .text("letters, digits, '.', '_', '-'", pattern: "^[a-zA-Z0-9._-]{1,249}$")),
                ("id", .text("a UUID", pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")),
                ("partitions", partitions), ("replication", .number(1...Int64(Int16.max))), ("config", configuration),
            ], needs: ["name"]),
        example: #"{"name":"chat","partitions":3,"config":{"retention.ms":86400000}}"#)

    static let topicChange: RequestBody = {
        let schema = BodySchema.object([("partitions", partitions), ("config", configuration)])
        let example = #"{"config":{"retention.ms":"3600000","cleanup.policy":null}}"#
        return RequestBody(
            forms: ["application/json", "application/merge-patch+json"].map {
                Form(type: $0, schema: schema, example: example)
            })
    }()

    static let trim = RequestBody.json(
        .object([("before", place), ("partition", .partition)], needs: ["before"]), example: #"{"before":0}"#)

    private static let partitions = BodySchema.number(1...Int64(Limits.partitionsPerTopicMax))
    private static let configuration = BodySchema.map(
        of: .types(["string", "number", "boolean", "null"]), "null: back to the default")
    private static let place = BodySchema.either(
        [
            .number(0...Int64.max),
            .text(pattern: "^(earliest|start|latest|end|[0-9]{1,18}|-[0-9]{1,18}|@[0-9]{1,18})$"),
        ],
        "earliest, latest, an offset, -100 (so many before the end), or @ and a time")

    // MARK: Groups and subscriptions

    static let seek = RequestBody.json(
        .object(
            [
                ("to", place), ("topic", .name("one topic only")), ("partition", .partition),
                ("dry_run", .flag("only say where it would be")),
            ], needs: ["to"]),
        example: #"{"to":"earliest","dry_run":true}"#)

    static let newSubscription = RequestBody.json(
        .object([(name: "name", schema: BodySchema.name())] + subscriptionFields, needs: ["name"]),
        example: #"{"name":"billing","topics":["orders"],"start":"earliest"}"#)

    static let subscriptionChange = RequestBody.json(
        .object(
            [(name: "version", schema: BodySchema.number(0...Int64.max, "only if it still is of this version"))]
                + subscriptionFields),
        example: #"{"period":86400000}"#)

    static let pull = RequestBody.json(
        .object([
            ("max", .number(1...Int64(Limits.webPullRecordsMax), "records at most")),
            ("wait", .text("for the first record", pattern: "^[0-9]{1,5}(ms|s|m)?$")),
        ]), example: #"{"max":10,"wait":"500ms"}"#)

    static let positions = RequestBody.json(
        .object(
            [
                (
                    "positions",
                    .list(
                        of: .object(
                            [("topic", .name()), ("partition", .partition), ("offset", .number(0...Int64.max))],
                            needs: ["topic", "partition", "offset"]),
                        1...Limits.webReadPartitionsMax, "as the pull said")
                )
            ], needs: ["positions"]),
        example: #"{"positions":[{"topic":"orders","partition":0,"offset":1}]}"#)

    private static let subscriptionFields: [(name: String, schema: BodySchema)] = [
        ("topics", .list(of: .name(), 1...Limits.webPageItemsMax, "either these or a pattern")),
        ("pattern", .name("a regular expression of topics' names")),
        ("start", .text("earliest, latest, or @ and a time", pattern: "^(earliest|latest|@[0-9]{1,13})$")),
        ("period", .number(1...Int64.max / 1_000_000, "milliseconds for which it wants records kept")),
        ("expiry", .number(1...Int64.max / 1_000_000, "milliseconds without use after which it goes")),
        ("owner", .name("like User:alice")), ("delivery", .word(["stream", "queue"])),
    ]

    // MARK: Access

    static let password = RequestBody.json(
        .object([("password", .text(max: Limits.passwordBytesMax))], needs: ["password"]),
        example: #"{"password":"a long one, that nobody guesses"}"#)

    static let newToken = RequestBody.json(
        .object(
            [
                ("name", .text("for people", max: Limits.apiKeyNameBytesMax)), ("owner", .name("like User:bob")),
                ("expires_in", .number(1...Int64.max / 1_000_000, "milliseconds")),
            ], needs: ["name"]),
        example: #"{"name":"ci","owner":"User:bob","expires_in":86400000}"#)

    static let rules = RequestBody.json(
        .object(
            [("acls", .list(of: rule, 1...Limits.aclFiltersPerRequestMax))], needs: ["acls"]),
        example:
            #"{"acls":[{"type":"topic","name":"o-","pattern":"prefixed","principal":"User:alice","operation":"read"}]}"#
    )

    private static let rule = BodySchema.object(
        [
            ("type", .word(AclRoutes.typeNames)), ("name", .text("of the cluster it may be left out")),
            ("pattern", .word(["literal", "prefixed"])),
            (
                "principal",
                .text("like User:alice; User:* is everybody", pattern: "^User:[a-zA-Z0-9._-]{1,60}$|^User:\\*$")
            ),
            ("host", .text("an address, or *")), ("operation", .word(AccessOperation.allCases.map(\.description))),
            ("permission", .word(["allow", "deny"])),
        ], needs: ["type", "principal", "operation"])
}
