/// What a request's body says that it is (RFC 9110 section 8.3), as far as it matters here.
enum MediaType: Hashable {
    case json
    /// One JSON value a line.
    case lines
    /// JSON that changes what it names (RFC 7396).
    case mergePatch
    case cloudEvent
    case cloudEvents
    /// What curl says of `-d`: nothing that was meant.
    case form
    case none
    case other

    /// Case does not matter, and parameters follow a semicolon.
    init(_ text: String?) {
        guard let text else {
            self = .none
            return
        }
        let essence = text.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
        switch essence {
        case "": self = .none
        case "application/json": self = .json
        case "application/x-ndjson", "application/jsonl", "application/ndjson": self = .lines
        case "application/merge-patch+json": self = .mergePatch
        case "application/cloudevents+json": self = .cloudEvent
        case "application/cloudevents-batch+json": self = .cloudEvents
        case "application/x-www-form-urlencoded": self = .form
        default: self = .other
        }
    }
}
