package import ApusCore

/// Why a log could not be opened, read or written.
package enum LogError: Error, Hashable, Sendable, CustomStringConvertible {
    case disk(DiskError)
    /// A batch that was written is not what was written. It is never served; the rest of the log is.
    case damaged(LogDamage)
    /// Below the start or at or above the end of the log.
    case outOfRange(start: Offset, end: Offset)
    /// The segment was removed by retention or deletion after the read was planned. Plan again.
    case gone(Offset)
    /// The log takes no more appends or jobs, for this reason.
    case failed(LogFailure)

    package var description: String {
        switch self {
        case .disk(let error): "\(error)"
        case .damaged(let damage): "\(damage)"
        case .outOfRange(let start, let end): "offset out of range \(start)..<\(end)"
        case .gone(let offset): "offset \(offset) was removed meanwhile"
        case .failed(let failure): "\(failure)"
        }
    }
}

/// Why a log is dead until the process starts again and recovers it.
package enum LogFailure: Hashable, Sendable, CustomStringConvertible {
    /// A write or sync failed: what is on the disk is not known any more, and a second sync may lie.
    case disk(DiskError)
    /// Recovery could not find out where the log ends, so no offset can be given without giving it twice. With a
    /// `record` that says so, the loss can be accepted.
    case endUnknown(LogDamage, record: DiskPath?)
    /// The log ends below where it is known to have ended; `record` says so until the rest is back.
    case endLost(LogDamage, record: DiskPath)
    case closed

    package var description: String {
        switch self {
        case .disk(let error): "the log failed: \(error)"
        case .endUnknown(let damage, let record):
            "the end of the log is damaged: \(damage). \(Self.wayOut(record))"
        case .endLost(let damage, let record):
            "records are lost: \(damage). \(Self.wayOut(record))"
        case .closed: "the log is closed"
        }
    }

    private static func wayOut(_ record: DiskPath?) -> String {
        let always = "Put the files back from a copy, or delete the topic"
        guard let record else { return always }
        return "\(always); to accept the loss and give out these offsets again, stop the broker and rename "
            + "\(record) to \(FileName.acceptedLossName)"
    }
}

/// One damaged place, by name.
package struct LogDamage: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Error, Hashable, Sendable {
        /// The file is not there, though the log goes on behind it.
        case missing
        /// The first 64 bytes are not a segment header with a right checksum.
        case header
        /// No header, because none was ever written: the making of the file was cut off.
        case blank
        /// The header names another partition or base offset: the file strayed or was swapped.
        case wrongIdentity
        /// The file is shorter than what was written to it.
        case shorter
        /// Seal, header, order or checksum of a batch do not hold.
        case batch
        /// The `state` file is missing, damaged or of another partition.
        case state
        /// The file that tells where the log ended can not be read.
        case knownEnd
        /// Offsets that another segment has too.
        case overlap
    }

    package var kind: Kind
    package var file: DiskPath
    /// Where in the file; 0 when all of it.
    package var position: FilePosition
    /// The offsets that can not be read. Empty when no record is lost.
    package var offsets: Range<Offset>

    package init(_ kind: Kind, _ file: DiskPath, at position: FilePosition = .start, offsets: Range<Offset>) {
        self.kind = kind
        self.file = file
        self.position = position
        self.offsets = offsets
    }

    package var description: String {
        "\(self.file): \(self.kind) at byte \(self.position), offsets \(self.offsets.lowerBound)"
            + "..<\(self.offsets.upperBound)"
    }
}

/// What recovery found and did.
package struct LogReport: Hashable, Sendable {
    /// Places whose records can not be read. They were left as they are.
    package var damage: [LogDamage] = []
    /// Where the torn end of the last write was cut off; nil when there was none.
    package var cut: FilePosition?
    package var cutBytes = ByteCount.zero
    package var scannedBytes = ByteCount.zero
    /// Files with names that are not ours, left alone.
    package var unknownFiles: [DiskPath] = []
    /// Half-made or outdated files of ours that were removed.
    package var removedFiles: [DiskPath] = []
    /// Index files that were missing, damaged, stale or another segment's, and were made anew from the segment.
    package var rebuiltIndexes: [DiskPath] = []
    /// Somebody accepted that records are lost, and the log goes on where those end that it has.
    package var acceptedLoss = false

    package init() {}
}
