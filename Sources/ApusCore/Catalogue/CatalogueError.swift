/// Why the catalogue did not do it. But for `unknown`, nothing was changed.
public enum CatalogueError: Error, Hashable, Sendable {
    /// A field says what can not be; the text says what can.
    case invalid(InvalidField)
    /// The entry is at another version than the change expects: read it again, decide again.
    case conflict(CatalogueSubject, found: CatalogueVersion)
    case notFound(CatalogueSubject)
    /// A consumer that owns subscriptions can not go.
    case ownsSubscriptions(ConsumerName, count: Int)
    /// A cap was reached; the text says whose and of what.
    case tooMany(String, limit: Int)
    /// Somebody else holds the store's lock. Try again.
    case busy(String)
    /// No room, on the device or under the catalogue's own limit.
    case full(String)
    /// The file or its file system takes no changes. Reading works.
    case readOnly(String)
    /// What is stored is damaged.
    case corrupt(String)
    /// The device or the connection failed.
    case unavailable(String)
    /// The answer was lost: the change may or may not have been made.
    case unknown(String)

    /// The same again may work a moment later.
    public var isRetryable: Bool {
        switch self {
        case .busy, .full, .unavailable: true
        case .invalid, .conflict, .notFound, .ownsSubscriptions, .tooMany, .readOnly, .corrupt, .unknown: false
        }
    }
}

extension CatalogueError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalid(let field): field.description
        case .conflict(let subject, let found):
            found == .none ? "\(subject) is not there any more" : "\(subject) was changed by somebody else meanwhile"
        case .notFound(let subject): "there is no \(subject)"
        case .ownsSubscriptions(let name, let count):
            "consumer '\(name)' still owns \(count) subscription\(count == 1 ? "" : "s")"
        case .tooMany(let what, let limit): "\(what): at most \(limit)"
        case .busy(let text):
            "the catalogue is locked by another process: \(text). Nothing was changed; end that process, or try again"
        case .full(let text):
            "no room for the catalogue: \(text). Nothing was changed; free some space on its file system, then try "
                + "again"
        case .readOnly(let text):
            "the catalogue takes no changes: \(text). Nothing was changed; let the broker write to the file and its "
                + "directory, then try again"
        case .corrupt(let text):
            "the catalogue is damaged: \(text). Nothing was changed; stop the broker and put the file back from a copy"
        case .unavailable(let text):
            "the catalogue cannot be used: \(text). Nothing was changed; the broker tries again by itself"
        case .unknown(let text): "the catalogue may or may not have made the change: \(text). Look before trying again"
        }
    }
}

/// A value that was refused: which field, and what it may be.
public struct InvalidField: Error, Hashable, Sendable, CustomStringConvertible {
    /// As people type it: `name`, `period`, `dead-letter`, …
    public var field: String
    public var message: String

    public init(_ field: String, _ message: String) {
        self.field = field
        self.message = message
    }

    public var description: String { "\(self.field): \(self.message)" }
}

extension CatalogueSubject {
    /// Compare-and-set, the same for every adapter.
    /// - Parameter found: the entry's version; nil: there is no such entry.
    package func compare(
        _ found: CatalogueVersion?, with expected: CatalogueVersion, mayBeNew: Bool
    ) throws(CatalogueError) {
        guard let found else {
            if expected == .none, mayBeNew { return }
            throw .notFound(self)
        }
        guard found == expected else { throw .conflict(self, found: found) }
    }
}
