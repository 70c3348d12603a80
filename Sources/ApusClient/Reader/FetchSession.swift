import ApusCore
import KafkaWire

/// What one broker remembers of a reader's partitions (KIP-227), so that a fetch names only those that changed. Worth
/// it where a fetch would name many.
///
/// Epoch 0 names all partitions and asks for a session; the broker answers with its id, or with 0 when it gives none:
/// then every fetch names all again. Epochs 1, 2 … name what is new, moved or gone. After any doubt about what the
/// broker knows the session is begun anew.
struct FetchSession: Sendable {
    /// What a fetch says of one partition.
    struct Place: Hashable, Sendable {
        var offset: Offset
        var leaderEpoch: Epoch
    }

    struct Step: Hashable, Sendable {
        var id: Int32
        var epoch: Int32
        /// To be named, in this order.
        var named: [PartitionIndex]
        var forgotten: [PartitionIndex]
    }

    private var id: Int32 = 0
    private var epoch: Int32 = 0
    private var known: [PartitionIndex: Place] = [:]

    /// The next fetch, of all these partitions.
    mutating func next(_ wanted: [(PartitionIndex, Place)]) -> Step {
        let isFull = self.id == 0 || self.epoch == 0
        let named = wanted.filter { isFull || self.known[$0.0] != $0.1 }.map(\.0)
        let places = Dictionary(wanted, uniquingKeysWith: { _, last in last })
        let forgotten = isFull ? [] : self.known.keys.filter { places[$0] == nil }.sorted()
        self.known = places
        return Step(id: self.id, epoch: self.epoch, named: named, forgotten: forgotten)
    }

    /// The broker answered without an error of the whole.
    mutating func answered(_ id: Int32) {
        if id == 0 {
            self = FetchSession()
        } else if self.id == id {
            self.epoch = self.epoch == .max ? 1 : self.epoch + 1
        } else {
            self.id = id
            self.epoch = 1
        }
    }

    /// What the broker said of this partition is to be said again, whatever it remembers: its answer was an error.
    mutating func doubted(_ partition: PartitionIndex) {
        self.known[partition] = nil
    }

    /// Nobody knows what the broker knows. With the old id the broker can forget that one.
    mutating func lost() {
        self.epoch = 0
        self.known = [:]
    }

    /// The broker does not know the session.
    mutating func refused() {
        self = FetchSession()
    }

    /// Whether the broker's answer is about the session and not about what was asked.
    static func isRefusal(_ code: KafkaErrorCode) -> Bool {
        code == .fetchSessionIDNotFound || code == .invalidFetchSessionEpoch || code == .fetchSessionTopicIDError
    }
}
