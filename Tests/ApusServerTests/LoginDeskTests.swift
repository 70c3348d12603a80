import ApusSystem
import Dispatch
import KafkaDoor
import Testing

@testable import ApusServer

@Suite("What logins are decided by")
struct LoginDeskTests {
    @Test("work of one kind is done while that of the other stands still", arguments: LoginWork.allCases)
    func threads(blocked: LoginWork) async throws {
        let bench = try ServerBench()
        let desk = LoginDesk(bench.configuration, clock: SystemClock(), randomness: SystemRandomness())
        // More than there are threads, which all wait for each other.
        let crowd = DispatchSemaphore(value: 0)
        for _ in 0..<16 { desk.run(blocked) { crowd.wait() } }
        for other in LoginWork.allCases where other != blocked {
            let isDone = Self.isDone(by: desk, other)
            #expect(isDone)
        }
        for _ in 0..<16 { crowd.signal() }
        try await desk.stop()
    }

    /// Blocks the test's thread: a pool that stands still is found out, and not waited for.
    private static func isDone(by desk: LoginDesk, _ work: LoginWork) -> Bool {
        let done = DispatchSemaphore(value: 0)
        desk.run(work) { done.signal() }
        return done.wait(timeout: .now() + .seconds(120)) == .success
    }
}
