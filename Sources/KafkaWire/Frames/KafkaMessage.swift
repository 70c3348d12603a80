/// A request or response of the protocol, in any of its versions.
///
/// A type holds the fields of every version it knows. Decoding a version leaves the fields that it lacks at their
/// defaults; encoding a version leaves out the fields that it lacks, and writes null as the empty value where it has no
/// null.
public protocol KafkaMessage: Hashable, Sendable {
    static var apiKey: ApiKey { get }
    /// The versions this type reads and writes.
    static var versions: ClosedRange<Int16> { get }
    /// Whether that version has compact lengths and tagged fields (KIP-482).
    static func isFlexible(_ version: Int16) -> Bool

    /// Every field at its default.
    init()
    /// Reads one message. Total: any bytes give a message or an error.
    init(from reader: inout WireReader, version: Int16) throws(WireError)
    /// - Precondition: `version` is one of `versions`.
    func encode(into writer: inout WireWriter, version: Int16)
}

public protocol KafkaRequest: KafkaMessage {
    associatedtype Response: KafkaResponse
}

public protocol KafkaResponse: KafkaMessage {}
