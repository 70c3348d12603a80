package import ApusCore

/// A topic as a request names it: newer Kafka versions use the id, older ones the name.
package enum TopicReference: Hashable, Sendable {
    case name(String)
    case id(TopicID)
}

extension TopicReference: CustomStringConvertible {
    package var description: String {
        switch self {
        case .name(let name): name
        case .id(let id): id.description
        }
    }
}
