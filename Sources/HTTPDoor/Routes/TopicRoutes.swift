import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// Topics: create, list, describe, change, delete, trim.
enum TopicRoutes {
    static var all: [WebRoute] {
        [
            WebRoute(.post, "/v1/topics", "Create a topic", body: .newTopic) { try await self.create($0, $1) },
            WebRoute(
                .get, "/v1/topics", "List topics, in the order of their names",
                query: [
                    ("prefix", "only names that begin so"), ("limit", "items of a page"),
                    ("cursor", "`next` of the page before"), ("internal", "true: the system's own, too"),
                ]
            ) { try await self.list($0, $1) },
            WebRoute(
                .get, "/v1/topics/{topic}", "Describe a topic",
                query: [("offsets", "true: where each partition begins and ends")]
            ) { try await self.describe($0, $1) },
            WebRoute(
                .patch, "/v1/topics/{topic}", "Change a topic's configuration, or add partitions",
                headers: [self.ifMatch], body: .topicChange
            ) { try await self.change($0, $1) },
            WebRoute(
                .delete, "/v1/topics/{topic}", "Delete a topic and its records for good", headers: [self.ifMatch]
            ) { request, context in
                _ = try Query(request.uri.query, names: [])
                let topic = try context.topic()
                let expecting = try EntityTags.expected(of: request)
                let _: Topic = try await context.ask { answer in
                    context.broker.deleteTopics(
                        [topic], expecting: expecting, client: context.client, on: context.loop
                    ) { answer($0[0]) }
                }
                return Response(status: .noContent)
            },
            WebRoute(.post, "/v1/topics/{topic}:trim", "Delete the records in front of a place", body: .trim) {
                try await self.trim($0, $1)
            },
        ]
    }

    private static let ifMatch = (name: "If-Match", meaning: "only if it still is as this `ETag` says")

    // MARK: Create

    private static func create(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let names = ["name", "id", "partitions", "replication", "config"]
        return try await context.withFields(of: request, "a topic", names) { fields in
            let wish = try self.wish(fields)
            let topic: Topic = try await context.ask { answer in
                context.broker.create([wish], client: context.client, on: context.loop) { answer($0[0]) }
            }
            var headers = HTTPFields()
            headers[.location] = "/v1/topics/\(PercentText.encoded(topic.name))"
            return try await self.described(topic, context, withOffsets: false, status: .created, headers: headers)
        }
    }

    private static func wish(_ fields: FieldReader) throws(Problem) -> TopicSpecification {
        let name = try fields.required("name", try fields.text("name", max: Limits.channelNameBytesMax))
        var id: TopicID?
        if let text = try fields.text("id", max: .bytes(64)) {
            guard let read = TopicID(text), read != .none else {
                throw fields.refusal("id", "is a UUID like 6ba7b810-9dad-41d1-80b4-00c04fd430c8")
            }
            id = read
        }
        let partitions = try fields.integer("partitions", 1...Int64(Limits.partitionsPerTopicMax))
        let replication = try fields.integer("replication", 1...Int64(Int16.max))
        return TopicSpecification(
            id: id, name: name, partitions: partitions.map { Int32(truncatingIfNeeded: $0) } ?? -1,
            replicationFactor: replication.map { Int16(truncatingIfNeeded: $0) } ?? -1,
            configuration: try self.configuration(fields)
        )
    }

    /// Names to values; a value may be written as the number or the flag that it is. Null asks for the default.
    private static func configuration(_ fields: FieldReader) throws(Problem) -> [String: String?] {
        var values: [String: String?] = [:]
        for member in try fields.object("config")?.members ?? [] {
            switch member.value.kind {
            case .string, .number, .boolean:
                values[member.name] = .some(member.value.text ?? String(buffer: member.value.bytes))
            case .null: values[member.name] = .some(nil)
            case .array, .object:
                throw Problem(
                    .invalidRequest, "'\(member.name)' in 'config' is a string, a number, true, false or null")
            }
        }
        return values
    }

    // MARK: List and describe

