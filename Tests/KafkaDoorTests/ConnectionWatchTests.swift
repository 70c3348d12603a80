import ApusCore
import Testing

@testable import KafkaDoor

@Suite("Connections that stand still are found")
struct ConnectionWatchTests {
    private static func quiet(
        isInsideFrame: Bool = false, isReadingHeld: Bool = false, unanswered: Int = 0, buffered: Int = 0,
        isStarving: Bool = false, isReplyMemoryShort: Bool = false, isRequestMemoryShort: Bool = false
    ) -> ConnectionWatch.State {
        ConnectionWatch.State(
            isInsideFrame: isInsideFrame, isReadingHeld: isReadingHeld, requestsUnanswered: unanswered,
            bytesBuffered: buffered, isStarving: isStarving, isReplyMemoryShort: isReplyMemoryShort,
            isRequestMemoryShort: isRequestMemoryShort
        )
    }

    /// The first sweep, from 1, that finds something, within an hour.
    private func firstFinding(
        _ watch: inout ConnectionWatch, _ state: ConnectionWatch.State,
        each: (inout ConnectionWatch, UInt64) -> Void = { _, _ in }
    ) -> (UInt64, ConnectionWatch.Finding)? {
        for sweep in 1...3600 as ClosedRange<UInt64> {
            each(&watch, sweep)
            let finding = watch.finding(at: sweep, state)
            if finding != .fine { return (sweep, finding) }
        }
        return nil
    }

    @Test("half a frame, then silence, is found after ten seconds")
    func halfFrame() throws {
        var watch = ConnectionWatch()
        watch.received(100)
        let found = try #require(self.firstFinding(&watch, Self.quiet(isInsideFrame: true)))
        #expect(found.1 == .halfFrame)
        #expect((10...12).contains(found.0))
    }

    @Test("half a frame, then silence, is found sooner when memory is short")
    func halfFrameShort() throws {
        var watch = ConnectionWatch()
        let found = try #require(
            self.firstFinding(&watch, Self.quiet(isInsideFrame: true, isRequestMemoryShort: true))
        )
        #expect(found.1 == .halfFrame)
        #expect((2...3).contains(found.0))
    }

    @Test("who holds half a frame and gets no memory for the rest gives way in the end")
    func starving() throws {
        var watch = ConnectionWatch()
        let found = try #require(
            self.firstFinding(&watch, Self.quiet(isInsideFrame: true, isReadingHeld: true, isStarving: true))
        )
        #expect(found.1 == .starved)
        #expect((10...11).contains(found.0))
    }

    @Test("half a frame with a byte now and then is found all the same")
    func dribble() throws {
        var watch = ConnectionWatch()
        let found = try #require(
            self.firstFinding(&watch, Self.quiet(isInsideFrame: true)) { watch, _ in watch.received(1000) }
        )
        #expect(found.1 == .halfFrame)
        #expect(found.0 < 15)
    }

    @Test("a long frame that keeps coming at the slowest allowed pace is let be")
    func slowButGoing() {
        var watch = ConnectionWatch()
        let found = self.firstFinding(&watch, Self.quiet(isInsideFrame: true)) { watch, _ in watch.received(1200) }
        #expect(found == nil)
    }

    @Test("answers that grew by encryption are more than was written, and are found unread all the same")
    func encrypted() throws {
        var watch = ConnectionWatch()
        watch.wrote(100)
        let found = try #require(self.firstFinding(&watch, Self.quiet(buffered: 250)))
        #expect(found.1 == .unread)
    }

    @Test("all is taken until something is written, and again when nothing is buffered")
    func taken() {
        var watch = ConnectionWatch()
        #expect(watch.isAllTaken)
        watch.wrote(100)
        #expect(!watch.isAllTaken)
        _ = watch.finding(at: 1, Self.quiet(buffered: 40))
        #expect(!watch.isAllTaken)
        _ = watch.finding(at: 2, Self.quiet())
        #expect(watch.isAllTaken)
    }

    @Test("a client is not blamed for bytes that we do not read")
    func heldByUs() {
        var watch = ConnectionWatch()
        #expect(self.firstFinding(&watch, Self.quiet(isInsideFrame: true, isReadingHeld: true, unanswered: 1)) == nil)
    }

    @Test("frames that complete between sweeps count as going on")
    func completedFrames() {
        var watch = ConnectionWatch()
        let found = self.firstFinding(&watch, Self.quiet(isInsideFrame: true)) { watch, sweep in
            watch.received(50)
            if sweep.isMultiple(of: 5) { watch.completedFrame() }
        }
        #expect(found == nil)
    }

    @Test("answers that nobody takes are found, sooner when memory is short", arguments: [false, true])
    func unread(isShort: Bool) throws {
        var watch = ConnectionWatch()
        watch.wrote(10_000)
        let found = try #require(self.firstFinding(&watch, Self.quiet(buffered: 5000, isReplyMemoryShort: isShort)))
        #expect(found.1 == .unread)
        #expect(isShort ? (5...7).contains(found.0) : (300...302).contains(found.0))
    }

    @Test("a client that takes a little at a time is let be")
    func slowReader() {
        var watch = ConnectionWatch()
        watch.wrote(1_000_000)
        for sweep in 1...200 as ClosedRange<UInt64> {
            let state = Self.quiet(buffered: 1_000_000 - Int(sweep) * 1000, isReplyMemoryShort: true)
            #expect(watch.finding(at: sweep, state) == .fine)
        }
    }

    @Test("a connection without any traffic is idle after ten minutes, one that waits for an answer is not")
    func idle() throws {
        var watch = ConnectionWatch()
        let found = try #require(self.firstFinding(&watch, Self.quiet()))
        #expect(found.1 == .idle)
        #expect((600...602).contains(found.0))
        var waiting = ConnectionWatch()
        #expect(self.firstFinding(&waiting, Self.quiet(unanswered: 1)) == nil)
    }
}
