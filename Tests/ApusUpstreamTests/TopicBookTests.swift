import ApusCore
import EdgeDoor
import Testing

@testable import ApusUpstream

@Suite("What is known of topics upstream")
struct TopicBookTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    private func told(_ name: String, id: UInt64, partitions: Int = 2) -> TopicBook.Told {
        TopicBook.Told(
            topic: EdgeTopic(id: TopicID(high: 1, low: id), name: name, partitionCount: partitions),
            leaders: Array(
                repeating: TopicBook.Leader(broker: BrokerID(rawValue: 4), epoch: Epoch(rawValue: 2)),
                count: partitions))
    }

    @Test("a topic is believed for a moment, and so is a name that is none")
    func age() {
        var book = TopicBook()
        #expect(book.find("news", at: self.start) == nil)
        book.learned("news", self.told("news", id: 7), at: self.start)
        book.learned("none", nil, at: self.start)
        let later = self.start.advanced(by: UpstreamLimits.topicAgeMax)
        #expect(book.find("news", at: later) == .success(self.told("news", id: 7).topic))
        #expect(book.find("none", at: later) == .success(nil))
        let late = later.advanced(by: .milliseconds(1))
        #expect(book.find("news", at: late) == nil && book.find("none", at: late) == nil)
        #expect(book.leader(of: TopicID(high: 1, low: 7), PartitionIndex(rawValue: 1))?.broker.rawValue == 4)
        #expect(book.leader(of: TopicID(high: 1, low: 7), PartitionIndex(rawValue: 2)) == nil)
    }

    @Test("what is in use is asked for again, and what nobody uses is forgotten")
    func due() {
        var book = TopicBook()
        book.learned("used", self.told("used", id: 1), at: self.start)
        book.learned("idle", self.told("idle", id: 2), at: self.start)
        #expect(book.due(at: self.start) == [])
        let second = self.start.advanced(by: .seconds(1))
        #expect(Set(book.due(at: second)) == ["used", "idle"])
        book.used(TopicID(high: 1, low: 1), at: self.start.advanced(by: .seconds(50)))
        let late = self.start.advanced(by: UpstreamLimits.topicIdleMax + .seconds(1))
        #expect(book.due(at: late) == ["used"])
        #expect(book.count == 1 && book[TopicID(high: 1, low: 2)] == nil)
    }

    @Test("a topic made anew under its name is another, and the old one is unknown")
    func again() {
        var book = TopicBook()
        book.learned("news", self.told("news", id: 1), at: self.start)
        let before = book.version
        book.learned("news", self.told("news", id: 1), at: self.start)
        #expect(book.version == before)
        book.learned("news", self.told("news", id: 2, partitions: 5), at: self.start)
        #expect(book.version > before)
        #expect(book[TopicID(high: 1, low: 1)] == nil)
        #expect(book[TopicID(high: 1, low: 2)]?.partitionCount == 5)
        book.learned("news", nil, at: self.start)
        #expect(book[TopicID(high: 1, low: 2)] == nil)
    }

    @Test("a broker that contradicts has the topic asked for again")
    func doubt() {
        var book = TopicBook()
        book.learned("news", self.told("news", id: 1), at: self.start)
        book.doubt(TopicID(high: 1, low: 1))
        #expect(book.find("news", at: self.start) == nil)
        #expect(book.due(at: self.start) == ["news"])
    }

    @Test("names that are asked for without end do not fill memory")
    func bounded() {
        var book = TopicBook()
        for index in 0..<(UpstreamLimits.topicsMax + 10) { book.learned("t\(index)", nil, at: self.start) }
        #expect(book.count == UpstreamLimits.topicsMax)
        let later = self.start.advanced(by: .seconds(10))
        book.learned("new", self.told("new", id: 9), at: later)
        #expect(book.count == 1)
    }
}
