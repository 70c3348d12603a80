package import ApusCore

extension Offset {
    /// The largest offset that is believed of a disk: room above it keeps arithmetic from overflowing.
    package static let storedMax = Offset(rawValue: .max - Int64(UInt32.max))
}

/// The names in a partition's directory. Anything else there is not ours: it is reported and left alone.
enum FileName: Hashable {
    case segment(Offset)
    case index(Offset)
    case state
    /// An empty file that says there must be a `state` file, so that a lost one is missed.
    case marker
    /// Where a log ended that lost records (``KnownEnd``).
    case knownEnd
    /// Put there by whoever accepts that loss.
    case acceptedLoss
    /// Half-made: something was being replaced when the process ended. Never read, always removed.
    case temporary
    case unknown

    static let stateName = "state"
    static let markerName = "has-state"
    static let knownEndName = "known-end"
    static let acceptedLossName = "accept-loss"

    static func segmentName(_ base: Offset) -> String { Self.digits(base) + ".segment" }
    static func indexName(_ base: Offset) -> String { Self.digits(base) + ".index" }
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
        } else if name.hasSuffix(".temporary") {
            self = .temporary
        } else if let base = Self.base(of: name, suffix: ".segment") {
            self = .segment(base)
        } else if let base = Self.base(of: name, suffix: ".index") {
            self = .index(base)
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

    private static func digits(_ offset: Offset) -> String {
        let digits = String(offset.rawValue)
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
    }
}