    private static func list(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["prefix", "limit", "cursor", "internal"])
        let prefix = query.text("prefix") ?? ""
        let limit = try query.pageItems()
        let after = try query.pageStart()
        let withInternal = try query.boolean("internal") ?? false
        let found = context.broker.topics(for: context.client).filter { topic in
            (withInternal || !topic.isInternal) && topic.name.utf8.starts(with: prefix.utf8)
                && (after.map { $0 < topic.name } ?? true)
        }.sorted { $0.name < $1.name }
        return Response.object { body in
            body.writeJSONArray("items", found.prefix(limit)) { body, topic in
                body.writeJSONBraces { $0.writeMembers(of: topic) }
            }
            if found.count > limit { body.writeJSONPage(next: found[limit - 1].name) }
        }
    }

    private static func describe(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["offsets"])
        let topic = try self.topic(try context.topic(), context)
        return try await self.described(topic, context, withOffsets: try query.boolean("offsets") ?? false)
    }

    static func topic(_ reference: TopicReference, _ context: WebContext) throws(Problem) -> Topic {
        do throws(BrokerError) {
            return try context.broker.topic(reference, for: context.client)
        } catch {
            throw Problem(error)
        }
    }

    private static func described(
        _ topic: Topic, _ context: WebContext, withOffsets: Bool, status: HTTPResponse.Status = .ok,
        headers: HTTPFields = HTTPFields()
    ) async throws -> Response {
        let ends = withOffsets ? try await self.ends(of: topic, context) : nil
        var headers = headers
        headers[.eTag] = EntityTags.written(topic.tag)
        // Who may not see it sees the topic without.
        let configuration = try? context.broker.describeConfiguration(.topic(topic.name), client: context.client).get()
        return Response.object(status: status, headers: headers) { body in
            body.writeMembers(of: topic)
            body.writeJSONArray("placement", topic.partitions) { body, partition in
                body.writeJSONBraces { member in
                    member.writeJSONMember("partition", partition.index.rawValue)
                    member.writeJSONMember("leader", partition.leader.rawValue)
                    member.writeJSONArray("replicas", partition.replicas) { $0.writeJSONInteger($1.rawValue) }
                    member.writeJSONArray("in_sync", partition.inSyncReplicas) { $0.writeJSONInteger($1.rawValue) }
                    guard let ends, ends.indices.contains(Int(partition.index.rawValue)) else { return }
                    let (start, end) = ends[Int(partition.index.rawValue)]
                    member.writeJSONMember("start", start.rawValue)
                    member.writeJSONMember("end", end.rawValue)
                }
            }
            guard let configuration else { return }
            body.writeJSONObject("config") { config in
                for entry in configuration where !entry.isSensitive {
                    guard let value = entry.value else { continue }
                    config.writeJSONName(quoting: entry.name)
                    config.writeJSONString(value)
                }
            }
            body.writeJSONArray("set", configuration.filter { $0.source == .topic }.map(\.name)) {
                $0.writeJSONString($1)
            }
        }
    }

    /// Where each partition begins and ends, for its readers.
    private static func ends(of topic: Topic, _ context: WebContext) async throws(Problem) -> [(Offset, Offset)] {
        guard topic.partitionCount <= Int32(Limits.webReadPartitionsMax) else {
            throw Problem(.tooMany, "offsets are told of at most \(Limits.webReadPartitionsMax) partitions at once")
        }
        let all = topic.partitions.map(\.index)
        let starts = try await self.offsets(.earliest, of: all, in: topic, context)
        let ends = try await self.offsets(.latest, of: all, in: topic, context)
        return zip(starts, ends).map { ($0.offset, $1.offset) }
    }

    /// One offset of each partition, in the partitions' order.
    static func offsets(
        _ position: OffsetQuery.Position, of partitions: [PartitionIndex], in topic: Topic, _ context: WebContext
    ) async throws(Problem) -> [OffsetAnswer] {
        let queries = partitions.map { OffsetQuery(topic: .id(topic.id), partition: $0, position: position) }
        let answers = await context.wait { (then: @escaping @Sendable ([Result<OffsetAnswer, BrokerError>]) -> Void) in
            context.broker.listOffsets(
                queries, isolation: .uncommitted, client: context.client, on: context.loop, then: then)
        }
        do throws(BrokerError) {
            var offsets: [OffsetAnswer] = []
            for answer in answers { offsets.append(try answer.get()) }
            return offsets
        } catch {
            throw Problem(error)
        }
    }

    // MARK: Change

    private static func change(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let reference = try context.topic()
        let expecting = try EntityTags.expected(of: request)
        return try await context.withFields(of: request, "a topic", ["partitions", "config"]) { fields in
            let partitions = try fields.integer("partitions", 1...Int64(Limits.partitionsPerTopicMax))
            let changes = try self.configuration(fields).sorted { $0.key < $1.key }.map { name, value in
                value.map { ConfigurationChange.set(name: name, value: $0) } ?? .delete(name: name)
            }
            let topic = try self.topic(reference, context)
            // Both are tried before either is done, so that one refusal leaves both undone.
            for isTrial in [true, false] {
                if !changes.isEmpty { try await self.alter(topic, changes, isTrial: isTrial, expecting, context) }
                // What was altered is not what it was any more.
                let expecting = changes.isEmpty || isTrial ? expecting : nil
                if let partitions {
                    let growth = PartitionGrowth(topic: topic.name, partitions: Int32(truncatingIfNeeded: partitions))
                    if growth.partitions != topic.partitionCount {
                        try await self.grow(growth, isTrial: isTrial, expecting, context)
                    }
                }
            }
            return try await self.described(try self.topic(.id(topic.id), context), context, withOffsets: false)
        }
    }

    private static func alter(
        _ topic: Topic, _ changes: [ConfigurationChange], isTrial: Bool, _ expecting: Set<TopicTag>?,
        _ context: WebContext
    ) async throws(Problem) {
        let _: Bool = try await context.ask { answer in
            context.broker.alterConfigurations(
                [(.topic(topic.name), .change(changes))], validateOnly: isTrial, expecting: expecting,
                client: context.client, on: context.loop
            ) { answer($0[0].map { .failure($0) } ?? .success(true)) }
        }
    }

    private static func grow(
        _ growth: PartitionGrowth, isTrial: Bool, _ expecting: Set<TopicTag>?, _ context: WebContext
    ) async throws(Problem) {
        let _: Topic = try await context.ask { answer in
            context.broker.createPartitions(
                [growth], validateOnly: isTrial, expecting: expecting, client: context.client, on: context.loop
            ) { answer($0[0]) }
        }
    }

    // MARK: Trim

    private static func trim(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try Query(request.uri.query, names: [])
        let reference = try context.topic()
        return try await context.withFields(of: request, "a trim", ["before", "partition"]) { fields in
            guard let value = fields.value("before"),
                let text = value.kind == .number ? String(buffer: value.bytes) : value.text,
                let place = StartPoint(text), place != .lastValues
            else { throw fields.refusal("before", "is an offset, 'latest', '-100', or '@' and a time") }
            let topic = try self.topic(reference, context)
            let partitions = try fields.partition().map { [$0] } ?? topic.partitions.map(\.index)
            let starts = try await ReadPlan.offsets(of: place, partitions, in: topic, context)
            let deletions = zip(partitions, starts).map {
                RecordDeletion(topic: .id(topic.id), partition: $0, before: place == .latest ? nil : $1)
            }
            let results = await context.wait { (then: @escaping @Sendable ([Result<Offset, BrokerError>]) -> Void) in
                context.broker.deleteRecords(
                    deletions, timeout: Limits.webWriteWaitMax, client: context.client, on: context.loop, then: then)
            }
            do throws(BrokerError) {
                let ends = try results.map { result throws(BrokerError) in try result.get() }
                return Response.object { body in
                    body.writeJSONArray("partitions", zip(partitions, ends)) { body, entry in
                        body.writeJSONBraces {
                            $0.writeJSONMember("partition", entry.0.rawValue)
                            $0.writeJSONMember("start", entry.1.rawValue)
                        }
                    }
                }
            } catch {
                throw Problem(error)
            }
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeMembers(of topic: Topic) {
        self.writeJSONMember("name", topic.name)
        self.writeJSONMember("id", topic.id.description)
        self.writeJSONMember("partitions", topic.partitionCount)
        if topic.isInternal { self.writeJSONMember("internal", true) }
    }
}
