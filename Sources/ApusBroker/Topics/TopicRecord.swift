import ApusAccess
import ApusCore
import NIOCore

/// What the coordinator store keeps of a topic, under `topics/<id>`; `names/<name>` keeps the id, so that a transaction
/// that requires both keys to be absent can never give two topics one name or one id.
///
///     version UInt8 = 3 │ partitions Int32 │ born in Int32 │ owner │ name │ option count UInt16 │ { name, value } …
///
/// Version 1 had no `born in`, the start number of the broker that made the topic; 0 is what it means there. Versions 1
/// and 2 had no owner; nobody's is what that means, and the empty text here.
/// A string is a UInt16 length and UTF-8. Integers are big-endian. Decoding is total: the store may be damaged or be
/// that of a newer version.
struct TopicRecord: Hashable, Sendable {
    static let version: UInt8 = 3

    var name: String
    var partitionCount: Int32
    var bornIn: Epoch
    var owner: Principal?
    var configuration: [String: String]

    func encoded() -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeInteger(Self.version)
        buffer.writeInteger(self.partitionCount)
        buffer.writeInteger(self.bornIn.rawValue)
        buffer.writeText(self.owner?.text.text ?? "")
        buffer.writeText(self.name)
        ConfigurationRecord(values: self.configuration).write(to: &buffer)
        return Array(buffer.readableBytesView)
    }

    init(
        name: String, partitionCount: Int32, bornIn: Epoch, owner: Principal? = nil, configuration: [String: String]
    ) {
        self.name = name
        self.partitionCount = partitionCount
        self.bornIn = bornIn
        self.owner = owner
        self.configuration = configuration
    }

    /// Nil for anything that ``encoded()`` did not write in this version or one before.
    init?(_ bytes: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        guard let version = buffer.readInteger(as: UInt8.self), (1...Self.version).contains(version),
            let partitionCount = buffer.readInteger(as: Int32.self),
            partitionCount > 0, Int(partitionCount) <= Limits.partitionsPerTopicMax,
            let bornIn = version == 1 ? 0 : buffer.readInteger(as: Int32.self), bornIn >= 0,
            let owner = version < 3 ? "" : buffer.readText(), owner.isEmpty || Principal(parsing: owner) != nil,
            let name = buffer.readText(), TopicName.refusal(of: name) == nil,
            let configuration = ConfigurationRecord(from: &buffer), buffer.readableBytes == 0
        else { return nil }
        self.init(
            name: name, partitionCount: partitionCount, bornIn: Epoch(rawValue: bornIn),
            owner: Principal(parsing: owner), configuration: configuration.values)
    }
}

/// Option names and values in the store: a topic's own within its record, a broker's behind a version byte.
struct ConfigurationRecord: Hashable, Sendable {
    static let version: UInt8 = 1

    var values: [String: String]

    init(values: [String: String]) {
        self.values = values
    }

    func encoded() -> [UInt8] {
        var buffer = ByteBuffer(integer: Self.version)
        self.write(to: &buffer)
        return Array(buffer.readableBytesView)
    }

    init?(_ bytes: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        guard buffer.readInteger(as: UInt8.self) == Self.version else { return nil }
        self.init(from: &buffer)
        guard buffer.readableBytes == 0 else { return nil }
    }

    fileprivate func write(to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt16(clamping: self.values.count))
        for (name, value) in self.values.sorted(by: { $0.key < $1.key }) {
            buffer.writeText(name)
            buffer.writeText(value)
        }
    }

    fileprivate init?(from buffer: inout ByteBuffer) {
        guard let count = buffer.readInteger(as: UInt16.self) else { return nil }
        var values: [String: String] = [:]
        for _ in 0..<count {
            guard let name = buffer.readText(), let value = buffer.readText(),
                values.updateValue(value, forKey: name) == nil
            else { return nil }
        }
        self.values = values
    }
}

extension ByteBuffer {
    fileprivate mutating func writeText(_ text: String) {
        let bytes = text.utf8
        precondition(bytes.count <= Int(UInt16.max), "longer than any name or value that passed its rule")
        self.writeInteger(UInt16(bytes.count))
        self.writeBytes(bytes)
    }

    fileprivate mutating func readText() -> String? {
        guard let length = self.readInteger(as: UInt16.self), let bytes = self.readBytes(length: Int(length))
        else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// The keys of the coordinator store that the broker uses.
enum StoreKey {
    static let topics = "topics/"
    static let names = "names/"
    /// Topics whose files must go: written with the deletion, removed when the files are gone.
    static let deleted = "deleted/"
    static let configuration = "configuration/"
    static let defaults = "configuration/brokers"
    static let producerIDs = "producers/next"
    /// The assembly's own: whose store it is, and how often its broker has started.
    static let server = "server/"
    /// Written with every change of rights, users and quotas, so that one orders them all.
    static let accessChange = "access/change"
    /// What is not the topic registry's: a topic's name, and what other parts keep.
    static let others =
        [Self.names, Self.server, Self.accessChange, ScramRecord.mockSecretKey]
        + AccessRecords.prefixes

    static func topic(_ id: TopicID) -> String { "topics/\(id)" }
    static func name(_ name: String) -> String { "names/\(name)" }
    static func deleted(_ id: TopicID) -> String { "deleted/\(id)" }
    static func configuration(of broker: BrokerID) -> String { "configuration/broker-\(broker)" }
}
