import ApusCore
import KafkaWire

/// What a broker remembers of the partitions that are waited for over one connection (KIP-227), so that a request names
/// only those that are new, moved or gone, however many there are.
///
/// A session is asked for by a fetch of epoch 0 that names all partitions; the broker answers with its number, or with
/// 0 when it has no room for one. Then, and until ``UpstreamLimits/sessionAgainWait`` is over, every request names all
/// of them. Epochs 1, 2 … name what changed. A broker runs the fetches of one connection one after the other, so the
/// next may be sent before the last was answered; but for the first, whose answer has the number.
struct LaneSession: Sendable {
    /// What a request says of a partition.
    struct Place: Hashable, Sendable {
        var offset: Offset
        var bytesMax: ByteCount
    }

    struct Step: Sendable {
        var id: Int32
        var epoch: Int32
        var named: [(name: TopicPartition, place: Place)]
        var forgotten: [TopicPartition]
        /// It asks for a session and is not to wait for records.
        var isOpening: Bool { self.epoch == 0 }
    }

    private enum State {
        case closed
        case opening
        case open(id: Int32, epoch: Int32)
        /// The broker has no room for a session; ask again then.
        case refused(until: Instant)
    }

    private var state = State.closed
    private var wanted: [TopicPartition: Place] = [:]
    /// What the broker remembers, as far as is known here.
    private var known: Set<TopicPartition> = []
    /// To be named, to be forgotten.
    private var changed: Set<TopicPartition> = []
    private var gone: Set<TopicPartition> = []

    /// Something is waited for that no request has named yet.
    var hasNews: Bool { !self.changed.isEmpty }
    var isEmpty: Bool { self.wanted.isEmpty }
    /// Nothing can be sent before the answer is there.
    var isOpening: Bool { if case .opening = self.state { true } else { false } }

    mutating func put(_ name: TopicPartition, _ place: Place) {
        self.wanted[name] = place
        self.changed.insert(name)
        self.gone.remove(name)
    }

    mutating func remove(_ name: TopicPartition) {
        guard self.wanted.removeValue(forKey: name) != nil else { return }
        self.changed.remove(name)
        if self.known.contains(name) { self.gone.insert(name) }
    }

    /// The next request.
    mutating func next(at now: Instant) -> Step {
        defer { (self.changed, self.gone) = ([], []) }
        switch self.state {
        case .open(let id, let epoch):
            let named = self.changed.compactMap { name in self.wanted[name].map { (name: name, place: $0) } }
            let forgotten = Array(self.gone)
            self.known.formUnion(self.changed)
            self.known.subtract(self.gone)
            // It never comes back to 0, which would begin a session.
            self.state = .open(id: id, epoch: epoch == .max ? 1 : epoch + 1)
            return Step(id: id, epoch: epoch, named: named, forgotten: forgotten)
        case .refused(let until) where now < until:
            return Step(id: 0, epoch: -1, named: self.all, forgotten: [])
        case .closed, .opening, .refused:
            self.state = .opening
            self.known = Set(self.wanted.keys)
            return Step(id: 0, epoch: 0, named: self.all, forgotten: [])
        }
    }

    private var all: [(name: TopicPartition, place: Place)] { self.wanted.map { (name: $0.key, place: $0.value) } }

    /// A request that asked for a session was answered, with 0 when there is none.
    mutating func opened(_ id: Int32, at now: Instant) {
        guard self.isOpening else { return }
        self.state =
            id > 0 ? .open(id: id, epoch: 1) : .refused(until: now.advanced(by: UpstreamLimits.sessionAgainWait))
    }

    /// Whether a broker's answer is about the session, and not about what was asked.
    static func isRefusal(_ code: KafkaErrorCode) -> Bool {
        code == .fetchSessionIDNotFound || code == .invalidFetchSessionEpoch || code == .fetchSessionTopicIDError
    }

    /// Nobody knows what the broker knows: it is told all of it again.
    mutating func lost() {
        self.state = .closed
        self.known = []
        self.gone = []
        self.changed = Set(self.wanted.keys)
    }
}
