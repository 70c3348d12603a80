import ApusCore

/// Tells when one connection has stood still for too long. One sweep a second looks at all connections of a loop; no
/// connection has a timer of its own.
struct ConnectionWatch {
    /// What a sweep finds.
    enum Finding {
        case fine
        /// Nothing of any kind for ``Limits/connectionIdleMax``.
        case idle
        /// A frame was begun and does not go on.
        case halfFrame
        /// It has waited for memory for too long, and holds what others wait for.
        case starved
        /// Answers are there and the client takes none.
        case unread
    }

    /// What a sweep must know of the connection.
    struct State {
        var isInsideFrame: Bool
        /// Whether we, and not the client, are why no bytes come.
        var isReadingHeld: Bool
        var requestsUnanswered: Int
        /// Written to the channel and not taken by the kernel yet.
        var bytesBuffered: Int
        /// Half a frame is here and memory for the rest is not to be had.
        var isStarving = false
        /// Memory for answers is short: those who do not read theirs have less time.
        var isReplyMemoryShort = false
        /// Memory for requests is short: those who do not go on sending have less time.
        var isRequestMemoryShort = false
    }

    private struct Mark {
        var sweep: UInt64 = 0
        var count: UInt64 = 0
    }

    private var bytesReceived: UInt64 = 0
    private var bytesWritten: UInt64 = 0
    private var framesCompleted: UInt64 = 0
    /// When bytes last came or went, and how many had by then.
    private var activity = Mark()
    /// When the frame under way was last seen to go on.
    private var arrival = Mark()
    private var arrivalFrames: UInt64 = 0
    /// When it was last seen not to wait for memory with half a frame.
    private var plenty: UInt64 = 0
    /// When the client last took something, or there was nothing to take.
    private var departure = Mark()

    mutating func received(_ count: Int) { self.bytesReceived += UInt64(count) }
    mutating func wrote(_ count: Int) { self.bytesWritten += UInt64(count) }
    mutating func completedFrame() { self.framesCompleted += 1 }

    /// Starts at the sweep during which the connection came.
    mutating func begin(at sweep: UInt64) {
        self.activity.sweep = sweep
        self.arrival.sweep = sweep
        self.departure.sweep = sweep
        self.plenty = sweep
    }

    /// The peer had taken all of its answers at the last sweep, and none was written since.
    var isAllTaken: Bool { self.departure.count == self.bytesWritten }

    mutating func finding(at sweep: UInt64, _ state: State) -> Finding {
        // With TLS more may be buffered than was written: every record has its own overhead.
        let taken = self.bytesWritten - min(self.bytesWritten, UInt64(max(0, state.bytesBuffered)))
        if state.bytesBuffered == 0 || taken > self.departure.count {
            self.departure = Mark(sweep: sweep, count: taken)
        }
        let patience = state.isReplyMemoryShort ? Limits.unreadReplyShortWaitMax : Limits.unreadReplyWaitMax
        if sweep - self.departure.sweep >= Self.sweeps(patience) { return .unread }

        let isGoingOn =
            !state.isInsideFrame || state.isReadingHeld || self.framesCompleted != self.arrivalFrames
            || self.bytesReceived - self.arrival.count >= UInt64(Limits.halfFrameBytesMin.rawValue)
        if isGoingOn {
            self.arrival = Mark(sweep: sweep, count: self.bytesReceived)
            self.arrivalFrames = self.framesCompleted
        }
        let wait = state.isRequestMemoryShort ? Limits.halfFrameShortWaitMax : Limits.halfFrameWaitMax
        if sweep - self.arrival.sweep >= Self.sweeps(wait) { return .halfFrame }

        if !state.isStarving { self.plenty = sweep }
        if sweep - self.plenty >= Self.sweeps(Limits.halfFrameWaitMax) { return .starved }

        let moved = self.bytesReceived &+ taken
        if moved != self.activity.count || state.requestsUnanswered > 0 {
            self.activity = Mark(sweep: sweep, count: moved)
        }
        return sweep - self.activity.sweep >= Self.sweeps(Limits.connectionIdleMax) ? .idle : .fine
    }

    private static func sweeps(_ duration: Duration) -> UInt64 {
        UInt64(max(1, duration.wholeMilliseconds / Limits.connectionSweepPeriod.wholeMilliseconds))
    }
}
