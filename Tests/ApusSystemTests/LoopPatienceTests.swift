import ApusCore
import ApusFakes
@testable import ApusSystem
import Testing

@Suite struct LoopPatienceTests {
    private let clock = SimulatedClock()

    @Test("quick work runs again and again")
    func quick() {
        let patience = LoopPatience(clock: self.clock)
        for number in 0..<10 {
            let answer = patience.run {
                self.clock.advance(by: Limits.shortWorkMax)
                return number
            }
            #expect(answer == number)
        }
    }

    @Test("after slow work nothing runs for a while, then it is tried again")
    func slow() {
        let patience = LoopPatience(clock: self.clock)
        let slow: Void? = patience.run { self.clock.advance(by: Limits.shortWorkMax + .nanoseconds(1)) }
        #expect(slow != nil, "the slow one itself is answered")
        let refused: Int? = patience.run {
            Issue.record("it was run")
            return 1
        }
        #expect(refused == nil)
        self.clock.advance(by: Limits.shortWorkRest - .nanoseconds(1))
        #expect(patience.run { 2 } == nil)
        self.clock.advance(by: .nanoseconds(1))
        #expect(patience.run { 3 } == 3)
    }
}
