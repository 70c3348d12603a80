package import ApusCore
package import NIOCore

/// Records of one partition that a client was not given: from `from` up to, not including, `to`.
package struct MissedRange: Hashable, Sendable {
    package var partition: PartitionIndex
    package var from: Offset
    package var to: Offset

    package init(partition: PartitionIndex, from: Offset, to: Offset) {
        self.partition = partition
        self.from = from
        self.to = to
    }
}

extension ByteBuffer {
    /// The members that say whether a client that resumes gets all, and what it does not get.
    package mutating func writeJSONMembers(_ gaps: [ResumeGap]) {
        self.writeJSONName("recovered")
        self.writeString(gaps.isEmpty ? "true" : "false")
        let expired = gaps.compactMap { gap -> MissedRange? in
            guard case .expired(let partition, let from, let to) = gap else { return nil }
            return MissedRange(partition: partition, from: from, to: to)
        }
        if !expired.isEmpty {
            self.writeJSONName("missing")
            self.writeJSON(expired)
        }
        let ahead = gaps.compactMap { gap -> MissedRange? in
            guard case .beyondEnd(let partition, let position, let end) = gap else { return nil }
            return MissedRange(partition: partition, from: end, to: position)
        }
        if !ahead.isEmpty {
            // Offsets that the client has seen and the partition has no more, or not yet again.
            self.writeJSONName("beyond_end")
            self.writeJSON(ahead)
        }
    }

    package mutating func writeJSON(_ missed: [MissedRange]) {
        self.writeInteger(UInt8(ascii: "["))
        for range in missed {
            self.writeJSONComma()
            self.writeStaticString("{\"partition\":")
            self.writeJSONInteger(range.partition.rawValue)
            self.writeJSONName("from")
            self.writeJSONInteger(range.from.rawValue)
            self.writeJSONName("to")
            self.writeJSONInteger(range.to.rawValue)
            self.writeInteger(UInt8(ascii: "}"))
        }
        self.writeInteger(UInt8(ascii: "]"))
    }
}
