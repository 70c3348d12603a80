import ApusCore
import Synchronization

/// What the groups of all coordinators take of the memory together. Each coordinator adds what changed, on its own
/// loop; a few that look at once may go over the limit by what one event adds.
final class BrokerGroupMemory: Sendable {
    private let held = Atomic<Int>(0)

    var room: ByteCount {
        .bytes(max(Limits.groupMemoryMax.rawValue - self.held.load(ordering: .relaxed), 0))
    }

    /// - Parameter bytes: below 0 for what is given back.
    func add(_ bytes: Int) { self.held.wrappingAdd(bytes, ordering: .relaxed) }
}
