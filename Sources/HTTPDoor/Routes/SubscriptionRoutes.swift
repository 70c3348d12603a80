import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Durable subscriptions: create, list, describe, change, remove. A stream subscription's position is that of the group
/// of its name: `/v1/groups/…:seek` moves it.
enum SubscriptionRoutes {
    private static let fields = ["topics", "pattern", "start", "period", "expiry", "owner", "delivery"]

    static var all: [WebRoute] {
        [
            WebRoute(.post, "/v1/subscriptions", "Make a subscription", body: .newSubscription) {
                try await self.create($0, $1)
            },
            WebRoute(
                .get, "/v1/subscriptions", "List subscriptions, in the order of their names",
                query: [
                    ("owner", "like User:alice"), ("topic", "that they read"), ("cursor", "`next` of the page before"),
                ]
            ) { try await self.list($0, $1) },
            WebRoute(.get, "/v1/subscriptions/{subscription}", "Describe a subscription") { request, context in
                _ = try Query(request.uri.query, names: [])
                return self.response(try await self.find(try context.segment("subscription"), context))
            },
            WebRoute(
                .patch, "/v1/subscriptions/{subscription}",
                "Change a subscription; with `version`, only if nobody else has changed it since",
                body: .subscriptionChange
            ) { try await self.change($0, $1) },
            WebRoute(.delete, "/v1/subscriptions/{subscription}", "Remove a subscription") { request, context in
                _ = try Query(request.uri.query, names: [])
                let name = SubscriptionName(try context.segment("subscription"))
                let _: RegisteredSubscription = try await context.ask { answer in
                    context.broker.removeSubscriptions([name], client: context.client, on: context.loop) {
                        answer($0[0])
                    }
                }
                return Response(status: .noContent)
            },
        ]
    }

    // MARK: Verbs

    private static func create(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        return try await context.withFields(of: request, "a subscription", ["name"] + self.fields) { fields in
            let name = try fields.required("name", try fields.text("name", max: Limits.channelNameBytesMax))
            let new = Subscription(
                name: SubscriptionName(name), owner: context.client.consumerName, interest: .names([]))
            let made = try await self.put(try self.changed(new, by: fields), expecting: .none, context)
            var headers = HTTPFields()
            headers[.location] = "/v1/subscriptions/\(PercentText.encoded(name))"
            return self.response(made, status: .created, headers: headers)
        }
    }

    private static func change(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let name = try context.segment("subscription")
        return try await context.withFields(of: request, "a subscription", ["version"] + self.fields) { fields in
            let version = try fields.integer("version", 0...Int64.max)
            let found = try await self.find(name, context)
            let changed = try self.changed(found.subscription, by: fields)
            let expecting = version.map { CatalogueVersion(rawValue: $0) } ?? found.version
            return self.response(try await self.put(changed, expecting: expecting, context))
        }
    }

