import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("Channels of one topic, by what they take")
struct ChannelTableTests {
    @Test(
        "the table says what asking every channel says, while channels come and go", arguments: 0..<30 as Range<UInt64>)
    func table(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        func text() -> String { String((0..<generator.below(4)).map { _ in generator.isOne(in: 2) ? "a" : "b" }) }
        var table = ChannelTable()
        var channels: [(channel: EdgeChannel, number: ChannelNumber)] = []
        for step in 0..<200 {
            let number = ChannelNumber(rawValue: Int32(step))
            let channel = try EdgeChannel(["t", "t/k\(text())", "t/\(text())*"][generator.below(3)])
            if let place = channels.firstIndex(where: { $0.channel == channel }) {
                #expect(table[channel.selection] == channels[place].number)
                #expect(table.remove(channel.selection) == channels.remove(at: place).number)
            } else {
                try table.insert(channel.selection, number)
                channels.append((channel, number))
            }
            #expect(table.count == channels.count)
            let key = generator.isOne(in: 10) ? nil : ByteBuffer(string: (generator.isOne(in: 2) ? "k" : "") + text())
            var found: [ChannelNumber] = []
            table.forEachChannel(taking: key) { found.append($0) }
            #expect(Set(found) == Set(channels.filter { $0.channel.takes(key) }.map(\.number)))
            #expect(Set(found).count == found.count)
        }
    }

    @Test("prefixes of ever more lengths are refused, and room comes back")
    func prefixLengths() throws {
        var table = ChannelTable()
        let max = Limits.channelPrefixLengthsMax
        for length in 0..<max {
            try table.insert(
                .prefix(ByteBuffer(repeating: 0x61, count: length)), ChannelNumber(rawValue: Int32(length)))
        }
        let longer = EdgeChannel.Selection.prefix(ByteBuffer(repeating: 0x61, count: max))
        #expect(throws: ChannelTableError.tooManyPrefixLengths) {
            try table.insert(longer, ChannelNumber(rawValue: 99))
        }
        #expect(table[longer] == nil && table.count == max)
        try table.insert(.prefix(ByteBuffer(string: "b")), ChannelNumber(rawValue: 100))
        table.remove(.prefix(ByteBuffer(repeating: 0x61, count: 5)))
        try table.insert(longer, ChannelNumber(rawValue: 99))
        #expect(table[longer] == ChannelNumber(rawValue: 99))
    }
}
