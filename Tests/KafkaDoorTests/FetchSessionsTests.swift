import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore
import Testing

@testable import KafkaDoor

@Suite("Fetch sessions tell only what changed")
struct FetchSessionsTests {
    private static func entry(_ topic: String, _ partition: Int32, at offset: Int64 = 0) -> FetchEntry {
        FetchEntry(
            topic: .name(topic), partition: PartitionIndex(rawValue: partition), offset: Offset(rawValue: offset),
            bytesMax: .mebibytes(1)
        )
    }

    private static func request(
        id: Int32 = 0, epoch: Int32 = 0, byID: Bool = false, _ entries: [FetchEntry],
        forgotten: [PartitionReference] = [], owner: Principal = .anonymous
    ) -> FetchSessions.Request {
        FetchSessions.Request(
            id: id, epoch: epoch, isByID: byID, entries: entries, forgotten: forgotten, owner: owner)
    }

    private static func result(
        highWatermark: Int64 = 5, batches: Int = 0, error: BrokerError? = nil, logStart: Int64 = 0
    ) -> FetchResult {
        FetchResult(
            error: error, highWatermark: Offset(rawValue: highWatermark), lastStableOffset: .zero,
            logStartOffset: Offset(rawValue: logStart),
            batches: (0..<batches).map { _ in ByteBuffer(repeating: 0, count: 100) }
        )
    }

    /// Begins a session with partitions 0 ..< count of topic t and tells the client all of them.
    private static func begun(_ count: Int32, _ sessions: inout FetchSessions) -> Int32 {
        let plan = sessions.plan(self.request((0..<count).map { self.entry("t", $0) }), at: 0, newID: { 77 })
        guard case .whole(let id, let entries) = plan else { return -1 }
        _ = sessions.news(id: id, epoch: 0, results: entries.map { _ in self.result() })
        return id
    }

    private static func partitions(_ plan: FetchSessions.Plan) -> [Int32] {
        switch plan {
        case .whole(_, let entries), .changes(_, let entries): entries.map(\.partition.rawValue)
        case .refused: []
        }
    }

    private static func code(_ plan: FetchSessions.Plan) -> KafkaErrorCode? {
        guard case .refused(let code) = plan else { return nil }
        return code
    }

    @Test("another principal's session is not known, and can not be ended")
    func owners() throws {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(3, &sessions)
        let mallory = try #require(Principal(user: "mallory"))
        for epoch in [1, 2, 7] as [Int32] {
            let plan = sessions.plan(Self.request(id: id, epoch: epoch, [], owner: mallory), at: 1, newID: { 1 })
            #expect(Self.code(plan) == .fetchSessionIDNotFound)
        }
        _ = sessions.plan(Self.request(id: id, epoch: -1, [], owner: mallory), at: 1, newID: { 1 })
        _ = sessions.plan(Self.request(id: id, epoch: 0, [], owner: mallory), at: 1, newID: { 1 })
        let plan = sessions.plan(Self.request(id: id, epoch: 1, []), at: 1, newID: { 1 })
        #expect(Self.partitions(plan) == [0, 1, 2])
    }

