import Crypto
package import NIOCore
package import WebFormats

/// The opening handshake (RFC 6455 section 4.2): a request that may become a WebSocket, and the answer to it.
package struct WebSocketHandshake: Hashable, Sendable {
    /// What is spoken; JSON where the client names nothing.
    package let format: WireFormat
    /// Messages may be compressed (RFC 7692).
    package var isDeflating: Bool { self.deflate != nil }
    private let deflate: String?
    private let accept: String
    private let isNamed: Bool

    /// - Throws: why it is none; the connection stays HTTP's.
    package init(
        _ request: WebRequest, origins: OriginRules, mayDeflate: Bool = false
    ) throws(Problem) {
        guard request.method == "GET" else { throw Problem(.invalidRequest, "a WebSocket begins with GET") }
        guard request.isVersion11, request.list("upgrade").contains("websocket"),
            request.list("connection").contains("upgrade")
        else {
            throw Problem(
                .invalidRequest, "this is where WebSockets begin: the request asks for none",
                hint: "Connection: Upgrade, Upgrade: websocket")
        }
        guard request.value(of: "sec-websocket-version").map({ WebRequest.trimmed($0) }) == "13" else {
            throw Problem(.invalidRequest, "only version 13 of WebSocket is spoken here (RFC 6455)")
        }
        guard let key = request.value(of: "sec-websocket-key").map({ WebRequest.trimmed($0) }),
            Base64.standard.decoded(ByteBuffer(string: key))?.readableBytes == 16
        else { throw Problem(.invalidRequest, "'Sec-WebSocket-Key' is 16 bytes in Base64, once") }
        guard origins.allow(request) else {
            throw Problem(.forbidden, "pages of this origin may not connect")
        }
        let offered = request.values(of: "sec-websocket-protocol").flatMap { $0.split(separator: ",") }
            .map { WebRequest.trimmed($0) }
        // What the client names first it likes best.
        let named = offered.lazy.compactMap { name in WireFormat.allCases.first { $0.subprotocol == name } }.first
        (self.format, self.isNamed) = (named ?? .json, named != nil)
        guard offered.isEmpty || self.isNamed else {
            let names = WireFormat.allCases.map(\.subprotocol).joined(separator: ", ")
            throw Problem(.invalidRequest, "none of the subprotocols is spoken here", hint: names)
        }
        let offers = request.values(of: "sec-websocket-extensions").flatMap { $0.split(separator: ",") }
        self.deflate = mayDeflate ? MessageDeflate.answer(to: offers.map(String.init)) : nil
        let digest = Insecure.SHA1.hash(data: Array("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
        self.accept = Base64.standard.encoded(ByteBuffer(bytes: Array(digest)))
    }

    /// The whole answer, with which the connection is a WebSocket.
    package var response: ByteBuffer {
        var response = ByteBuffer()
        response.writeString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        response.writeString("Sec-WebSocket-Accept: \(self.accept)\r\n")
        if self.isNamed { response.writeString("Sec-WebSocket-Protocol: \(self.format.subprotocol)\r\n") }
        if let deflate = self.deflate { response.writeString("Sec-WebSocket-Extensions: \(deflate)\r\n") }
        response.writeString("\r\n")
        return response
    }
}
