import ApusCore
import Testing

@testable import ApusBroker

@Suite("The timer wheel")
struct TimerWheelTests {
    private let start = Instant(nanoseconds: 1_000_000_000)

    private func wheel() -> TimerWheel<Int> { TimerWheel(tick: .milliseconds(10), slots: 8, now: self.start) }

    @Test("a deadline fires once, never early and at most a tick late")
    func fires() {
        var wheel = self.wheel()
        _ = wheel.insert(1, at: self.start.advanced(by: .milliseconds(25)))
        #expect(wheel.advance(to: self.start.advanced(by: .milliseconds(24))) == [])
        #expect(wheel.advance(to: self.start.advanced(by: .milliseconds(35))) == [1])
        #expect(wheel.advance(to: self.start.advanced(by: .seconds(5))) == [])
        #expect(wheel.isEmpty)
    }

    @Test("a cancelled deadline does not fire, and its name is not another's later")
    func cancels() {
        var wheel = self.wheel()
        let first = wheel.insert(1, at: self.start.advanced(by: .milliseconds(20)))
        #expect(wheel.cancel(first) == 1)
        let second = wheel.insert(2, at: self.start.advanced(by: .milliseconds(20)))
        #expect(wheel.cancel(first) == nil)
        #expect(wheel.advance(to: self.start.advanced(by: .milliseconds(40))) == [2])
        #expect(wheel.cancel(second) == nil)
    }

    @Test("deadlines beyond a turn of the ring wait for their turn")
    func turns() {
        var wheel = self.wheel()
        _ = wheel.insert(1, at: self.start.advanced(by: .milliseconds(500)))
        for step in 1...49 {
            #expect(wheel.advance(to: self.start.advanced(by: .milliseconds(Int64(step) * 10))) == [])
        }
        #expect(wheel.advance(to: self.start.advanced(by: .milliseconds(510))) == [1])
    }

    @Test("what is overdue fires at the next look")
    func overdue() {
        var wheel = self.wheel()
        _ = wheel.advance(to: self.start.advanced(by: .seconds(3)))
        _ = wheel.insert(1, at: self.start)
        #expect(wheel.advance(to: self.start.advanced(by: .milliseconds(3010))) == [1])
    }

    @Test("a wheel and a sorted list agree", arguments: 0..<20 as Range<UInt64>)
    func agrees(_ seed: UInt64) {
        var random = Random(state: seed)
        var wheel = self.wheel()
        var expected: [Int: Instant] = [:]
        var timers: [Int: TimerWheel<Int>.Timer] = [:]
        var now = self.start
        for id in 0..<500 {
            let deadline = now.advanced(by: .milliseconds(Int64(random.next(400))))
            timers[id] = wheel.insert(id, at: deadline)
            expected[id] = deadline
            if random.next(3) == 0 {
                let victim = random.next(id + 1)
                if let timer = timers[victim] { wheel.cancel(timer) }
                expected[victim] = nil
            }
            now = now.advanced(by: .milliseconds(Int64(random.next(15))))
            let fired = wheel.advance(to: now)
            for id in fired {
                #expect((expected[id] ?? now.advanced(by: .seconds(1))) <= now)
                expected[id] = nil
            }
            let late = now.advanced(by: .milliseconds(-20))
            #expect(!expected.values.contains { $0 < late })
        }
        #expect(wheel.count == expected.count)
    }

    private struct Random {
        var state: UInt64

        mutating func next(_ count: Int) -> Int {
            self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(self.state >> 33) % max(1, count)
        }
    }
}
