/// A moment on the monotonic clock, in nanoseconds from an arbitrary start. For timers and timeouts, never stored.
public struct Instant: Hashable, Comparable, Sendable {
    public var nanoseconds: UInt64

    @inlinable
    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The instant `duration` later, held at the ends of the range instead of overflowing.
    @inlinable
    public func advanced(by duration: Duration) -> Instant {
        let delta = duration.wholeNanoseconds
        let (sum, overflow) =
            delta >= 0
            ? self.nanoseconds.addingReportingOverflow(UInt64(delta))
            : self.nanoseconds.subtractingReportingOverflow(delta.magnitude)
        return Instant(nanoseconds: overflow ? (delta >= 0 ? .max : 0) : sum)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    @inlinable
    public func since(_ earlier: Instant) -> Duration {
        guard self.nanoseconds > earlier.nanoseconds else { return .zero }
        return .nanoseconds(Int64(clamping: self.nanoseconds - earlier.nanoseconds))
    }
}

/// A moment on the wall clock, in milliseconds since 1970 (UTC), as Kafka writes it into records. May be anything: a
/// client chose it, or a clock jumped. Nothing about safety depends on it.
public struct Timestamp: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: Int64

    /// Kafka's "no timestamp".
    public static let none = Timestamp(rawValue: -1)

    @inlinable
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The moment `duration` earlier, held at the ends of the range instead of overflowing.
    public func earlier(by duration: Duration) -> Timestamp {
        let (difference, overflow) = self.rawValue.subtractingReportingOverflow(duration.wholeMilliseconds)
        return Timestamp(rawValue: overflow ? .min : difference)
    }

    /// The moment `duration` later, held at the ends of the range instead of overflowing.
    public func later(by duration: Duration) -> Timestamp {
        let (sum, overflow) = self.rawValue.addingReportingOverflow(duration.wholeMilliseconds)
        return Timestamp(rawValue: overflow ? (duration > .zero ? .max : .min) : sum)
    }
}

extension Duration {
    /// Whole nanoseconds, held at the ends of Int64.
    @inlinable
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, sumOverflow) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflow ? (seconds < 0 ? .min : .max) : sum
    }

    /// Whole milliseconds, held at the ends of Int64.
    @inlinable
    public var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, sumOverflow) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return sumOverflow ? (seconds < 0 ? .min : .max) : sum
    }
}