    private static func list(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["owner", "topic", "cursor"])
        let filter = SubscriptionFilter(
            owner: query.text("owner").map { ConsumerName($0) }, topic: query.text("topic"),
            after: try query.pageStart().map { SubscriptionName($0) })
        let list: SubscriptionList = try await context.ask { answer in
            context.broker.listSubscriptions(filter, client: context.client, on: context.loop, then: answer)
        }
        return Response.object { body in
            body.writeJSONArray("items", list.items) { body, entry in
                body.writeJSONBraces { self.write(entry, into: &$0) }
            }
            if let next = list.next { body.writeJSONPage(next: next.text) }
        }
    }

    static func find(_ name: String, _ context: WebContext) async throws(Problem) -> RegisteredSubscription {
        let filter = SubscriptionFilter(names: [SubscriptionName(name)])
        let list: SubscriptionList = try await context.ask { answer in
            context.broker.listSubscriptions(filter, client: context.client, on: context.loop, then: answer)
        }
        guard let found = list.items.first else {
            throw Problem(.subscriptionNotFound, "there is no subscription '\(name)'")
        }
        return found
    }

    private static func put(
        _ subscription: Subscription, expecting version: CatalogueVersion, _ context: WebContext
    ) async throws(Problem) -> RegisteredSubscription {
        let wish = SubscriptionWish(subscription, expecting: version, reason: "HTTP")
        return try await context.ask { answer in
            context.broker.put(wish, client: context.client, on: context.loop, then: answer)
        }
    }

    // MARK: Fields

    private static func changed(
        _ subscription: Subscription, by fields: FieldReader
    ) throws(Problem) -> Subscription {
        var changed = subscription
        if fields.has("topics"), fields.has("pattern") {
            throw Problem(.invalidRequest, "a subscription has either 'topics' or 'pattern'")
        }
        if let topics = try fields.elements("topics", max: Limits.webPageItemsMax) {
            changed.interest = .names(
                try topics.map { topic throws(Problem) in
                    guard let name = topic.text else { throw fields.refusal("topics", "is an array of names") }
                    return name
                })
        }
        if let pattern = try fields.text("pattern", max: Limits.channelNameBytesMax) {
            do throws(InvalidField) {
                changed.interest = .pattern(try TopicPattern(pattern))
            } catch {
                throw Problem(.invalidRequest, error.description)
            }
        }
        if let start = try fields.text("start", max: Limits.edgeStartBytesMax) {
            switch StartPoint(start) {
            case .earliest: changed.start = .earliest
            case .latest: changed.start = .latest
            case .time(let time): changed.start = .time(time)
            default: throw fields.refusal("start", "is 'earliest', 'latest', or '@' and a time")
            }
        }
        if fields.has("period") { changed.period = try self.duration("period", fields) }
        if fields.has("expiry") { changed.expiry = try self.duration("expiry", fields) }
        if let owner = try fields.text("owner", max: Limits.channelNameBytesMax) { changed.owner = ConsumerName(owner) }
        if let word = try fields.text("delivery", max: .bytes(16)) {
            guard let delivery = Subscription.Delivery(rawValue: word) else {
                throw fields.refusal("delivery", "is stream or queue")
            }
            changed.delivery = delivery
        }
        return changed
    }

    /// In whole milliseconds; null for none.
    private static func duration(_ name: String, _ fields: FieldReader) throws(Problem) -> Duration? {
        try fields.integer(name, 1...Int64.max / 1_000_000).map { .milliseconds($0) }
    }

    private static func response(
        _ entry: RegisteredSubscription, status: HTTPResponse.Status = .ok, headers: HTTPFields = HTTPFields()
    ) -> Response {
        Response.object(status: status, headers: headers) { self.write(entry, into: &$0) }
    }

    private static func write(_ entry: RegisteredSubscription, into body: inout ByteBuffer) {
        let subscription = entry.subscription
        body.writeJSONMember("name", subscription.name.text)
        body.writeJSONMember("id", entry.id.rawValue)
        body.writeJSONMember("version", entry.version.rawValue)
        body.writeJSONMember("owner", subscription.owner.text)
        if let pattern = subscription.interest.pattern {
            body.writeJSONMember("pattern", pattern.text)
        } else {
            body.writeJSONArray("topics", subscription.interest.names) { $0.writeJSONString($1) }
        }
        body.writeJSONMember("delivery", subscription.delivery.rawValue)
        switch subscription.start {
        case .earliest: body.writeJSONMember("start", "earliest")
        case .latest: body.writeJSONMember("start", "latest")
        case .time(let time): body.writeJSONMember("start", "@\(time.rawValue)")
        }
        if let period = subscription.period { body.writeJSONMember("period", period.wholeMilliseconds) }
        if let expiry = subscription.expiry { body.writeJSONMember("expiry", expiry.wholeMilliseconds) }
        body.writeJSONMember("origin", subscription.origin.rawValue)
        body.writeJSONMember("created", entry.createdAt.rawValue)
        body.writeJSONMember("used", entry.usedAt.rawValue)
    }
}
