import ApusCore
import ApusFakes
import NIOCore
import Testing
import WebFormats

@testable import EdgeDoor

@Suite("An edge connection")
struct EdgeSessionTests {
    private let start = Instant(nanoseconds: 1_000_000_000)
    private static let channel = "news"
    private static let first = SubscriptionToken(rawValue: 1)

    private func after(_ duration: Duration) -> Instant { self.start.advanced(by: duration) }

    /// What was asked for, in words.
    private func words(_ actions: [SessionAction]) -> [String] {
        actions.map { action in
            switch action {
            case .authenticate(let connect): "authenticate \(connect.token ?? "-")"
            case .subscribe(let token, let channel, let start): "subscribe \(token.rawValue) \(channel) \(start)"
            case .unsubscribe(_, let channel): "unsubscribe \(channel)"
            case .read(let token, let channel, let reading):
                "read \(token.rawValue) \(channel) "
                    + reading.wishes.map { "\($0.partition):\($0.from)" }.joined(separator: ",")
            case .perform(let id, let operation): "perform \(id?.rawValue ?? -1) \("\(operation)".prefix { $0 != "(" })"
            case .send(let line): self.summary(line)
            case .tell(let event): "event \(event.name)"
            case .push: "push"
            case .tellLagging(_, let channel, let ranges):
                "lagging \(channel) " + ranges.map { "\($0.partition):\($0.from)-\($0.to)" }.joined(separator: ",")
            case .ping: "ping"
            case .close(let reason): "close \(reason.word)"
            }
        }
    }

    private func summary(_ line: ByteBuffer) -> String {
        guard let fields = try? JSONObject(line) else { return "no JSON" }
        let id = fields["id"]?.integer.map { "\($0) " } ?? ""
        if let error = try? fields["error"]?.object() { return "\(id)error \(error["code"]?.text ?? "?")" }
        return "\(id)ok"
    }

    private func send(_ session: inout EdgeSession, _ lines: String, at now: Instant? = nil) -> [String] {
        self.words(session.received(ByteBuffer(string: lines), at: now ?? self.start))
    }

    private func actions(_ answer: PushAnswer, _ delivery: HubDelivery) -> [SessionAction] {
        switch answer {
        case .push: [.push(delivery.push)]
        case .leaveOut: []
        case .act(let actions): actions
        }
    }

    /// Pushes to the subscription that came last.
    private func push(_ session: inout EdgeSession, _ delivery: HubDelivery) -> [String] {
        let token = session.subscriptions.last?.token ?? Self.first
        return self.words(self.actions(session.pushed(delivery, to: token), delivery))
    }

    private func open() -> EdgeSession { EdgeSession(at: self.start, isConnected: true) }

    private func cursor() throws -> SealedCursor {
        let keys = CursorKeys(current: Array(repeating: 1, count: 32))
        let seal = CursorSeal(keys: keys, topic: TopicID(high: 1, low: 1), selection: .everything)
        return SealedCursor(.whole([.zero]), by: seal)
    }

    private func delivery(_ from: Int64, _ to: Int64, bytes: Int = 100, partition: Int32 = 0) throws -> HubDelivery {
        let channel = try EdgeChannel(Self.channel)
        let partition = PartitionIndex(rawValue: partition)
        let record = EdgeRecord(
            partition: partition, offset: Offset(rawValue: from), timestamp: .none, key: nil,
            value: ByteBuffer(repeating: UInt8(ascii: "x"), count: bytes)
        )
        return HubDelivery(
            channel: channel, push: Push(channel, [record], try self.cursor()), recordCount: Int(to - from),
            range: MissedRange(partition: partition, from: Offset(rawValue: from), to: Offset(rawValue: to)),
            place: nil, subscribers: []
        )
    }

    /// Open, and subscribed with these fields.
    private func subscribed(_ fields: String = "") throws -> EdgeSession {
        var session = self.open()
        _ = self.send(&session, #"{"op":"subscribe","channel":"news"\#(fields)}"#)
        #expect(session.subscribed(Self.first, .success(SubscriptionStart(cursor: try self.cursor()))).isEmpty)
        return session
    }

    @Test("a client says who it is first, and what it sends along waits until that is known")
    func connecting() throws {
        var session = EdgeSession(at: self.start)
        let lines = #"{"id":1,"op":"connect","token":"t"}"# + "\n" + #"{"id":2,"op":"subscribe","channel":"news"}"#
        #expect(self.send(&session, "\n") == [])
        #expect(self.send(&session, lines) == ["authenticate t"])
        #expect(self.send(&session, #"{"id":3,"op":"ping"}"#) == [])
        #expect(self.words(session.connected("c1")) == ["1 ok", "subscribe 1 news latest", "3 ok"])
        #expect(self.send(&session, #"{"id":4,"op":"connect"}"#) == ["4 error already_connected"])
        let outcome = SubscriptionStart(cursor: try self.cursor())
        #expect(self.words(session.subscribed(Self.first, .success(outcome))) == ["2 ok"])
    }

    @Test(
        "whoever begins with anything else is closed",
        arguments: [#"{"id":1,"op":"ping"}"#, "{", #"{"id":1,"op":"connect","x":1}"#]
    )
    func wrongBeginning(line: String) {
        var session = EdgeSession(at: self.start)
        #expect(self.send(&session, line) == ["error not_connected", "event bye", "close not_connected"])
        #expect(self.send(&session, #"{"id":1,"op":"connect"}"#) == [])
        #expect(self.words(session.connected("c1")) == [])
    }

    @Test("whoever says nothing in time, or is nobody, is closed")
    func denied() {
        var session = EdgeSession(at: self.start)
        let last = Limits.edgeConnectWaitMax - .nanoseconds(1)
        #expect(session.swept(at: self.after(last)).isEmpty)
        #expect(
            self.words(session.swept(at: self.after(Limits.edgeConnectWaitMax))) == [
                "event bye", "close not_connected",
            ])
        #expect(session.swept(at: self.after(.seconds(100))).isEmpty)
        var other = EdgeSession(at: self.start)
        _ = self.send(&other, #"{"id":1,"op":"connect","token":"bad"}"#)
        #expect(
            self.words(other.denied(Problem(.unauthenticated, "who?")))
                == ["1 error unauthenticated", "event bye", "close unauthenticated"])
        // Nobody could say who it is: that is no reason to stay away.
        var busy = EdgeSession(at: self.start)
        _ = self.send(&busy, #"{"id":1,"op":"connect","token":"good"}"#)
        #expect(
            self.words(busy.denied(Problem(.overloaded, "later"))) == [
                "1 error overloaded", "event bye", "close overloaded",
            ])
        var slow = EdgeSession(at: self.start)
        _ = self.send(&slow, #"{"id":1,"op":"connect"}"#)
        #expect(self.words(slow.swept(at: self.after(.seconds(6)))) == ["event bye", "close not_connected"])
    }

    @Test("what waits for the login is bounded")
    func held() {
        var session = EdgeSession(at: self.start)
        _ = self.send(&session, #"{"id":1,"op":"connect"}"#)
        let lines = String(repeating: "{\"op\":\"ping\"}\n", count: Limits.edgeLinesPerMessageMax)
        #expect(self.send(&session, lines) == [])
        #expect(self.send(&session, lines) == ["event bye", "close overloaded"])
    }

    @Test("a channel is subscribed to once, left once, and its end is told")
    func subscribing() throws {
        var session = try self.subscribed()
        #expect(self.send(&session, #"{"id":2,"op":"subscribe","channel":"news"}"#) == ["2 error already_subscribed"])
        #expect(self.push(&session, try self.delivery(0, 1)) == ["push"])
        #expect(self.send(&session, #"{"id":3,"op":"unsubscribe","channel":"news"}"#) == ["unsubscribe news", "3 ok"])
        #expect(self.push(&session, try self.delivery(1, 2)) == [])
        #expect(self.send(&session, #"{"id":4,"op":"unsubscribe","channel":"news"}"#) == ["4 error not_subscribed"])
        #expect(
            self.send(&session, #"{"id":5,"op":"seek","channel":"news","from":"start"}"#) == ["5 error not_subscribed"])
        #expect(self.send(&session, #"{"op":"flow","channel":"news","credit":1}"#) == ["error not_subscribed"])
        var other = try self.subscribed()
        #expect(
            self.words(other.ended(Self.first, Problem(.forbidden, "no more"))) == ["unsubscribe news", "event ended"])
        #expect(other.ended(Self.first, Problem(.forbidden, "no more")).isEmpty && other.channels.isEmpty)
    }

    @Test("an answer to a subscription that was given up begins nothing")
    func givenUp() throws {
        var session = self.open()
        let outcome = Result<SubscriptionStart, Problem>.success(SubscriptionStart(cursor: try self.cursor()))
        #expect(self.send(&session, #"{"id":1,"op":"subscribe","channel":"news"}"#) == ["subscribe 1 news latest"])
        #expect(
            self.send(&session, #"{"id":2,"op":"unsubscribe","channel":"news"}"#)
                == ["unsubscribe news", "1 error not_subscribed", "2 ok"])
        #expect(self.send(&session, #"{"id":3,"op":"subscribe","channel":"news"}"#) == ["subscribe 2 news latest"])
        #expect(session.subscribed(Self.first, outcome).isEmpty)
        #expect(self.push(&session, try self.delivery(0, 1)) == [])
        #expect(self.words(session.subscribed(SubscriptionToken(rawValue: 2), outcome)) == ["3 ok"])
        #expect(
            self.send(&session, #"{"id":4,"op":"seek","channel":"news","from":"start"}"#)
                == ["unsubscribe news", "subscribe 3 news earliest"])
        #expect(self.push(&session, try self.delivery(0, 1)) == [])
        let refused = session.subscribed(
            SubscriptionToken(rawValue: 3), .failure(Problem(.forbidden, "no")))
        #expect(self.words(refused) == ["4 error forbidden"])
        #expect(session.channels.isEmpty)
    }

    @Test("a client that does not keep up is told exactly what it missed, once there is room")
    func skipping() throws {
        var session = try self.subscribed()
        let half = Limits.edgeBytesOwedMax.rawValue / 2
        #expect(self.push(&session, try self.delivery(0, 1, bytes: half)) == ["push"])
        #expect(self.push(&session, try self.delivery(1, 2, bytes: half)) == [])
        #expect(self.push(&session, try self.delivery(2, 5)) == [])
        #expect(self.push(&session, try self.delivery(7, 9, partition: 1)) == [])
        // Answers go on.
        #expect(self.send(&session, #"{"id":2,"op":"ping"}"#) == ["2 ok"])
        #expect(session.left(session.bytesOwed - .bytes(200)).isEmpty == false)
        #expect(self.push(&session, try self.delivery(5, 6)) == ["push"])
    }

    @Test("the missed range is that of each partition, from the first push left out to the last")
    func ranges() throws {
        var session = try self.subscribed()
        let most = Limits.edgeBytesOwedMax.rawValue
        #expect(self.push(&session, try self.delivery(0, 1, bytes: most)) == ["push"])
        for (from, to, partition) in [(1, 2, 0), (2, 5, 0), (7, 9, 1)] as [(Int64, Int64, Int32)] {
            #expect(self.push(&session, try self.delivery(from, to, partition: partition)) == [])
        }
        #expect(session.left(session.bytesOwed - .bytes(1000)).isEmpty)
        #expect(self.words(session.left(.zero)) == ["lagging news 0:1-5,1:7-9"])
        #expect(session.left(.zero).isEmpty)
    }

    @Test("a client that would rather be closed than miss anything is closed, to resume")
    func closing() throws {
        var session = try self.subscribed(#","slow":"close""#)
        _ = self.push(&session, try self.delivery(0, 1, bytes: Limits.edgeBytesOwedMax.rawValue))
        #expect(
            self.push(&session, try self.delivery(1, 2)) == ["unsubscribe news", "event bye", "close too_slow"])
        #expect(session.isClosed && CloseReason.tooSlow.mayReconnect)
    }

    @Test("no more records are pushed than the client lets come, but for the rest of a push")
    func credit() throws {
        var session = try self.subscribed(#","credit":3"#)
        #expect(self.push(&session, try self.delivery(0, 2)) == ["push"])
        #expect(self.push(&session, try self.delivery(2, 5)) == ["push"])
        #expect(self.push(&session, try self.delivery(5, 6)) == [])
        #expect(session.left(.zero).isEmpty)
        #expect(
            self.send(&session, #"{"id":1,"op":"flow","channel":"news","credit":1}"#) == ["1 ok", "lagging news 0:5-6"])
        #expect(self.push(&session, try self.delivery(6, 7)) == ["push"])
        #expect(self.push(&session, try self.delivery(7, 8)) == [])
    }

    @Test("answers that nobody takes close the connection at a bound")
    func answers() {
        var session = self.open()
        var count = 0
        while !session.isClosed, count < 100_000 {
            _ = self.send(&session, #"{"id":1,"op":"dance"}"#)
            count += 1
        }
        #expect(session.isClosed && count > 1000)
        #expect(session.bytesOwed.rawValue <= Limits.edgeBytesOwedMax.rawValue * 2 + 1000)
    }

    @Test("operations under way and channels have their bounds")
    func bounds() throws {
        var session = self.open()
        for id in 0..<Limits.edgeOperationsInFlightMax {
            #expect(
                self.send(&session, #"{"id":\#(id),"op":"delete_topic","topic":"t"}"#) == ["perform \(id) deleteTopic"])
        }
        #expect(self.send(&session, #"{"id":7,"op":"subscribe","channel":"a"}"#) == ["7 error too_many"])
        #expect(session.channels.isEmpty)
        #expect(self.words(session.answered(RequestID(rawValue: 0), .success(.deleted(topic: "t")))) == ["0 ok"])
        #expect(self.words(session.answered(nil, .success(.deleted(topic: "t")))) == [])
        #expect(self.words(session.answered(nil, .failure(Problem(.forbidden, "no")))) == ["error forbidden"])
        for index in 0..<Limits.edgeChannelsPerConnectionMax {
            let channel = "c/\(index)"
            let words = self.send(&session, #"{"op":"subscribe","channel":"\#(channel)"}"#)
            #expect(words == ["subscribe \(index + 2) \(channel) latest"])
            let token = SubscriptionToken(rawValue: UInt32(index + 2))
            _ = session.subscribed(token, .success(SubscriptionStart(cursor: try self.cursor())))
        }
        #expect(self.send(&session, #"{"id":8,"op":"subscribe","channel":"more"}"#) == ["8 error too_many"])
    }

    @Test("a quiet client is pinged once, and closed when it does not answer")
    func pinging() {
        var session = self.open()
        let period = Limits.edgePingPeriod
        #expect(session.swept(at: self.after(period - .seconds(1))).isEmpty)
        #expect(self.words(session.swept(at: self.after(period))) == ["ping"])
        #expect(session.swept(at: self.after(period + .seconds(1))).isEmpty)
        #expect(self.send(&session, "\n", at: self.after(period + .seconds(2))) == [])
        #expect(session.swept(at: self.after(period * 2)).isEmpty)
        #expect(self.words(session.swept(at: self.after(period * 2 + .seconds(2)))) == ["ping"])
        #expect(self.words(session.swept(at: self.after(period * 3 + .seconds(2)))) == ["event bye", "close idle"])
    }

    @Test("a node that drains says so")
    func others() throws {
        var session = try self.subscribed()
        #expect(self.words(session.drains(retryIn: .seconds(1))) == ["event moved"])
        #expect(self.words(session.close(.shuttingDown)) == ["unsubscribe news", "event bye", "close shutting_down"])
        #expect(session.close(.idle).isEmpty && session.drains(retryIn: .zero).isEmpty)
    }

    @Test(
        "every record is pushed or named as missed, and no more is owed than the bound",
        arguments: 0..<20 as Range<UInt64>)
    func accounting(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        var session = try self.subscribed(generator.isOne(in: 2) ? #","credit":50"# : "")
        // Encoded once: only their lengths matter here.
        let templates = try [10, 30_000, 100_000].map { try self.delivery(0, 1, bytes: $0) }
        var ends: [Int64] = [0, 0, 0]
        var told: [Int64] = [0, 0, 0]
        func take(_ actions: [SessionAction], _ delivery: HubDelivery? = nil) {
            for action in actions {
                if case .push = action, let range = delivery?.range {
                    let index = Int(range.partition.rawValue)
                    #expect(range.from.rawValue == told[index])
                    told[index] = range.to.rawValue
                }
                guard case .tellLagging(_, _, let ranges) = action else { continue }
                for range in ranges {
                    let index = Int(range.partition.rawValue)
                    #expect(range.from.rawValue == told[index])
                    #expect(range.to.rawValue == ends[index])
                    told[index] = range.to.rawValue
                }
            }
        }
        for _ in 0..<400 {
            switch generator.below(6) {
            case 0: take(session.left(.bytes(generator.below(session.bytesOwed.rawValue + 1))))
            case 1:
                let line = #"{"op":"flow","channel":"news","credit":\#(1 + generator.below(30))}"#
                take(session.received(ByteBuffer(string: line), at: self.start))
            default:
                let index = generator.below(3)
                let count = Int64(1 + generator.below(5))
                let template = templates[generator.below(templates.count)]
                let delivery = HubDelivery(
                    channel: template.channel, push: template.push, recordCount: Int(count),
                    range: MissedRange(
                        partition: PartitionIndex(rawValue: Int32(index)), from: Offset(rawValue: ends[index]),
                        to: Offset(rawValue: ends[index] + count)
                    ), place: nil, subscribers: []
                )
                ends[index] += count
                take(self.actions(session.pushed(delivery, to: Self.first), delivery), delivery)
            }
            #expect(session.bytesOwed <= Limits.edgeBytesOwedMax)
        }
        take(session.received(ByteBuffer(string: #"{"op":"flow","channel":"news","credit":1}"#), at: self.start))
        take(session.left(.zero))
        #expect(told == ends)
    }
}
