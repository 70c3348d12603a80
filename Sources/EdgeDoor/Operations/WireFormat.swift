package import NIOCore
import WebFormats

/// How a client of a WebSocket and the server write what they say: the connection's subprotocol.
package enum WireFormat: UInt8, CaseIterable, Hashable, Sendable {
    /// JSON, in text messages.
    case json = 0
    /// CBOR (RFC 8949), in binary messages: the same maps, with keys and values as the bytes that they are.
    case cbor = 1

    package var subprotocol: String {
        switch self {
        case .json: "apus.v1.json"
        case .cbor: "apus.v1.cbor"
        }
    }

    var opcode: WebSocketFrame.Opcode { self == .json ? .text : .binary }

    /// What was written as one JSON object, in this format.
    package func line(_ json: ByteBuffer) -> ByteBuffer {
        guard self == .cbor else { return json }
        var bytes = ByteBuffer()
        do throws(JSONFault) {
            try bytes.writeCBOR(JSONValue(json))
        } catch {
            // It is ours, so it is JSON; what is not told in maps is told in words all the same.
            bytes = ByteBuffer()
            bytes.writeCBORText(utf8: json)
        }
        return bytes
    }
}
