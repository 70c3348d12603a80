import ApusAccess
import ApusBroker
import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

/// `POST /v1/topics/{topic}/records`. What the body is, its type says: a record or several as JSON, a stream of lines,
/// CloudEvents, or else the value itself.
enum WriteRoute {
    typealias Outcome = Result<WrittenPlace, BrokerError>

    /// Where records go, and what must have happened before they are answered.
    struct Target: Sendable {
        var topic: TopicReference
        var acks: Acks
        /// Of records that name none.
        var partition: PartitionIndex?
    }

    static func write(_ request: Request, _ context: WebContext) async throws -> Response {
        let query = try Query(request.uri.query, names: ["acks", "partition"])
        let key = try IdempotencyKey.of(request)
        let target = Target(
            topic: try context.topic(), acks: try self.acks(query.text("acks")), partition: try query.partition())
        try await context.throttle(.producedBytes)
        let type = MediaType(request.headers[.contentType])
        if type == .lines {
            guard key == nil else {
                throw Problem(
                    .invalidRequest, "a stream of lines has no Idempotency-Key",
                    hint: "it is written while it comes: send each part that is to be known again as application/json")
            }
            return LineStream.response(to: request, target, context)
        }
        return try await context.withBody(of: request) { body in
            let records = try self.records(in: body, type, request)
            context.charge(.producedBytes, body.readableBytes)
            let known = try key.map { try self.key($0, of: records, target, context) }
            let outcomes = await self.write(records, to: target, key: known, context)
            return try self.response(to: outcomes, isMinimal: request.headers[.prefer] == "return=minimal")
        }
    }

    private static func acks(_ text: String?) throws(Problem) -> Acks {
        switch text {
        case nil, "all", "-1": return .all
        case "leader", "1": return .leader
        default: throw Problem(.invalidRequest, "'acks' is 'all' or 'leader'")
        }
    }

    private static func key(
        _ text: String, of records: [WrittenRecord], _ target: Target, _ context: WebContext
    ) throws(Problem) -> WriteKey {
        guard let keys = context.door.configuration.cursorKeys else {
            throw Problem(.invalidRequest, "this listener keeps no idempotency keys")
        }
        return keys.writeKey(text, of: context.client.principal, for: records, partition: target.partition)
    }

    static func write(
        _ records: [WrittenRecord], to target: Target, key: WriteKey? = nil, _ context: WebContext
    ) async -> [Outcome] {
        let messages = records.map { record in
            AddressedMessage(
                Message(
                    key: record.key, value: record.value,
                    headers: record.headers.map { Message.Header(name: $0.name, value: $0.value) },
                    timestamp: record.timestamp),
                partition: record.partition ?? target.partition)
        }
        return await context.wait { (then: @escaping @Sendable ([Outcome]) -> Void) in
            context.broker.write(
                messages, to: target.topic, acks: target.acks, timeout: Limits.webWriteWaitMax,
                spread: context.door.nextSpread, key: key, client: context.client, on: context.loop, then: then)
        }
    }

    // MARK: What is written

    private static func records(
        in body: ByteBuffer, _ type: MediaType, _ request: Request
    ) throws(Problem) -> [WrittenRecord] {
        switch type {
        case .json: return try self.json(body)
        case .cloudEvent: return [try CloudEvents.record(structured: body)]
        case .cloudEvents: return try CloudEvents.records(batched: body)
        case .lines, .mergePatch, .form, .none, .other:
            if request.headers[.cloudEventID] != nil { return [try CloudEvents.record(binary: body, request.headers)] }
            return [try RawRecord.record(body, request.headers)]
        }
    }

    private static func json(_ body: ByteBuffer) throws(Problem) -> [WrittenRecord] {
        let object: JSONObject
        do throws(JSONFault) { object = try JSONObject(body) } catch { throw Problem(error) }
        guard object["records"] != nil else { return [try self.record(object)] }
        let fields = try FieldReader(object, of: "a write", names: ["records"])
        guard let elements = try fields.elements("records", max: Limits.webRecordsPerWriteMax), !elements.isEmpty else {
            throw fields.refusal("records", "is an array with one record at least")
        }
        var records: [WrittenRecord] = []
        records.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            do throws(Problem) {
                records.append(try self.record(try self.object(element)))
            } catch {
                var problem = error
                problem.detail = "record \(index): \(problem.detail)"
                throw problem
            }
        }
        return records
    }

    private static func object(_ value: JSONValue) throws(Problem) -> JSONObject {
        do throws(JSONFault) { return try value.object() } catch { throw Problem(error) }
    }

    static func record(_ object: JSONObject) throws(Problem) -> WrittenRecord {
        try RecordReader.record(try FieldReader(object, of: "a record", names: RecordReader.fields))
    }

    // MARK: What is answered

    private static func response(to outcomes: [Outcome], isMinimal: Bool) throws(Problem) -> Response {
        let problems = outcomes.compactMap { outcome -> Problem? in
            if case .failure(let error) = outcome { Problem(error) } else { nil }
        }
        // All for one reason: then that is the answer.
        if let first = problems.first, problems.count == outcomes.count, problems.allSatisfy({ $0.code == first.code })
        {
            throw first
        }
        var headers = HTTPFields()
        if outcomes.contains(where: { (try? $0.get().isReplayed) ?? false }) { headers[.idempotentReplayed] = "true" }
        if problems.isEmpty, isMinimal { return Response(status: .noContent, headers: headers) }
        let status: HTTPResponse.Status = problems.isEmpty ? .ok : .init(code: 207, reasonPhrase: "Multi-Status")
        return Response.object(status: status, headers: headers) { body in
            body.writeJSONArray("records", outcomes) { $0.writeJSON($1) }
        }
    }
}

extension ByteBuffer {
    /// A record's place, or why it has none.
    mutating func writeJSON(_ outcome: WriteRoute.Outcome) {
        switch outcome {
        case .success(let place):
            self.writeJSONBraces {
                $0.writeJSONMember("partition", place.partition.rawValue)
                $0.writeJSONMember("offset", place.offset.rawValue)
                // Of a write that had been done before nobody may know it any more.
                if place.timestamp != .none { $0.writeJSONMember("timestamp", place.timestamp.rawValue) }
                if place.isReplayed { $0.writeJSONMember("replayed", true) }
            }
        case .failure(let error): self.writeJSON(Problem(error))
        }
    }
}

extension HTTPField.Name {
    static let prefer = HTTPField.Name("Prefer") ?? .ifMatch
    static let cloudEventID = HTTPField.Name("ce-id") ?? .ifMatch
}
