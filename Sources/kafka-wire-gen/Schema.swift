/// One API: a request and a response that share a key.
struct ApiSchema: Equatable {
    var name: String
    var key: Int
    var request: MessageSchema
    var response: MessageSchema
}

/// One message, in all versions that are served.
struct MessageSchema: Equatable {
    /// The Swift type: `ProduceRequest`.
    var typeName: String
    var versions: ClosedRange<Int>
    /// Versions with compact lengths and tagged fields.
    var flexible: VersionRange
    var fields: [FieldSchema]
    /// Nested structs, in the order in which they are first named; each lives inside the message's type.
    var structs: [StructSchema]

    func fields(ofStruct name: String) -> [FieldSchema] {
        self.structs.first { $0.name == name }?.fields ?? []
    }

    /// The versions in which a struct occurs: from the first to the last that has a field of it, and so on outwards.
    func versions(ofStruct name: String) -> ClosedRange<Int> {
        let uses =
            self.fields.filter { $0.type.structName == name }.compactMap { self.versions(of: $0, in: self.versions) }
            + self.structs.flatMap { outer in
                outer.fields.filter { $0.type.structName == name }
                    .compactMap { self.versions(of: $0, in: self.versions(ofStruct: outer.name)) }
            }
        guard let lower = uses.map(\.lowerBound).min(), let upper = uses.map(\.upperBound).max() else {
            return self.versions
        }
        return lower...upper
    }

    private func versions(of field: FieldSchema, in outer: ClosedRange<Int>) -> ClosedRange<Int>? {
        var range = field.versions
        if field.tag != nil { range.lower = max(range.lower, self.flexible.lower) }
        let inside = outer.filter { range.contains($0) }
        guard let first = inside.first, let last = inside.last else { return nil }
        return first...last
    }
}

struct StructSchema: Equatable {
    var name: String
    var fields: [FieldSchema]
}

/// A line of the table.
struct FieldSchema: Equatable {
    var name: String
    var type: FieldType
    var versions: VersionRange
    /// Versions in which null is allowed; nil when it never is.
    var nullable: VersionRange?
    /// Set for a tagged field.
    var tag: Int?
    /// As written in the table; nil for the natural default (0, false, empty).
    var defaultValue: String?
}

indirect enum FieldType: Equatable, Sendable {
    case int8, int16, uint16, int32, int64, float64, bool, string, uuid, bytes, records
    /// An `int16` that holds an error code.
    case error
    case structure(String)
    case array(FieldType)

    /// The struct that a value of this type is, or holds; nil for primitive values.
    var structName: String? {
        switch self {
        case .structure(let name): name
        case .array(let element): element.structName
        default: nil
        }
    }

    static let primitives: [String: FieldType] = [
        "int8": .int8, "int16": .int16, "uint16": .uint16, "int32": .int32, "int64": .int64, "float64": .float64,
        "bool": .bool, "string": .string, "uuid": .uuid, "bytes": .bytes, "records": .records, "error": .error,
    ]
}

/// `3+`, `0-12`, `7`, or `none`.
struct VersionRange: Equatable, Sendable {
    var lower: Int
    /// nil: no end.
    var upper: Int?

    static let none = VersionRange(lower: .max, upper: nil)

    /// nil when `text` is not a version range.
    init?(_ text: Substring) {
        if text == "none" { self = .none; return }
        if text.hasSuffix("+"), let lower = Int(text.dropLast()) {
            self.init(lower: lower, upper: nil)
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard let first = parts.first.flatMap({ Int($0) }), parts.count <= 2 else { return nil }
        guard let last = parts.last.flatMap({ Int($0) }), first <= last else { return nil }
        self.init(lower: first, upper: last)
    }

    init(lower: Int, upper: Int?) {
        self.lower = lower
        self.upper = upper
    }

    func contains(_ version: Int) -> Bool { version >= self.lower && version <= (self.upper ?? .max) }

    /// Whether every, some or no version of `served` lies in this range.
    func coverage(of served: ClosedRange<Int>) -> Coverage {
        let inside = served.filter { self.contains($0) }.count
        return inside == 0 ? .none : inside == served.count ? .all : .some
    }

    enum Coverage { case all, some, none }

    /// A Swift condition on `version` that holds for exactly the versions of `served` that lie in this range.
    func condition(in served: ClosedRange<Int>) -> String {
        switch self.coverage(of: served) {
        case .all: return "true"
        case .none: return "false"
        case .some: break
        }
        let upper = self.upper ?? .max
        if upper >= served.upperBound { return "version >= \(self.lower)" }
        if self.lower <= served.lowerBound { return "version <= \(upper)" }
        if self.lower == upper { return "version == \(upper)" }
        return "(\(self.lower)...\(upper)).contains(version)"
    }
}
