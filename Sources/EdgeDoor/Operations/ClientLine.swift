import ApusCore
package import NIOCore
package import WebFormats

/// The number that a client gives to a request, for the reply to name. 0 to 2^53 − 1: JavaScript counts no further.
package struct RequestID: RawRepresentable, Hashable, Sendable {
    package var rawValue: Int64

    package init(rawValue: Int64) {
        self.rawValue = rawValue
    }
}

/// One line of what a client sends. A message holds one JSON object, or several in lines of their own; an empty line is
/// the answer to a ping.
package enum ClientLine: Hashable, Sendable {
    case pong
    /// Without an id there is no reply, but for what goes wrong.
    case request(RequestID?, ClientOperation)
    /// Something that can not be asked for, told under the id if one could be read.
    case refused(RequestID?, Problem)

    /// The lines of a whole message. Takes any bytes; behind ``Limits/edgeLinesPerMessageMax`` one refusal ends it.
    package static func lines(of message: ByteBuffer, in format: WireFormat = .json) -> [ClientLine] {
        guard message.readableBytes <= Limits.edgeMessageBytesMax.rawValue else {
            return [.refused(nil, Problem(.messageTooLarge, "a message has at most \(Limits.edgeMessageBytesMax)"))]
        }
        if format == .cbor { return self.items(of: message) }
        var rest = message
        var lines: [ClientLine] = []
        repeat {
            guard lines.count < Limits.edgeLinesPerMessageMax else {
                let detail = "a message has at most \(Limits.edgeLinesPerMessageMax) lines"
                return lines + [.refused(nil, Problem(.tooMany, detail))]
            }
            let length = rest.readableBytesView.firstIndex(of: 0x0A).map { $0 - rest.readerIndex }
            guard let line = rest.readSlice(length: length ?? rest.readableBytes) else { return lines }
            rest.moveReaderIndex(forwardBy: length == nil ? 0 : 1)
            // The line break behind the last object begins no line of its own.
            if rest.readableBytes == 0, length == nil, line.readableBytes == 0, !lines.isEmpty { return lines }
            lines.append(Self(line))
        } while rest.readableBytes > 0
        return lines
    }

    /// The maps of a message in CBOR, one behind the other (RFC 8742). Behind one that is none, nothing is read.
    private static func items(of message: ByteBuffer) -> [ClientLine] {
        guard message.readableBytes > 0 else { return [.pong] }
        var reader = CBORReader(message)
        var lines: [ClientLine] = []
        while !reader.isAtEnd {
            guard lines.count < Limits.edgeLinesPerMessageMax else {
                let detail = "a message has at most \(Limits.edgeLinesPerMessageMax) maps"
                return lines + [.refused(nil, Problem(.tooMany, detail))]
            }
            do throws(CBORFault) {
                lines.append(Self(try reader.nextJSON()))
            } catch {
                return lines + [.refused(nil, Problem(error))]
            }
        }
        return lines
    }

    /// One line without its end.
    package init(_ line: ByteBuffer) {
        if line.readableBytesView.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) {
            self = .pong
            return
        }
        let object: JSONObject
        do throws(JSONFault) {
            object = try JSONObject(line)
        } catch {
            self = .refused(nil, Problem(error))
            return
        }
        var id: RequestID?
        do throws(Problem) {
            id = try Self.id(of: object)
            self = .request(id, try OperationReader.operation(in: object))
        } catch {
            self = .refused(id, error)
        }
    }

    private static func id(of object: JSONObject) throws(Problem) -> RequestID? {
        guard let value = object["id"] else { return nil }
        guard let number = value.integer, (0..<(1 << 53)).contains(number) else {
            throw Problem(.invalidRequest, "'id' is a whole number from 0 to 2^53 - 1")
        }
        return RequestID(rawValue: number)
    }
}
