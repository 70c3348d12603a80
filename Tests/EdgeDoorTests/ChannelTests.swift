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
            func named(_ number: ChannelNumber) -> EdgeChannel? { channels.first { $0.number == number }?.channel }
            if let place = channels.firstIndex(where: { $0.channel == channel }) {
                #expect(table.number(of: channel, named) == channels[place].number)
                table.remove(channel, channels.remove(at: place).number)
            } else {
                #expect(table.number(of: channel, named) == nil)
                try table.insert(channel, number)
                channels.append((channel, number))
            }
            #expect(table.count == channels.count)
            let key = generator.isOne(in: 10) ? nil : ByteBuffer(string: (generator.isOne(in: 2) ? "k" : "") + text())
            var found: [ChannelNumber] = []
            table.forEachChannel(taking: key, named) { found.append($0) }
            #expect(Set(found) == Set(channels.filter { $0.channel.takes(key) }.map(\.number)))
            #expect(Set(found).count == found.count)
        }
    }

    @Test("prefixes of ever more lengths are refused, and room comes back")
    func prefixLengths() throws {
        var table = ChannelTable()
        let max = Limits.channelPrefixLengthsMax
        func prefix(_ length: Int) throws -> EdgeChannel {
            try EdgeChannel("t/\(String(repeating: "a", count: length))*")
        }
        for length in 0..<max { try table.insert(prefix(length), ChannelNumber(rawValue: Int32(length))) }
        let longer = try prefix(max)
        func named(_ number: ChannelNumber) -> EdgeChannel? {
            number.rawValue == 99 ? longer : try? prefix(Int(number.rawValue))
        }
        #expect(throws: ChannelTableError.tooManyPrefixLengths) {
            try table.insert(longer, ChannelNumber(rawValue: 99))
        }
        #expect(table.number(of: longer, named) == nil && table.count == max)
        try table.insert(EdgeChannel("t/b*"), ChannelNumber(rawValue: 100))
        table.remove(try prefix(5), ChannelNumber(rawValue: 5))
        try table.insert(longer, ChannelNumber(rawValue: 99))
        #expect(table.number(of: longer, named) == ChannelNumber(rawValue: 99))
    }

    @Test("twenty thousand channels are found, and those that went are not")
    func many() throws {
        let channels = try (0..<20_000).map { try EdgeChannel("t/key-\($0)") }
        var numbers = ChannelNumbers()
        func named(_ number: ChannelNumber) -> EdgeChannel? { channels[Int(number.rawValue)] }
        for (index, channel) in channels.enumerated() { numbers.insert(channel, ChannelNumber(rawValue: Int32(index))) }
        for (index, channel) in channels.enumerated() where index % 3 != 0 {
            numbers.remove(channel, ChannelNumber(rawValue: Int32(index)))
        }
        for (index, channel) in channels.enumerated() {
            let number = numbers.number(of: channel, named)
            #expect(number == (index % 3 == 0 ? ChannelNumber(rawValue: Int32(index)) : nil))
        }
        #expect(numbers.count == 6_667)
        let key = ByteBuffer(string: "key-9")
        #expect(numbers.number(of: .key, key, named) == ChannelNumber(rawValue: 9))
        #expect(numbers.number(of: .prefix, key, named) == nil)
    }
}
