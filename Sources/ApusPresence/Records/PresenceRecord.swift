package import ApusCore
package import NIOCore

/// A record of `__presence`. The key names channel, endpoint server, its life, and connection:
///
///     ["news","broker-1",1048577,"c9"]
///     {"event":"join","channel":"news","user":"User:ada","client":"app","conn":"c9","node":"broker-1",
///      "life":1048577,"at":1763632800000}
///
/// A `leave` has a `reason` besides, and is followed by a tombstone of its key, so that compaction drops both. What a
/// connection has seen has a key with one text more, and ends with a tombstone:
///
///     ["news","broker-1",1048577,"c9","seen"]
///     {"event":"receipt",…,"at":1763632800000,"seen":[{"partition":0,"offset":17,"at":1763632800000}]}
package enum PresenceRecord: Hashable, Sendable {
    case join(NodeLife, PresencePlace, PresenceGuest, at: Timestamp)
    case leave(NodeLife, PresencePlace, PresenceGuest, PresenceLeave, at: Timestamp)
    case receipt(NodeLife, PresencePlace, PresenceGuest, [PresenceSeen], at: Timestamp)
    /// What the key stood for is over.
    case over(NodeLife, PresencePlace, isReceipt: Bool)

    /// What is behind the connection's name in the key of its receipts.
    private static let receipt = "seen"

    /// What its texts and numbers take, in key and value, before anything in them is escaped: that may make six bytes
    /// of one.
    var byteCount: Int {
        switch self {
        case .join(let life, let place, let guest, _), .leave(let life, let place, let guest, _, _):
            2 * Self.bytes(life, place) + guest.byteCount + 160
        case .receipt(let life, let place, let guest, let seen, _):
            2 * Self.bytes(life, place) + guest.byteCount + 160 + 72 * seen.count
        case .over(let life, let place, _): Self.bytes(life, place) + 32
        }
    }

    private static func bytes(_ life: NodeLife, _ place: PresencePlace) -> Int {
        life.node.utf8.count + place.channel.utf8.count + place.connection.utf8.count
    }

    // MARK: Writing

    package var key: ByteBuffer {
        switch self {
        case .join(let life, let place, _, _), .leave(let life, let place, _, _, _):
            Self.key(life, place, isReceipt: false)
        case .receipt(let life, let place, _, _, _): Self.key(life, place, isReceipt: true)
        case .over(let life, let place, let isReceipt): Self.key(life, place, isReceipt: isReceipt)
        }
    }

    private static func key(_ life: NodeLife, _ place: PresencePlace, isReceipt: Bool) -> ByteBuffer {
        var key = ByteBuffer()
        key.writeInteger(UInt8(ascii: "["))
        key.writePresenceText(place.channel)
        key.writeInteger(UInt8(ascii: ","))
        key.writePresenceText(life.node)
        key.writeString(",\(life.number),")
        key.writePresenceText(place.connection)
        if isReceipt {
            key.writeInteger(UInt8(ascii: ","))
            key.writePresenceText(Self.receipt)
        }
        key.writeInteger(UInt8(ascii: "]"))
        return key
    }

    /// What the keys of one channel begin with.
    package static func keyPrefix(of channel: String) -> ByteBuffer {
        var prefix = ByteBuffer()
        prefix.writeInteger(UInt8(ascii: "["))
        prefix.writePresenceText(channel)
        prefix.writeInteger(UInt8(ascii: ","))
        return prefix
    }

    /// The channel that a key is of, or that all keys are of that begin with these bytes; nil if there is no such one.
    package static func channel(ofKeys start: ByteBuffer) -> String? {
        var start = start
        // The name is whole when a comma follows it: a comma inside of it stands before its closing quote.
        guard start.readInteger(as: UInt8.self) == UInt8(ascii: "[") else { return nil }
        let bytes = start.readableBytesView
        var index = bytes.startIndex
        guard index < bytes.endIndex, bytes[index] == UInt8(ascii: "\"") else { return nil }
        index += 1
        while index < bytes.endIndex, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard bytes.endIndex - index >= 2, bytes[index + 1] == UInt8(ascii: ",") else { return nil }
        return start.readSlice(length: index + 1 - bytes.startIndex).flatMap { PresenceText.read($0)?.text }
    }

    /// Nil for a tombstone.
    package var value: ByteBuffer? {
        var value = ByteBuffer()
        switch self {
        case .join(let life, let place, let guest, let at):
            value.writeStaticString("{\"event\":\"join\"")
            Self.write(life, place, guest, at, into: &value)
        case .leave(let life, let place, let guest, let reason, let at):
            value.writeStaticString("{\"event\":\"leave\"")
            Self.write(life, place, guest, at, into: &value)
            value.writePresenceMember("reason", reason.rawValue)
        case .receipt(let life, let place, let guest, let seen, let at):
            value.writeStaticString("{\"event\":\"receipt\"")
            Self.write(life, place, guest, at, into: &value)
            value.writePresenceName("seen")
            Self.write(seen, into: &value)
        case .over: return nil
        }
        value.writeInteger(UInt8(ascii: "}"))
        return value
    }

    private static func write(
        _ life: NodeLife, _ place: PresencePlace, _ guest: PresenceGuest, _ at: Timestamp, into value: inout ByteBuffer
    ) {
        value.writePresenceMember("channel", place.channel)
        value.writePresenceMember("user", guest.user)
        value.writePresenceMember("client", guest.client)
        value.writePresenceMember("conn", place.connection)
        value.writePresenceMember("node", life.node)
        value.writePresenceMember("life", life.number)
        value.writePresenceMember("at", at.rawValue)
    }

    private static func write(_ seen: [PresenceSeen], into value: inout ByteBuffer) {
        for (index, seen) in seen.enumerated() {
            value.writeString(
                "\(index == 0 ? "[" : ",")"
                    + "{\"partition\":\(seen.partition.rawValue),\"offset\":\(seen.next.rawValue &- 1),"
                    + "\"at\":\(seen.at.rawValue)}")
        }
        value.writeStaticString(seen.isEmpty ? "[]" : "]")
    }

    // MARK: Reading

    /// Nil for what is no record of ours, or of a version that knows more.
    package init?(key: ByteBuffer, value: ByteBuffer?) {
        guard let parts = PresenceText.read(key)?.list, (4...5).contains(parts.count),
            let channel = parts[0].text, let node = parts[1].text, let number = parts[2].number,
            let connection = parts[3].text, parts.count == 4 || parts[4].text == Self.receipt
        else { return nil }
        let life = NodeLife(node: node, number: number)
        let place = PresencePlace(channel: channel, connection: connection)
        guard let value else {
            self = .over(life, place, isReceipt: parts.count == 5)
            return
        }
        guard let fields = PresenceText.read(value)?.object, let user = fields["user"]?.text,
            let client = fields["client"]?.text, let at = fields["at"]?.number.map(Timestamp.init(rawValue:))
        else { return nil }
        let guest = PresenceGuest(user: user, client: client)
        switch (fields["event"]?.text, parts.count) {
        case ("join", 4): self = .join(life, place, guest, at: at)
        case ("leave", 4):
            guard let reason = fields["reason"]?.text.flatMap(PresenceLeave.init(rawValue:)) else { return nil }
            self = .leave(life, place, guest, reason, at: at)
        case ("receipt", 5):
            guard let list = fields["seen"]?.list else { return nil }
            var seen: [PresenceSeen] = []
            for item in list {
                guard let one = Self.seen(item) else { return nil }
                seen.append(one)
            }
            self = .receipt(life, place, guest, seen, at: at)
        default: return nil
        }
    }

    private static func seen(_ item: PresenceText.Value) -> PresenceSeen? {
        guard let fields = item.object, let partition = fields["partition"]?.number.flatMap({ Int32(exactly: $0) }),
            let offset = fields["offset"]?.number, (0..<Int64.max).contains(offset), let at = fields["at"]?.number,
            partition >= 0
        else { return nil }
        return PresenceSeen(
            partition: PartitionIndex(rawValue: partition), next: Offset(rawValue: offset + 1),
            at: Timestamp(rawValue: at))
    }
}
