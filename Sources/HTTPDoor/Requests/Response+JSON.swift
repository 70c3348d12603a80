import ApusCore
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WebFormats

extension Response {
    /// - Parameter body: JSON.
    init(json body: ByteBuffer, status: HTTPResponse.Status = .ok, headers: HTTPFields = HTTPFields()) {
        var headers = headers
        headers[.contentType] = "application/json"
        headers[.cacheControl] = "no-store"
        self.init(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    /// An object, written by `write` between its braces.
    static func object(
        status: HTTPResponse.Status = .ok, headers: HTTPFields = HTTPFields(), _ write: (inout ByteBuffer) -> Void
    ) -> Response {
        var body = ByteBuffer()
        body.writeInteger(UInt8(ascii: "{"))
        write(&body)
        body.writeInteger(UInt8(ascii: "}"))
        return Response(json: body, status: status, headers: headers)
    }

    init(_ problem: Problem) {
        var body = ByteBuffer()
        body.writeJSON(problem)
        var headers = HTTPFields()
        headers[.contentType] = "application/problem+json"
        headers[.cacheControl] = "no-store"
        if let wait = problem.retryIn {
            headers[.retryAfter] = String((wait.wholeMilliseconds + 999) / 1000)
        }
        self.init(
            status: .init(code: problem.code.status), headers: headers, body: ResponseBody(byteBuffer: body))
    }
}

extension ByteBuffer {
    /// A member that is a text.
    mutating func writeJSONMember(_ name: StaticString, _ text: String) {
        self.writeJSONName(name)
        self.writeJSONString(text)
    }

    /// A member that is a whole number.
    mutating func writeJSONMember(_ name: StaticString, _ number: some FixedWidthInteger) {
        self.writeJSONName(name)
        self.writeJSONInteger(number)
    }

    mutating func writeJSONMember(_ name: StaticString, _ flag: Bool) {
        self.writeJSONName(name)
        self.writeString(flag ? "true" : "false")
    }

    /// A member that is an array, each element written by `write`.
    mutating func writeJSONArray<Element>(
        _ name: StaticString, _ elements: some Sequence<Element>, _ write: (inout ByteBuffer, Element) -> Void
    ) {
        self.writeJSONName(name)
        self.writeInteger(UInt8(ascii: "["))
        for element in elements {
            self.writeJSONComma()
            write(&self, element)
        }
        self.writeInteger(UInt8(ascii: "]"))
    }

    /// A member that is an object, written by `write` between its braces.
    mutating func writeJSONObject(_ name: StaticString, _ write: (inout ByteBuffer) -> Void) {
        self.writeJSONName(name)
        self.writeJSONBraces(write)
    }

    mutating func writeJSONBraces(_ write: (inout ByteBuffer) -> Void) {
        self.writeInteger(UInt8(ascii: "{"))
        write(&self)
        self.writeInteger(UInt8(ascii: "}"))
    }

    /// Where a list goes on: behind this name.
    mutating func writeJSONPage(next name: String) {
        self.writeJSONObject("page") { $0.writeJSONMember("next", Base64.url.encoded(ByteBuffer(string: name))) }
    }

    /// A name that comes from outside, with its colon.
    mutating func writeJSONName(quoting name: String) {
        self.writeJSONComma()
        self.writeJSONString(name)
        self.writeInteger(UInt8(ascii: ":"))
    }
}
