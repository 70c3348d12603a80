package import ApusCore

extension Offset {
    /// The largest offset that is believed of a disk: room above it keeps arithmetic from overflowing.
    package static let storedMax = Offset(rawValue: .max - Int64(UInt32.max))
}

/// The names in a partition's directory. Anything else there is not ours: it is reported and left alone.
enum FileName: Hashable {
    case segment(Offset)
    /// What compaction made of one or more segments, and how often.
    case compacted(Offset, generation: UInt32)
    case index(Offset, generation: UInt32)
    case state
    /// An empty file that says there must be a `state` file, so that a lost one is missed.
    case marker
    /// Where a log ended that lost records (``KnownEnd``).
    case knownEnd
    /// Put there by whoever accepts that loss.
    case acceptedLoss
    /// Put there by whoever accepts that damaged records of groups are passed over (``LogIdentity/acceptedDamage``).
    case acceptedDamage
    /// Half-made: something was being replaced when the process ended. Never read, always removed.
    case temporary
    case unknown

    static let stateName = "state"
    static let markerName = "has-state"
    static let knownEndName = "known-end"
    static let acceptedLossName = "accept-loss"
    static let acceptedDamageName = "accept-damage"

    /// A compacted segment has a name of its own, so that a reader of the old file never finds the new one under it.
    static func segmentName(_ base: Offset, _ generation: UInt32 = 0) -> String {
        generation == 0
            ? Self.digits(base) + ".segment" : Self.digits(base) + "." + Self.hex(generation) + ".compacted"
    }
    static func indexName(_ base: Offset, _ generation: UInt32 = 0) -> String {
        Self.digits(base) + (generation == 0 ? "" : "." + Self.hex(generation)) + ".index"
    }
    static func temporaryName(_ name: String) -> String { name + ".temporary" }
    /// A reader's, who may be at the same index file as the log itself: neither may find the other's half.
    static func readerTemporaryName(_ name: String) -> String { name + ".reader.temporary" }

    init(_ name: String) {
        if name == Self.stateName {
            self = .state
        } else if name == Self.markerName {
            self = .marker
        } else if name == Self.knownEndName {
            self = .knownEnd
        } else if name == Self.acceptedLossName {
            self = .acceptedLoss
        } else if name == Self.acceptedDamageName {
            self = .acceptedDamage
        } else if name.hasSuffix(".temporary") {
            self = .temporary
        } else if let base = Self.base(of: name, suffix: ".segment") {
            self = .segment(base)
        } else if let base = Self.base(of: name, suffix: ".index") {
            self = .index(base, generation: 0)
        } else if let (base, generation) = Self.compacted(name, suffix: ".compacted") {
            self = .compacted(base, generation: generation)
        } else if let (base, generation) = Self.compacted(name, suffix: ".index") {
            self = .index(base, generation: generation)
        } else {
            self = .unknown
        }
    }

    private static func base(of name: String, suffix: String) -> Offset? {
        guard name.hasSuffix(suffix) else { return nil }
        let digits = name.dropLast(suffix.count)
        guard digits.utf8.count == 20, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let base = Int64(digits), base <= Offset.storedMax.rawValue
        else { return nil }
        return Offset(rawValue: base)
    }

    private static func compacted(_ name: String, suffix: String) -> (Offset, UInt32)? {
        guard name.hasSuffix(suffix) else { return nil }
        let parts = name.dropLast(suffix.count).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let base = Self.base(of: parts[0] + ".segment", suffix: ".segment"),
            let generation = UInt32(parts[1], radix: 16), generation > 0, Self.hex(generation) == parts[1]
        else { return nil }
        return (base, generation)
    }

    private static func hex(_ generation: UInt32) -> String {
        let digits = String(generation, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }

    private static func digits(_ offset: Offset) -> String {
        let digits = String(offset.rawValue)
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
    }
}
