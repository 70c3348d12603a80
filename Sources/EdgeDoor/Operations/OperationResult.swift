package import ApusCore
package import NIOCore

/// What a client's operation came to, when it came to what was asked for.
package enum OperationResult: Hashable, Sendable {
    /// - Parameters:
    ///   - connection: its name for people and for `DELETE /v1/connections/…`.
    ///   - ping: how often the server sends an empty line, for the client to answer with one.
    case connected(connection: String, ping: Duration)
    /// The cursor stands where the subscription begins; the gaps are what a client that resumes is not given.
    case subscribed(EdgeChannel, SealedCursor, [ResumeGap])
    case unsubscribed(EdgeChannel)
    case created(topic: String, partitions: Int)
    case written(PartitionIndex, Offset, Timestamp)
    case read([EdgeRecord], SealedCursor, [ResumeGap])
    case deleted(topic: String)
    /// Acknowledged offsets, new credit: nothing to tell but that it was taken.
    case taken
    case pong
}

/// The answer to a request, as a JSON object in one line: `{"id":3,"ok":{…}}` or `{"id":3,"error":{…}}`.
package enum OperationReply {
    package static func ok(_ id: RequestID, _ result: OperationResult) -> ByteBuffer {
        var line = ByteBuffer()
        line.writeStaticString("{\"id\":")
        line.writeJSONInteger(id.rawValue)
        line.writeStaticString(",\"ok\":{")
        self.write(result, into: &line)
        line.writeStaticString("}}")
        return line
    }

    /// - Parameter id: nil when what came had none that could be read.
    package static func error(_ id: RequestID?, _ problem: Problem) -> ByteBuffer {
        var line = ByteBuffer()
        line.writeInteger(UInt8(ascii: "{"))
        if let id {
            line.writeStaticString("\"id\":")
            line.writeJSONInteger(id.rawValue)
        }
        line.writeJSONName("error")
        line.writeJSON(problem)
        line.writeInteger(UInt8(ascii: "}"))
        return line
    }

    private static func write(_ result: OperationResult, into line: inout ByteBuffer) {
        switch result {
        case .connected(let connection, let ping):
            line.writeJSONName("conn")
            line.writeJSONString(connection)
            line.writeJSONName("ping")
            line.writeJSONInteger(ping.wholeMilliseconds)
            line.writeJSONName("max_message")
            line.writeJSONInteger(Limits.edgeMessageBytesMax.rawValue)
        case .subscribed(let channel, let cursor, let gaps):
            line.writeJSONName("channel")
            line.writeJSONString(channel.description)
            line.writeJSON(cursor)
            self.write(gaps, into: &line)
        case .unsubscribed(let channel):
            line.writeJSONName("channel")
            line.writeJSONString(channel.description)
        case .created(let topic, let partitions):
            line.writeJSONName("topic")
            line.writeJSONString(topic)
            line.writeJSONName("partitions")
            line.writeJSONInteger(partitions)
        case .written(let partition, let offset, let timestamp):
            line.writeJSONName("partition")
            line.writeJSONInteger(partition.rawValue)
            line.writeJSONName("offset")
            line.writeJSONInteger(offset.rawValue)
            line.writeJSONName("timestamp")
            line.writeJSONInteger(timestamp.rawValue)
        case .read(let records, let cursor, let gaps):
            line.writeJSONName("records")
            line.writeJSON(records)
            line.writeJSON(cursor)
            self.write(gaps, into: &line)
        case .deleted(let topic):
            line.writeJSONName("topic")
            line.writeJSONString(topic)
        case .taken, .pong: break
        }
    }

    /// Whether a client that resumes gets all, and what it does not get.
    private static func write(_ gaps: [ResumeGap], into line: inout ByteBuffer) {
        line.writeJSONName("recovered")
        line.writeString(gaps.isEmpty ? "true" : "false")
        let expired = gaps.compactMap { gap -> MissedRange? in
            guard case .expired(let partition, let from, let to) = gap else { return nil }
            return MissedRange(partition: partition, from: from, to: to)
        }
        if !expired.isEmpty {
            line.writeJSONName("missing")
            line.writeJSON(expired)
        }
        let ahead = gaps.compactMap { gap -> MissedRange? in
            guard case .beyondEnd(let partition, let position, let end) = gap else { return nil }
            return MissedRange(partition: partition, from: end, to: position)
        }
        if !ahead.isEmpty {
            // Offsets that the client has seen and the partition has no more, or not yet again.
            line.writeJSONName("beyond_end")
            line.writeJSON(ahead)
        }
    }
}
