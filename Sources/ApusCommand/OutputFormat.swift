/// `-o`: the shape of what goes to standard output.
package enum OutputFormat: String, CaseIterable, Sendable {
    /// For a person.
    case table
    /// One JSON document.
    case json
    /// One JSON object a line.
    case ndjson
    /// Bare values, tab between them: for `cut` and `awk`; record values as they are.
    case raw

    /// Whether errors too should be JSON.
    package var isStructured: Bool { self == .json || self == .ndjson }
}
