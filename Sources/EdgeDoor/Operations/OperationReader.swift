import ApusCore
import NIOCore
import WebFormats

/// Reads the operation that an object asks for.
enum OperationReader {
    /// The fields of each operation, besides `id` and `op`.
    static let fields: [String: [String]] = [
        "connect": ["token", "client"],
        "subscribe": ["channel", "from", "cursor", "credit", "slow"],
        "unsubscribe": ["channel"],
        "create": ["topic", "partitions", "replication", "config"],
        "write": ["topic"] + RecordReader.fields,
        "read": ["channel", "from", "cursor", "partition", "limit"],
        "delete_topic": ["topic"],
        "flow": ["channel", "credit"],
        "seek": ["channel", "from", "cursor"],
        "presence": ["channel", "limit", "after"],
        "ack": ["channel", "cursor", "partition", "offset"],
        "ping": [],
    ]

    static func operation(in object: JSONObject) throws(Problem) -> ClientOperation {
        guard let name = object["op"]?.text else {
            throw Problem(.invalidRequest, "'op' says what to do", hint: self.hint)
        }
        guard let names = self.fields[name] else {
            throw Problem(.unknownOperation, "there is no operation '\(name)'", hint: self.hint)
        }
        let reader = try FieldReader(object, of: name, names: ["id", "op"] + names)
        switch name {
        case "connect": return try self.connect(reader)
        case "subscribe": return try self.subscribe(reader)
        case "unsubscribe": return .unsubscribe(try reader.channel())
        case "create": return try self.create(reader)
        case "write": return try self.write(reader)
        case "read": return try self.read(reader)
        case "delete_topic": return .deleteTopic(try reader.topic())
        case "flow":
            return .flow(try reader.channel(), credit: try reader.required("credit", try reader.credit()))
        case "seek":
            return .seek(try reader.channel(), try reader.required("from' or 'cursor", try reader.start()))
        case "presence": return try self.presence(reader)
        case "ack": return try self.acknowledge(reader)
        default: return .ping
        }
    }

    private static var hint: String { "one of \(self.fields.keys.sorted().joined(separator: ", "))" }

    private static func connect(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        .connect(
            ClientOperation.Connect(
                token: try reader.text("token", max: Limits.tokenBytesMax),
                client: try reader.text("client", max: Limits.edgeClientNameBytesMax)
            ))
    }

    private static func subscribe(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        let slow = try reader.text("slow", max: .bytes(16))
        let rule = slow.map { SlowReaderRule(rawValue: $0) } ?? .skip
        guard let rule else { throw Problem(.invalidRequest, "'slow' of subscribe is 'skip' or 'close'") }
        return .subscribe(
            ClientOperation.Subscribe(
                channel: try reader.channel(), start: try reader.start() ?? .latest, credit: try reader.credit(),
                whenSlow: rule
            ))
    }

    private static func create(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        var configuration: [String: String] = [:]
        for member in try reader.object("config")?.members ?? [] {
            switch member.value.kind {
            case .string, .number, .boolean:
                configuration[member.name] = member.value.text ?? String(buffer: member.value.bytes)
            case .null, .array, .object:
                throw Problem(.invalidRequest, "'\(member.name)' in 'config' is a string, a number, true or false")
            }
        }
        let partitions = try reader.integer("partitions", 1...Int64(Limits.partitionsPerTopicMax))
        let replication = try reader.integer("replication", 1...Int64(Int16.max))
        return .create(
            ClientOperation.Create(
                topic: try reader.topic(), partitions: partitions.map { Int($0) },
                replication: replication.map { Int($0) },
                configuration: configuration
            ))
    }

    private static func presence(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        let limit = try reader.integer("limit", 1...Int64(Limits.presencePageMax))
        return .presence(
            ClientOperation.Presence(
                channel: try reader.channel(), limit: Int(limit ?? Int64(Limits.presencePageDefault)),
                after: try reader.integer("after", 0...(1 << 53))))
    }

    private static func acknowledge(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        let channel = try reader.channel()
        if let partition = try reader.partition() {
            guard !reader.has("cursor") else {
                throw Problem(.invalidRequest, "ack has either 'cursor' or 'partition' and 'offset'")
            }
            let offset = try reader.integer("offset", 0...(Int64.max - 1))
            return .acknowledge(
                channel, .offset(partition, Offset(rawValue: try reader.required("offset", offset))))
        }
        guard !reader.has("offset") else { throw Problem(.invalidRequest, "an offset of ack is one of a 'partition'") }
        let start = try reader.start()
        guard case .cursors(let texts)? = start else {
            throw Problem(.invalidRequest, "ack needs 'cursor', or 'partition' and 'offset'")
        }
        return .acknowledge(channel, .cursors(texts))
    }

    private static func write(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        .write(
            ClientOperation.Write(
                topic: try reader.topic(), record: try RecordReader.record(reader)
            ))
    }

    private static func read(_ reader: FieldReader) throws(Problem) -> ClientOperation {
        let limit = try reader.integer("limit", 1...Int64(Limits.edgeReadRecordsMax))
        let start = try reader.start() ?? .earliest
        guard start != .lastValues else {
            throw Problem(.invalidRequest, "'last value' is for subscriptions", hint: "read from 'earliest'")
        }
        return .read(
            ClientOperation.Read(
                channel: try reader.channel(), start: start,
                partition: try reader.partition(), recordsMax: Int(limit ?? Int64(Limits.edgeReadRecordsDefault))
            ))
    }
}
