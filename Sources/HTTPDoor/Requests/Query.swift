import ApusCore
import NIOCore
import WebFormats

/// What stands behind the question mark of a request's target. Names that the request does not have are refused: a
/// misspelt `from` that is passed over would read something else without a word.
struct Query {
    private var values: [String: String] = [:]

    init(_ text: String?, names: [String]) throws(Problem) {
        for pair in (text ?? "").split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = halves.first.flatMap({ PercentText.decoded($0, isForm: true) }),
                let value = halves.count == 2 ? PercentText.decoded(halves[1], isForm: true) : ""
            else { throw Problem(.invalidRequest, "the query is not percent-encoded UTF-8") }
            guard names.contains(name) else {
                let hint = names.isEmpty ? nil : "it has \(names.joined(separator: ", "))"
                throw Problem(.invalidRequest, "this request has no parameter '\(name.prefix(100))'", hint: hint)
            }
            guard self.values.updateValue(value, forKey: name) == nil else {
                throw Problem(.invalidRequest, "'\(name)' stands twice")
            }
        }
    }

    func text(_ name: String) -> String? { self.values[name] }

    func integer(_ name: String, _ range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let text = self.values[name] else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw Problem(
                .invalidRequest, "'\(name)' is a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func boolean(_ name: String) throws(Problem) -> Bool? {
        switch self.values[name] {
        case nil: return nil
        case "true", "": return true
        case "false": return false
        default: throw Problem(.invalidRequest, "'\(name)' is true or false")
        }
    }

    func partition() throws(Problem) -> PartitionIndex? {
        try self.integer("partition", 0...Int64(Limits.partitionsPerTopicMax - 1)).map {
            PartitionIndex(rawValue: Int32(truncatingIfNeeded: $0))
        }
    }

    /// `20s`, `500ms`, or whole seconds.
    func duration(_ name: String, max: Duration) throws(Problem) -> Duration? {
        try self.values[name].map { text throws(Problem) in try DurationText.duration(text, name, max: max) }
    }

    func start() throws(Problem) -> StartPoint? {
        guard let text = self.values["from"] else { return nil }
        guard text.utf8.count <= Limits.edgeStartBytesMax.rawValue, let start = StartPoint(text), start != .lastValues
        else {
            throw Problem(.invalidRequest, "'from' is 'earliest', 'latest', an offset, '-100', or '@' and a time")
        }
        return start
    }

    /// Of a list's page.
    func pageItems() throws(Problem) -> Int {
        Int(try self.integer("limit", 1...Int64(Limits.webPageItemsMax)) ?? Int64(Limits.webPageItemsDefault))
    }

    /// The name behind which a list's page begins; nil for the first.
    func pageStart() throws(Problem) -> String? {
        guard let text = self.values["cursor"] else { return nil }
        guard let bytes = Base64.url.decoded(ByteBuffer(string: text)), UTF8Text.holds(bytes) else {
            throw Problem(.invalidCursor, "this is no cursor of a list")
        }
        return String(buffer: bytes)
    }
}
