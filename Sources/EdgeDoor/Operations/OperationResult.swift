package import ApusCore
package import ApusPresence
package import NIOCore
package import WebFormats

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
    case presence(EdgeChannel, PresencePage)
    /// Acknowledged offsets, new credit: nothing to tell but that it was taken.
    case taken
    case pong
}

/// The answer to a request, as a JSON object in one line: `{"id":3,"ok":{…}}` or `{"id":3,"error":{…}}`.
package enum OperationReply {
    package static func ok(
        _ id: RequestID, _ result: OperationResult, in format: WireFormat = .json
    ) -> ByteBuffer {
        if format == .cbor, case .read(let records, let cursor, let gaps) = result {
            return self.cbor(id, records, cursor, gaps)
        }
        var line = ByteBuffer()
        line.writeStaticString("{\"id\":")
        line.writeJSONInteger(id.rawValue)
        line.writeStaticString(",\"ok\":{")
        self.write(result, into: &line)
        line.writeStaticString("}}")
        return format.line(line)
    }

    /// Records are bytes there; what else there is to a read is the same.
    private static func cbor(
        _ id: RequestID, _ records: [EdgeRecord], _ cursor: SealedCursor, _ gaps: [ResumeGap]
    ) -> ByteBuffer {
        var rest = ByteBuffer()
        rest.writeInteger(UInt8(ascii: "{"))
        rest.writeJSON(cursor)
        rest.writeJSONMembers(gaps)
        rest.writeInteger(UInt8(ascii: "}"))
        rest = WireFormat.cbor.line(rest)
        // The head of a map with fewer than 24 members is one byte.
        let members = Int((rest.readInteger(as: UInt8.self) ?? 0) & 31)
        var bytes = ByteBuffer()
        bytes.writeCBORMap(2)
        bytes.writeCBORName("id")
        bytes.writeCBORInteger(id.rawValue)
        bytes.writeCBORName("ok")
        bytes.writeCBORMap(members + 1)
        bytes.writeCBORName("records")
        bytes.writeCBOR(records)
        bytes.writeImmutableBuffer(rest)
        return bytes
    }

    /// - Parameter id: nil when what came had none that could be read.
    package static func error(_ id: RequestID?, _ problem: Problem, in format: WireFormat = .json) -> ByteBuffer {
        var line = ByteBuffer()
        line.writeInteger(UInt8(ascii: "{"))
        if let id {
            line.writeStaticString("\"id\":")
            line.writeJSONInteger(id.rawValue)
        }
        line.writeJSONName("error")
        line.writeJSON(problem)
        line.writeInteger(UInt8(ascii: "}"))
        return format.line(line)
    }

    private static func write(_ channel: EdgeChannel, _ page: PresencePage, into line: inout ByteBuffer) {
        line.writeJSONName("channel")
        line.writeJSONString(channel.description)
        line.writeJSONName("count")
        line.writeJSONInteger(page.count)
        line.writeJSONName("complete")
        line.writeString(page.isComplete ? "true" : "false")
        line.writeJSONName("members")
        line.writeInteger(UInt8(ascii: "["))
        for member in page.members {
            line.writeJSONComma()
            line.writeStaticString("{\"user\":")
            line.writeJSONString(member.guest.user)
            line.writeJSONName("client")
            line.writeJSONString(member.guest.client)
            line.writeJSONName("conn")
            line.writeJSONString(member.connection)
            line.writeJSONName("node")
            line.writeJSONString(member.node)
            line.writeJSONName("life")
            line.writeJSONInteger(member.life)
            if let since = member.since {
                line.writeJSONName("since")
                line.writeJSONInteger(since.rawValue)
            }
            line.writeInteger(UInt8(ascii: "}"))
        }
        line.writeInteger(UInt8(ascii: "]"))
        if let next = page.next {
            line.writeJSONName("next")
            line.writeJSONInteger(next)
        }
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
            line.writeJSONMembers(gaps)
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
            line.writeJSONMembers(gaps)
        case .deleted(let topic):
            line.writeJSONName("topic")
            line.writeJSONString(topic)
        case .presence(let channel, let page): self.write(channel, page, into: &line)
        case .taken, .pong: break
        }
    }
}
