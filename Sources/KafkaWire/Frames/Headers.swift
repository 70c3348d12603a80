/// What stands in front of every request.
///
/// Version 1 has four fields; version 2, in front of flexible messages, adds tagged fields. The client id keeps its
/// Int16 length in both: a broker must be able to read it before it knows the rest.
public struct RequestHeader: Hashable, Sendable {
    public var apiKey: ApiKey
    /// Version of the message that follows.
    public var version: Int16
    /// Comes back in the answer.
    public var correlationID: Int32
    public var clientID: String?

    public init(apiKey: ApiKey, version: Int16, correlationID: Int32, clientID: String?) {
        self.apiKey = apiKey
        self.version = version
        self.correlationID = correlationID
        self.clientID = clientID
    }

    /// The header knows no message of this version. Only ApiVersions requests come this far, because they have an
    /// answer: `Frame.apiVersionsFallback`. The body must not be decoded.
    public var isUnknownVersion: Bool {
        !(self.apiKey.versions?.contains(self.version) ?? false)
    }

    /// - Throws: `.unknownAPI` and `.unsupportedVersion` for messages that cannot be decoded, except ApiVersions
    ///   requests of a later version. The protocol has no answer to these: the connection is closed.
    public init(from reader: inout WireReader) throws(WireError) {
        self.apiKey = ApiKey(rawValue: try reader.readInt16())
        self.version = try reader.readInt16()
        self.correlationID = try reader.readInt32()
        guard let versions = self.apiKey.versions else { throw .unknownAPI(key: self.apiKey.rawValue) }
        guard versions.contains(self.version) || self.apiKey == .apiVersions, self.version >= 0 else {
            throw .unsupportedVersion(api: self.apiKey, version: self.version)
        }
        self.clientID = try reader.readNullableString(false)
        if self.apiKey.isFlexible(self.version) { try reader.skipTaggedFields() }
    }

    public func encode(into writer: inout WireWriter) {
        writer.writeInt16(self.apiKey.rawValue)
        writer.writeInt16(self.version)
        writer.writeInt32(self.correlationID)
        writer.writeNullableString(self.clientID, false)
        if self.apiKey.isFlexible(self.version) { writer.writeNoTaggedFields() }
    }
}

/// What stands in front of every response: the correlation id, and tagged fields in front of flexible messages.
///
/// Except ApiVersions, whose response has none at any version: its reader does not know yet what the broker speaks.
public struct ResponseHeader: Hashable, Sendable {
    public var correlationID: Int32

    public init(correlationID: Int32) { self.correlationID = correlationID }

    public init(from reader: inout WireReader, apiKey: ApiKey, version: Int16) throws(WireError) {
        self.correlationID = try reader.readInt32()
        if Self.hasTaggedFields(apiKey, version) { try reader.skipTaggedFields() }
    }

    public func encode(into writer: inout WireWriter, apiKey: ApiKey, version: Int16) {
        writer.writeInt32(self.correlationID)
        if Self.hasTaggedFields(apiKey, version) { writer.writeNoTaggedFields() }
    }

    private static func hasTaggedFields(_ apiKey: ApiKey, _ version: Int16) -> Bool {
        apiKey != .apiVersions && apiKey.isFlexible(version)
    }
}
