/// The port to both clocks. Thinking code never holds one: shells read it and pass the moment in.
public protocol Clock: Sendable {
    /// Monotonic: never goes back while the process lives.
    var now: Instant { get }
    /// Wall clock: may jump either way at any time.
    var wallTime: Timestamp { get }
}
