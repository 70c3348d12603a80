package import ApusCore
package import WebFormats

/// What a subscription that catches up has to be read next: one bounded piece of each of its partitions.
///
/// Many clients lose their connections at once, and stand at one place when they come back. What is read for one of
/// them is read for all: ``start`` says who they are.
package struct PastReading: Sendable {
    /// From where to read, and where the client stands: alike for all whose next push may be the same bytes.
    package struct Start: Hashable, Sendable {
        /// Together at most ``Limits/edgeCatchUpBytesMax``.
        package let wishes: [CatchUp.Wish]
        package let place: EdgeCursor

        package init(_ wishes: [CatchUp.Wish], at place: EdgeCursor) {
            self.wishes = wishes
            self.place = place
        }
    }

    package let start: Start
    /// Of each wish, up to where the client is given what is found; behind it records come live.
    let ends: [Offset]
    /// What is given of the past, where it is only the newest record of each key.
    let lastValues: [PartitionIndex: LastValues]

    init(_ start: Start, upTo ends: [Offset], lastValues: [PartitionIndex: LastValues] = [:]) {
        precondition(start.wishes.count == ends.count, "each wish has its end")
        self.start = start
        self.ends = ends
        self.lastValues = lastValues
    }

    package var wishes: [CatchUp.Wish] { self.start.wishes }
    /// Whether others may be given the same.
    package var isShared: Bool { self.lastValues.isEmpty }
}

/// What a read of the past came to, encoded once: for everybody in the channel who stands where it begins.
package struct PastPiece: Sendable {
    let finds: [CatchUp.Place]
    let push: Push?
    let recordCount: Int
    private let start: PastReading.Start
    private let ends: [Offset]
    /// More was found than whom it was made for is given.
    private let isCut: Bool
    private let isShared: Bool

    /// - Parameter finds: of the reading's wishes, those that came to something; of each once at most.
    package init(
        _ finds: [CatchUp.Found], for reading: PastReading, of channel: EdgeChannel, seal: CursorSeal,
        in format: WireFormat
    ) {
        var records: [EdgeRecord] = []
        var places: [CatchUp.Place] = []
        var (cursor, isCut) = (reading.start.place, false)
        for found in finds {
            guard let index = reading.wishes.firstIndex(where: { $0.partition == found.partition }) else { continue }
            let (wish, end) = (reading.wishes[index], reading.ends[index])
            switch found {
            case .records(let partition, let all, let next):
                let values = reading.lastValues[partition]
                records += all.filter {
                    $0.offset >= wish.from && $0.offset < end && values?.takes($0.offset) ?? true
                }
                isCut = isCut || next > end
                places.append(.read(partition, next: max(wish.from, min(next, end))))
            case .gone(let partition, let start, let end):
                places.append(.gone(partition, start: start, end: end))
            }
            if let place = places.last { cursor.move(wish.partition, to: place.next(from: wish.from)) }
        }
        self.finds = places
        self.recordCount = records.count
        self.push = records.isEmpty ? nil : Push(channel, records, SealedCursor(cursor, by: seal), as: [format])
        self.start = reading.start
        self.ends = reading.ends
        self.isCut = isCut
        self.isShared = reading.isShared
    }

    /// Whether a client that has to be read this is given exactly the same.
    package func serves(_ reading: PastReading) -> Bool {
        guard self.isShared, reading.isShared, self.start == reading.start else { return false }
        if self.ends == reading.ends { return true }
        return !self.isCut
            && self.finds.allSatisfy { find in
                guard case .read(let partition, let next) = find else { return true }
                return zip(reading.wishes, reading.ends).contains { $0.partition == partition && next <= $1 }
            }
    }

    /// Of every partition that was asked for there is something to tell: reading once more would find the same.
    package var isWhole: Bool { self.finds.count == self.start.wishes.count }

    /// What it takes in memory, about: the push, and the frame that is made of it.
    package var memory: ByteCount { .bytes(2 * (self.push?.byteCount ?? 0) + 512) }
}

extension CatchUp {
    /// Where one partition was read to.
    enum Place: Sendable {
        case read(PartitionIndex, next: Offset)
        /// It begins at `start` by now, and ends at `end`.
        case gone(PartitionIndex, start: Offset, end: Offset)

        var partition: PartitionIndex {
            switch self {
            case .read(let partition, _), .gone(let partition, _, _): partition
            }
        }

        /// Where a client goes on that stood there.
        func next(from: Offset) -> Offset {
            switch self {
            case .read(_, let next): max(from, next)
            // Behind its end: it lost records that the client has seen, or was put back from an older copy.
            case .gone(_, let start, let end): from < start ? start : min(from, end)
            }
        }
    }
}

extension EdgeCursor {
    /// One of its partitions came to there.
    fileprivate mutating func move(_ partition: PartitionIndex, to next: Offset) {
        switch self {
        case .single(let own, _): if own == partition { self = .single(own, next: next) }
        case .whole(var positions):
            let index = Int(partition.rawValue)
            guard positions.indices.contains(index) else { return }
            self = .whole([])
            positions[index] = next
            self = .whole(positions)
        case .step: break
        }
    }
}
