import ApusCore
package import NIOCore
package import WebFormats

/// The channels of one topic that have subscribers, and which of them a record goes to.
///
/// A record costs one look-up for its key and one for each *length* of prefix that is subscribed to, however many
/// channels there are: a million keys are as cheap as one. The channels themselves are kept by the owner, who says
/// which one a number is. Owner: the topic's hub on one event loop.
package struct ChannelTable: Sendable {
    private var numbers = ChannelNumbers()
    private var everything: ChannelNumber?
    /// The lengths that prefixes have, ascending, and how many have each.
    private var lengths: [(bytes: Int, prefixes: Int)] = []

    package init() {}

    package var count: Int { self.numbers.count }

    package func number(of channel: EdgeChannel, _ named: (ChannelNumber) -> EdgeChannel?) -> ChannelNumber? {
        self.numbers.number(of: channel, named)
    }

    /// Adds a channel that is not there.
    /// - Throws: `.tooManyPrefixLengths`.
    package mutating func insert(_ channel: EdgeChannel, _ number: ChannelNumber) throws(ChannelTableError) {
        switch channel.form {
        case .everything: self.everything = number
        case .key: break
        case .prefix:
            let length = channel.byteCount
            let place = self.lengths.firstIndex { $0.bytes >= length } ?? self.lengths.count
            if place < self.lengths.count, self.lengths[place].bytes == length {
                self.lengths[place].prefixes += 1
            } else {
                guard self.lengths.count < Limits.channelPrefixLengthsMax else { throw .tooManyPrefixLengths }
                self.lengths.insert((length, 1), at: place)
            }
        }
        self.numbers.insert(channel, number)
    }

    /// Removes a channel that is there.
    package mutating func remove(_ channel: EdgeChannel, _ number: ChannelNumber) {
        self.numbers.remove(channel, number)
        switch channel.form {
        case .everything: self.everything = nil
        case .key: break
        case .prefix:
            guard let place = self.lengths.firstIndex(where: { $0.bytes == channel.byteCount }) else {
                preconditionFailure("a prefix whose length nobody counted")
            }
            self.lengths[place].prefixes -= 1
            if self.lengths[place].prefixes == 0 { self.lengths.remove(at: place) }
        }
    }

    /// Calls `body` once for each channel that takes a record with this key: the widest first.
    package func forEachChannel(
        taking key: ByteBuffer?, _ named: (ChannelNumber) -> EdgeChannel?, _ body: (ChannelNumber) -> Void
    ) {
        if let everything = self.everything { body(everything) }
        guard let key else { return }
        for length in self.lengths {
            guard let start = key.getSlice(at: key.readerIndex, length: length.bytes) else { break }
            if let number = self.numbers.number(of: .prefix, start, named) { body(number) }
        }
        if let number = self.numbers.number(of: .key, key, named) { body(number) }
    }
}

package enum ChannelTableError: Error, Hashable, Sendable {
    /// The topic's prefixes have ``Limits/channelPrefixLengthsMax`` lengths already.
    case tooManyPrefixLengths
}