    @Test("epoch 0 begins a session, and the next fetch names nothing and gets everything in it")
    func begins() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(3, &sessions)
        #expect(id == 77)
        let plan = sessions.plan(Self.request(id: id, epoch: 1, []), at: 1, newID: { 1 })
        #expect(Self.partitions(plan) == [0, 1, 2])
        let news = sessions.news(id: id, epoch: 1, results: [Self.result(), Self.result(), Self.result()])
        #expect(news == [false, false, false])
    }

    @Test("records, errors, a moved high watermark and a moved log start are news; errors are told again")
    func news() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(5, &sessions)
        _ = sessions.plan(Self.request(id: id, epoch: 1, []), at: 1, newID: { 1 })
        let first = sessions.news(
            id: id, epoch: 1,
            results: [
                Self.result(batches: 1), Self.result(error: .notLeader), Self.result(highWatermark: 6),
                Self.result(logStart: 2), Self.result(),
            ]
        )
        #expect(first == [true, true, true, true, false])
        // The first partition gave records, so the second is first in turn now.
        let plan = sessions.plan(Self.request(id: id, epoch: 2, []), at: 1, newID: { 1 })
        #expect(Self.partitions(plan) == [1, 2, 3, 4, 0])
        let second = sessions.news(
            id: id, epoch: 2,
            results: [
                Self.result(), Self.result(highWatermark: 6), Self.result(logStart: 2), Self.result(), Self.result(),
            ]
        )
        #expect(second == [true, false, false, false, false])
    }

    @Test("partitions are added, moved on and forgotten")
    func changes() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(3, &sessions)
        let forgotten = [PartitionReference(topic: .name("t"), partition: PartitionIndex(rawValue: 1))]
        let plan = sessions.plan(
            Self.request(id: id, epoch: 1, [Self.entry("t", 0, at: 9), Self.entry("u", 4)], forgotten: forgotten),
            at: 1, newID: { 1 }
        )
        #expect(Self.partitions(plan) == [0, 2, 4])
        guard case .changes(_, let entries) = plan else {
            Issue.record("the session goes on")
            return
        }
        #expect(entries[0].offset.rawValue == 9)
        #expect(sessions.news(id: id, epoch: 1, results: entries.map { _ in Self.result() }) == [false, false, true])
    }

    @Test("an unknown session, a wrong epoch and another way of naming topics are refused with their codes")
    func refusals() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(1, &sessions)
        #expect(Self.code(sessions.plan(Self.request(id: 5, epoch: 1, []), at: 1, newID: { 1 }))?.rawValue == 70)
        #expect(Self.code(sessions.plan(Self.request(id: id, epoch: 3, []), at: 1, newID: { 1 }))?.rawValue == 71)
        let byID = sessions.plan(Self.request(id: id, epoch: 1, byID: true, []), at: 1, newID: { 1 })
        #expect(Self.code(byID)?.rawValue == 106)
        // None of these ends the session.
        #expect(Self.partitions(sessions.plan(Self.request(id: id, epoch: 1, []), at: 1, newID: { 1 })) == [0])
    }

    @Test("epoch -1 ends a session, epoch 0 replaces it")
    func ends() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(1, &sessions)
        _ = sessions.plan(Self.request(id: id, epoch: 0, [Self.entry("t", 0)]), at: 1, newID: { 78 })
        #expect(sessions.count == 1)
        guard case .whole(0, _) = sessions.plan(Self.request(id: 78, epoch: -1, []), at: 1, newID: { 1 }) else {
            Issue.record("served without a session")
            return
        }
        #expect(sessions.count == 0)
    }

    @Test("a full cache, too many partitions and a partition named twice are served without a session")
    func noRoom() {
        var full = FetchSessions(countMax: 1)
        _ = Self.begun(1, &full)
        var crowded = FetchSessions(countMax: 10, partitionsMax: 2)
        var twice = FetchSessions(countMax: 10)
        let three = (0..<3).map { Self.entry("t", $0) }
        let plans = [
            full.plan(Self.request(three), at: 1, newID: { 5 }), crowded.plan(Self.request(three), at: 1, newID: { 5 }),
            twice.plan(Self.request([Self.entry("t", 0), Self.entry("t", 0)]), at: 1, newID: { 5 }),
        ]
        for plan in plans {
            guard case .whole(0, _) = plan else {
                Issue.record("\(plan) has a session")
                continue
            }
        }
    }

    @Test("a session that loses its last partition ends")
    func emptied() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(1, &sessions)
        let forgotten = [PartitionReference(topic: .name("t"), partition: PartitionIndex(rawValue: 0))]
        _ = sessions.plan(Self.request(id: id, epoch: 1, [], forgotten: forgotten), at: 1, newID: { 1 })
        #expect(sessions.count == 0)
    }

    @Test("sessions that are not used are forgotten after two minutes")
    func expires() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(1, &sessions)
        sessions.expire(at: 119)
        #expect(sessions.count == 1)
        _ = sessions.plan(Self.request(id: id, epoch: 1, []), at: 119, newID: { 1 })
        sessions.expire(at: 238)
        #expect(sessions.count == 1)
        sessions.expire(at: 239)
        #expect(sessions.count == 0)
    }

    @Test("after the largest epoch comes 1")
    func epochsWrap() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(1, &sessions)
        for epoch in 1...10 as ClosedRange<Int32> {
            #expect(Self.code(sessions.plan(Self.request(id: id, epoch: epoch, []), at: 1, newID: { 1 })) == nil)
        }
        #expect(FetchSessions.epoch(after: .max) == 1)
        #expect(FetchSessions.epoch(after: 41) == 42)
    }

    @Test("an answer to a fetch that was overtaken on its session is not given")
    func overtaken() {
        var sessions = FetchSessions(countMax: 10)
        let id = Self.begun(1, &sessions)
        _ = sessions.plan(Self.request(id: id, epoch: 1, []), at: 1, newID: { 1 })
        _ = sessions.plan(Self.request(id: id, epoch: 2, []), at: 1, newID: { 1 })
        #expect(sessions.news(id: id, epoch: 1, results: [Self.result()]) == nil)
        #expect(sessions.news(id: id, epoch: 2, results: [Self.result()]) == [false])
    }
}
