import ApusCore
import KafkaWire
import Testing

@testable import ApusClient

@Suite("What is known of a cluster")
struct MetadataCacheTests {
    private func response(
        _ name: String = "t", leader: Int32 = 1, epoch: Int32 = 0, id: UInt64 = 1, error: KafkaErrorCode = .none
    ) -> MetadataResponse {
        var response = MetadataResponse()
        var broker = MetadataResponse.Broker()
        broker.nodeID = leader
        broker.host = "h\(leader)"
        broker.port = 9092
        response.brokers = [broker]
        var topic = MetadataResponse.Topic()
        topic.name = name
        topic.errorCode = error
        topic.topicID = WireUUID(high: 0, low: id)
        var partition = MetadataResponse.Partition()
        partition.leaderID = leader
        partition.leaderEpoch = epoch
        topic.partitions = error == .none ? [partition] : []
        response.topics = [topic]
        return response
    }

    private let zero = PartitionIndex(rawValue: 0)

    @Test("of two answers the one with the later leader epoch wins, whichever came last")
    func epochs() {
        var cache = MetadataCache()
        cache.learned(self.response(leader: 2, epoch: 5))
        cache.learned(self.response(leader: 1, epoch: 4))
        #expect(cache.leader(of: "t", self.zero)?.broker == BrokerID(rawValue: 2))
        cache.learned(self.response(leader: 3, epoch: 6))
        #expect(cache.leader(of: "t", self.zero)?.broker == BrokerID(rawValue: 3))
    }

    @Test("a topic made anew starts over, whatever its epochs")
    func anew() {
        var cache = MetadataCache()
        cache.learned(self.response(leader: 2, epoch: 5, id: 1))
        cache.learned(self.response(leader: 1, epoch: 0, id: 2))
        #expect(cache.leader(of: "t", self.zero)?.broker == BrokerID(rawValue: 1))
    }

    @Test("a topic that is gone is missing, one that is refused is refused")
    func statuses() {
        var cache = MetadataCache()
        #expect(cache.status(of: "t") == .missing(.unknownTopicOrPartition))
        cache.learned(self.response())
        #expect(cache.status(of: "t") == .known)
        cache.learned(self.response(error: .unknownTopicOrPartition))
        #expect(cache.status(of: "t") == .missing(.unknownTopicOrPartition))
        cache.learned(self.response(error: .invalidTopicException))
        #expect(cache.status(of: "t") == .refused(.invalidTopicException))
    }

    @Test("partitions out of order, or addresses that are none, are not believed")
    func nonsense() {
        var cache = MetadataCache()
        var response = self.response()
        response.topics[0].partitions[0].partitionIndex = 7
        response.brokers[0].port = 70_000
        cache.learned(response)
        #expect(cache.status(of: "t") != .known)
        #expect(cache.brokers.isEmpty)
    }
}

@Suite("When the cluster is asked")
struct MetadataScheduleTests {
    private let start = Instant(nanoseconds: 1)

    private func schedule() -> MetadataSchedule {
        MetadataSchedule(backoff: Backoff(base: .milliseconds(100), limit: .seconds(1)))
    }

    @Test("one question at a time, and another after it when somebody came meanwhile")
    func oneAtATime() {
        var schedule = self.schedule()
        let first = schedule.wanted(at: self.start)
        let second = schedule.wanted(at: self.start)
        #expect(first == .ask(attempt: 0) && second == .nothing)
        let after = schedule.answered(isEnough: true, at: self.start, chance: 0)
        #expect(after == .wait(until: self.start.advanced(by: .milliseconds(50))))
        let next = schedule.next(at: self.start.advanced(by: .milliseconds(50)))
        #expect(next == .ask(attempt: 1))
    }

    @Test("failures ask another server after a growing wait")
    func failures() {
        var schedule = self.schedule()
        var now = self.start
        var waits: [Int64] = []
        _ = schedule.wanted(at: now)
        for attempt in 1...6 {
            guard case .wait(let until) = schedule.failed(at: now, chance: 0) else {
                Issue.record("no wait")
                return
            }
            waits.append(until.since(now).wholeMilliseconds)
            now = until
            #expect(schedule.next(at: now) == .ask(attempt: attempt))
        }
        #expect(waits == [50, 100, 200, 400, 500, 500])
    }
}

@Suite("Waits and addresses")
struct BackoffTests {
    @Test("a wait lies between half and the whole of what doubling gives, up to the limit", arguments: 1...70)
    func bounds(failures: Int) {
        let backoff = Backoff(base: .milliseconds(100), limit: .seconds(2))
        for chance in [0, 1, 12_345, UInt64.max] {
            let wait = backoff.wait(afterFailures: failures, chance: chance)
            let whole = min(100 << min(failures - 1, 20), 2000)
            #expect(wait >= .milliseconds(whole / 2) && wait <= .milliseconds(whole))
        }
    }

    @Test(
        "servers are host and port",
        arguments: [
            ("localhost", "localhost:9092"), ("a:1", "a:1"), ("[::1]:9", "[::1]:9"), ("[::1]", "[::1]:9092"),
            ("10.0.0.1:65535", "10.0.0.1:65535"),
        ])
    func addresses(text: String, expected: String) {
        #expect(ServerAddress(text)?.description == expected)
    }

    @Test(
        "what is no address is refused", arguments: ["", ":1", "a:0", "a:65536", "a:b", "::1", "[::1", "[]:1", "a:1:2"])
    func refusals(text: String) {
        #expect(ServerAddress(text) == nil)
    }
}
