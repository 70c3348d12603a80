import ApusCore
package import NIOCore
package import WebFormats

/// A channel's number within its topic on one event loop, so that what belongs to it can be kept in arrays. Given out
/// again when the channel has gone.
package struct ChannelNumber: RawRepresentable, Hashable, Sendable {
    package var rawValue: Int32

    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }
}

/// The channels of one topic that have subscribers, and which of them a record goes to.
///
/// A record costs one look-up for its key and one for each *length* of prefix that is subscribed to, however many
/// channels there are: a million keys are as cheap as one. Owner: the topic's hub on one event loop.
package struct ChannelTable: Sendable {
    private var everything: ChannelNumber?
    private var keys: [ByteBuffer: ChannelNumber] = [:]
    private var prefixes: [ByteBuffer: ChannelNumber] = [:]
    /// The lengths that prefixes have, ascending, and how many have each.
    private var lengths: [(bytes: Int, prefixes: Int)] = []

    package init() {}

    package var count: Int { (self.everything == nil ? 0 : 1) + self.keys.count + self.prefixes.count }

    package subscript(selection: EdgeChannel.Selection) -> ChannelNumber? {
        switch selection {
        case .everything: self.everything
        case .key(let key): self.keys[key]
        case .prefix(let prefix): self.prefixes[prefix]
        }
    }

    /// Adds a channel that is not there. Its bytes are the channel's own, and are kept once.
    /// - Throws: `.tooManyPrefixLengths`.
    package mutating func insert(
        _ selection: EdgeChannel.Selection, _ number: ChannelNumber
    ) throws(ChannelTableError) {
        precondition(self[selection] == nil, "a channel is in the table once")
        switch selection {
        case .everything: self.everything = number
        case .key(let key): self.keys[key] = number
        case .prefix(let prefix):
            let length = prefix.readableBytes
            let place = self.lengths.firstIndex { $0.bytes >= length } ?? self.lengths.count
            if place < self.lengths.count, self.lengths[place].bytes == length {
                self.lengths[place].prefixes += 1
            } else {
                guard self.lengths.count < Limits.channelPrefixLengthsMax else { throw .tooManyPrefixLengths }
                self.lengths.insert((length, 1), at: place)
            }
            self.prefixes[prefix] = number
        }
    }

    /// Removes a channel that is there, and says its number.
    @discardableResult
    package mutating func remove(_ selection: EdgeChannel.Selection) -> ChannelNumber {
        let removed: ChannelNumber?
        switch selection {
        case .everything:
            removed = self.everything
            self.everything = nil
        case .key(let key): removed = self.keys.removeValue(forKey: key)
        case .prefix(let prefix):
            removed = self.prefixes.removeValue(forKey: prefix)
            if removed != nil, let place = self.lengths.firstIndex(where: { $0.bytes == prefix.readableBytes }) {
                self.lengths[place].prefixes -= 1
                if self.lengths[place].prefixes == 0 { self.lengths.remove(at: place) }
            }
        }
        guard let removed else { preconditionFailure("a channel is removed that is not in the table") }
        return removed
    }

    /// Calls `body` once for each channel that takes a record with this key: the widest first.
    package func forEachChannel(taking key: ByteBuffer?, _ body: (ChannelNumber) -> Void) {
        if let everything = self.everything { body(everything) }
        guard let key else { return }
        for length in self.lengths {
            guard let start = key.getSlice(at: key.readerIndex, length: length.bytes) else { break }
            if let number = self.prefixes[start] { body(number) }
        }
        if !self.keys.isEmpty, let number = self.keys[key] { body(number) }
    }
}

package enum ChannelTableError: Error, Hashable, Sendable {
    /// The topic's prefixes have ``Limits/channelPrefixLengthsMax`` lengths already.
    case tooManyPrefixLengths
}
