import ApusCore

/// Below it everything is on the disk and was verified or synced by us. Recovery starts here and never cuts below.
struct RecoveryPoint: Hashable, Sendable {
    var offset: Offset
    /// Where that is in the segment that was written to when it was set.
    var position: Int
}

/// What a log knows about its disk work: what is under way, and what is owed.
struct LogWork: Sendable {
    /// The one job in flight.
    struct Flight: Sendable {
        enum Kind: Hashable, Sendable {
            case write, state, mend, close
        }

        var token: LogJob.Token
        var kind: Kind
        /// `writing.written` when it succeeds.
        var written: OpenSegment.Mark
        var allocated: Int
        var isSynced: Bool
        /// A hole is punched with it.
        var hole: HoleMark?
        /// Makes the file of the segment it writes to.
        var makesFile = false
        /// Finishes the segment in front of it.
        var finishes = false
        /// Set by the `state` file that the job replaces.
        var recovery: RecoveryPoint?
        var start: Offset
        var doomed = 0
    }

    /// A closed segment whose file is not finished: the job that makes the next segment's file does it first.
    struct Unfinished: Sendable {
        var file: DiskPath
        var base: Offset
        var salt: UInt64
        var byteCount: Int
        var allocated: Int
        var index: SparseIndex
    }

    var flight: Flight?
    /// The furthest end that any job took to the disk, whatever became of it.
    var handedEnd = Offset.zero
    /// The marker that says there is a `state` file is there.
    var isMarked = false
    var jobs: UInt64 = 0
    var recovery = RecoveryPoint(offset: .zero, position: 0)
    var durableStart = Offset.zero
    var unfinished: Unfinished?
    /// How far the first segment was given back to the file system.
    var hole = HoleMark()
    /// Out of the log, to be removed once the `state` file says so.
    var doomed: [DiskPath] = []
    /// The start moved or segments were dropped: the disk must be told.
    var isStateDue = false
    /// As above, but the disk was full: waits for the next occasion instead of trying for ever.
    var isStateOwed = false
    /// A job failed on a full disk: what it began must be taken back before anything else.
    var isMending = false
    /// Space was short lately: set aside no more than is needed.
    var isTight = false
}
