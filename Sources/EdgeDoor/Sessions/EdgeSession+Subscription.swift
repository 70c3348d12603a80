import ApusCore
import WebFormats

extension EdgeSession {
    enum Phase: Sendable {
        /// Where it begins is being found out.
        case starting(RequestID?)
        /// The same, without the client having asked: its topic has more partitions.
        case restarting
        indirect case catchingUp(CatchUp)
        case live
    }

    /// One channel of a connection. Ten thousand connections may have a thousand each, which are live, keep up and
    /// confirm nothing: all else that one may have is kept elsewhere, and only while it has it.
    struct Subscription: Sendable {
        private struct More: Sendable {
            var phase = Phase.live
            var credit: Int?
            var given: GivenRecords?
            var missed: [PartitionIndex: MissedRange] = [:]

            var isNothing: Bool {
                guard case .live = self.phase else { return false }
                return self.credit == nil && self.given == nil && self.missed.isEmpty
            }
        }

        private indirect enum Box: Sendable {
            case of(More)
        }

        var channel: EdgeChannel
        private var box: Box?
        var token: SubscriptionToken
        let whenSlow: SlowReaderRule
        /// In the queue of those who wait to be read for.
        var isQueued = false

        init(_ token: SubscriptionToken, _ channel: EdgeChannel, _ phase: Phase, whenSlow: SlowReaderRule, credit: Int?)
        {
            self.token = token
            self.channel = channel
            self.whenSlow = whenSlow
            self.more = More(phase: phase, credit: credit)
        }

        private var more: More {
            get { if case .of(let more)? = self.box { more } else { More() } }
            set { self.box = newValue.isNothing ? nil : .of(newValue) }
        }

        /// Live, with no bound but the socket's, and nothing missed: what is pushed is simply written.
        var isPlain: Bool { self.box == nil }

        var phase: Phase {
            get { self.more.phase }
            set { self.more.phase = newValue }
        }

        /// Records that may still be pushed; nil: as many as the socket takes.
        var credit: Int? {
            get { self.more.credit }
            set { if !self.isPlain || newValue != nil { self.more.credit = newValue } }
        }

        /// Only where it may be confirmed.
        var given: GivenRecords? {
            get { self.more.given }
            set { if !self.isPlain || newValue != nil { self.more.given = newValue } }
        }

        /// What was not pushed since the client fell behind.
        var missed: [PartitionIndex: MissedRange] {
            get { self.more.missed }
            set { if !self.isPlain || !newValue.isEmpty { self.more.missed = newValue } }
        }
    }

    /// Adds one behind the others. The array grows by a quarter: twice as much room would mostly stay empty.
    mutating func add(_ subscription: Subscription) {
        if self.subscriptions.count == self.subscriptions.capacity {
            self.subscriptions.reserveCapacity(self.subscriptions.count + self.subscriptions.count / 4 + 1)
        }
        self.subscriptions.append(subscription)
    }
}
