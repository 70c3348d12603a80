import ApusCore
package import NIOCore
package import WebFormats

/// Where the client of an event stream of several channels stands: the id of its events, which a browser brings back in
/// one piece.
///
///     TAG.CURSOR~TAG.CURSOR
///
/// An entry for each channel that has begun: eight letters that say which, and the whole cursor of the last push that
/// the client was given of it, sealed for that channel as all cursors are. So nothing has to be signed for one client,
/// the order does not matter, and a channel that is added to the address begins where the address says.
///
/// **The id stands in front of an event and belongs to it**, so that whoever saw the event has its id. It is written
/// with every event while it is short (``Limits/edgeStreamIDBytesCheap``): then nothing comes twice. A longer one is
/// written when it is at most a quarter of what was pushed since the last, and within a second in an event of its own,
/// which browsers take the id of and tell nobody about.
///
/// Owner: the connection.
package struct StreamCursor: Sendable {
    private struct Entry: Sendable {
        let channel: EdgeChannel
        /// With the dot.
        let tag: ByteBuffer
        var cursor: ByteBuffer?
    }

    private var entries: [Entry]
    /// Of the id as it stands, without separators between the entries.
    private var length = 0
    /// Pushed since the id was written last.
    private var pushedBytes = 0
    private var isOwed = false

    /// - Parameter brought: the cursors with which the client resumes; they stay in the id until their channel begins,
    ///   so that a client that is cut off before that has lost nothing.
    package init(_ channels: [EdgeChannel], brought: [String: ByteBuffer]) {
        self.entries = channels.map { channel in
            let tag = Self.tag(of: channel)
            return Entry(channel: channel, tag: ByteBuffer(string: "\(tag)."), cursor: brought[tag])
        }
        self.length = self.entries.reduce(0) { $0 + Self.length($1) }
    }

    /// The id as it stands.
    package var text: ByteBuffer {
        var text = ByteBuffer()
        text.reserveCapacity(self.length + self.entries.count)
        for entry in self.entries {
            guard let cursor = entry.cursor else { continue }
            if text.readableBytes > 0 { text.writeInteger(UInt8(ascii: "~")) }
            text.writeImmutableBuffer(entry.tag)
            text.writeImmutableBuffer(cursor)
        }
        return text
    }

    /// The channel begins here. False: the id would be too long to come back; the channel is not in it.
    package mutating func began(_ channel: EdgeChannel, at cursor: SealedCursor) -> Bool {
        self.put(channel, cursor.text)
        guard self.length <= Limits.edgeStreamIDBytesMax.rawValue else {
            self.put(channel, nil)
            return false
        }
        return true
    }

    /// The channel is of no use any more, and neither is where it stood.
    package mutating func forget(_ channel: EdgeChannel) { self.put(channel, nil) }

    /// The client is given this: the id to write in front of it, if it is time.
    package mutating func pushed(_ push: Push) -> ByteBuffer? {
        if let cursor = push.eventID { self.put(push.channel, cursor) }
        self.pushedBytes += push.body.readableBytes
        self.isOwed = true
        guard self.length <= max(Limits.edgeStreamIDBytesCheap.rawValue, self.pushedBytes / 4) else { return nil }
        return self.taken()
    }

    /// A second has passed: the id, if the client does not have it.
    package mutating func swept() -> ByteBuffer? { self.isOwed ? self.taken() : nil }

    private mutating func taken() -> ByteBuffer {
        (self.isOwed, self.pushedBytes) = (false, 0)
        return self.text
    }

    private mutating func put(_ channel: EdgeChannel, _ cursor: ByteBuffer?) {
        guard let index = self.entries.firstIndex(where: { $0.channel == channel }) else { return }
        self.length -= Self.length(self.entries[index])
        self.entries[index].cursor = cursor
        self.length += Self.length(self.entries[index])
    }

    private static func length(_ entry: Entry) -> Int {
        entry.cursor.map { entry.tag.readableBytes + $0.readableBytes } ?? 0
    }
}

extension StreamCursor {
    /// Eight letters, digits, `-` or `_`. Two channels of one stream that had the same would be told that their cursors
    /// are none: what counts is the seal.
    static func tag(of channel: EdgeChannel) -> String {
        var name = ByteBuffer(string: channel.description)
        let first = name.withUnsafeReadableBytes { Murmur2.hash($0) }
        name.writeInteger(UInt8(ascii: "/"))
        let second = name.withUnsafeReadableBytes { Murmur2.hash($0) }
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(first, UInt16(truncatingIfNeeded: second))
        return Base64.url.encoded(bytes)
    }

    /// The cursors that an id has, by their channels' tags. Takes any bytes.
    package static func cursors(in id: String) throws(Problem) -> [String: ByteBuffer] {
        guard id.utf8.count <= Limits.webHeaderFieldBytesMax.rawValue else {
            throw Problem(.invalidCursor, "an event's id has at most \(Limits.webHeaderFieldBytesMax)")
        }
        let entries = id.split(separator: "~", omittingEmptySubsequences: false)
        guard entries.count <= Limits.edgeChannelsPerStreamMax else {
            throw Problem(.invalidCursor, "an event's id names at most \(Limits.edgeChannelsPerStreamMax) channels")
        }
        var cursors: [String: ByteBuffer] = [:]
        for entry in entries {
            let parts = entry.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].utf8.count == 8,
                cursors.updateValue(ByteBuffer(substring: parts[1]), forKey: String(parts[0])) == nil
            else {
                throw Problem(
                    .invalidCursor, "this is no id of a stream of several channels",
                    hint: "subscribe without it, or with the id of such a stream's event")
            }
        }
        return cursors
    }
}
